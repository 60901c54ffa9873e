//! What a purge removes: what stands below a directory is found going down by directories that are held. No path is resolved twice, and how deep
//! a tree is does not matter.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    vec,
};

use anyhow::{Context, Result, bail};
use nix::{errno::Errno, fcntl::ResolveFlag, sys::stat};
use rustix::fs::{AtFlags, StatxFlags, statx};

use super::{Tree, change::fixed, identity, names, readable, resolve::open_below, way::Way};
use crate::system::{
    Identity, Keep, Refused, Stray,
    strays::{KeepAt, mounted, shown},
};

/// The longest path there can be (`PATH_MAX`, limits.h): what has a longer one nobody can declare.
const LONGEST: usize = 4096;
/// The longest path of a stray that is named. What has a longer one goes with the directory above it.
const NAMED: usize = 512;
/// As many strays a purge finds at most, and as many bytes of their paths.
const MOST: usize = 1_000_000;
const MOST_BYTES: usize = 64 << 20;

/// A directory that is looked into.
struct Looked {
    names: vec::IntoIter<OsString>,
    place: Place,
    /// Whether it holds something of glrl's own.
    holds_own: bool,
    /// How much it holds that is not named.
    hidden: u64,
}

/// Something below the directory that is purged.
struct Place {
    /// Its path from there; `None` for one that is longer than any.
    path: Option<PathBuf>,
    goes: bool,
    /// Whether it is a stray of its own.
    named: bool,
}

/// A search for strays.
struct Search<'a> {
    directory: &'a Path,
    keep: KeepAt<'a>,
    /// Directories of glrl's own, which stay.
    own: &'a [Identity],
    strays: Vec<Stray>,
    count: usize,
    bytes: usize,
}

impl Tree {
    /// Finds the strays below a directory, each before the directory it is in. Those directories are glrl's own, and stay.
    pub(in crate::system::local) fn strays(
        &self,
        directory: &Path,
        keep: KeepAt<'_>,
        own: &[Identity],
    ) -> Result<Vec<Stray>> {
        let Some(top) = self.directory(directory)? else {
            return Ok(Vec::new());
        };
        self.check_purge(directory, &top)?;
        let mut search = Search {
            directory,
            keep,
            own,
            strays: Vec::new(),
            count: 0,
            bytes: 0,
        };
        search.run(readable(&top)?)?;
        Ok(search.strays)
    }
}

impl Search<'_> {
    fn run(&mut self, top: OwnedFd) -> Result<()> {
        let place = Place {
            path: Some(PathBuf::new()),
            goes: false,
            named: false,
        };
        let looked = self.look_into(&top, place)?;
        let mut way = Way::from(top, looked)?;
        while let Some((held, within, here)) = way.here() {
            let Some(name) = here.names.next() else {
                if let (Some(left), Some((_, within, above))) = (way.up()?, way.here()) {
                    self.leave(left, within, above);
                }
                continue;
            };
            let Some((place, is_directory)) = self.find(held, here, &name)? else {
                continue;
            };
            if !is_directory {
                self.take(place, within, here);
            } else if let Some((below, is)) = self.enter(held, &name, &place)? {
                if self.own.contains(&is) {
                    here.holds_own = true;
                } else {
                    let looked = self.look_into(&below, place)?;
                    way.down(below, is, looked);
                }
            }
        }
        Ok(())
    }

    /// What has a name in a directory, and whether it is a directory; `None` for what stays and is not looked into.
    fn find(&mut self, held: &OwnedFd, here: &Looked, name: &OsString) -> Result<Option<(Place, bool)>> {
        let path = here.place.path.as_ref().map(|above| above.join(name));
        let path = path.filter(|path| path.as_os_str().len() < LONGEST);
        let keeps = match &path {
            Some(path) => (self.keep)(path),
            None if here.place.goes => Keep::Nothing,
            None => Keep::Whole,
        };
        if keeps == Keep::Whole {
            return Ok(None);
        }
        let length = path.as_ref().map_or(usize::MAX, |path| path.as_os_str().len());
        let place = Place {
            path,
            goes: keeps == Keep::Nothing,
            named: length <= NAMED || !here.place.goes,
        };
        let found = match statx(
            held,
            name,
            AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
            StatxFlags::BASIC_STATS,
        ) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            found => found.with_context(|| self.reading(&place))?,
        };
        let file_type = u32::from(found.stx_mode) & libc::S_IFMT;
        if place.goes {
            if let Some(attribute) = fixed(&found) {
                return Err(attribute.refuse(&self.whole(&place)));
            }
            if matches!(file_type, libc::S_IFCHR | libc::S_IFBLK) {
                bail!(
                    "{} is a device, and is not purged: remove it by hand",
                    shown(self.whole(&place).as_os_str())
                )
            }
            self.count += 1;
            self.bytes += if place.named { length } else { 0 };
            if self.count > MOST || self.bytes > MOST_BYTES {
                return Err(too_much(self.directory));
            }
        }
        Ok(Some((place, file_type == libc::S_IFDIR)))
    }

    /// Opens a directory; `None` for what is something else by now.
    fn enter(&self, held: &OwnedFd, name: &OsString, place: &Place) -> Result<Option<(OwnedFd, Identity)>> {
        let flags = if place.goes {
            ResolveFlag::RESOLVE_NO_XDEV
        } else {
            ResolveFlag::empty()
        };
        match open_below(held, Path::new(name), flags) {
            Ok(below) => {
                let is = identity(&stat::fstat(&below)?);
                Ok(Some((below, is)))
            }
            Err(Errno::EXDEV) => Err(mounted(&self.whole(place))),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno).with_context(|| self.reading(place)),
        }
    }

    fn look_into(&self, directory: &OwnedFd, place: Place) -> Result<Looked> {
        Ok(Looked {
            names: names(directory).with_context(|| self.reading(&place))?.into_iter(),
            place,
            holds_own: false,
            hidden: 0,
        })
    }

    /// Takes something that is no directory.
    fn take(&mut self, place: Place, within: Identity, above: &mut Looked) {
        match place.path {
            _ if !place.goes => {}
            Some(path) if place.named => self.strays.push(Stray {
                path,
                is_directory: false,
                holds: 0,
                within: Some(within),
            }),
            _ => above.hidden += 1,
        }
    }

    /// Takes a directory, after what it holds.
    fn leave(&mut self, left: Looked, within: Identity, above: &mut Looked) {
        match left.place.path {
            _ if left.holds_own => above.holds_own = true,
            _ if !left.place.goes => {}
            Some(path) if left.place.named => self.strays.push(Stray {
                path,
                is_directory: true,
                holds: left.hidden,
                within: Some(within),
            }),
            _ => above.hidden += left.hidden + 1,
        }
    }

    fn whole(&self, place: &Place) -> PathBuf {
        self.directory.join(place.path.as_deref().unwrap_or(Path::new("…")))
    }

    fn reading(&self, place: &Place) -> String {
        format!("reading {}", shown(self.whole(place).as_os_str()))
    }
}

fn too_much(directory: &Path) -> anyhow::Error {
    Refused::because(
        format!(
            "{} holds more than a purge takes: {MOST} strays, or {} MiB of their paths",
            directory.display(),
            MOST_BYTES >> 20
        ),
        format!(
            "look at it (`du --inodes -d 2 {}`), and remove by hand what does not belong there",
            directory.display()
        ),
    )
}
