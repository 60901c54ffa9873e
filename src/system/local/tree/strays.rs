//! A purge: what stands below a directory is found, and removed, going down by directories that are held. No path is resolved twice, and how deep a
//! tree is does not matter.

use std::{
    collections::HashSet,
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    vec,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::ResolveFlag,
    sys::stat,
    unistd::{self, UnlinkatFlags},
};
use rustix::fs::{AtFlags, StatxFlags, statx};

use super::{
    Tree,
    change::{fixed, open_below},
    identity, names, readable,
};
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
/// How many directories on the way down are held open.
const HELD: usize = 8;

/// A way down. The directories above the lowest few are found again by `..`, and recognised.
struct Way<T>(Vec<Level<T>>);

struct Level<T> {
    directory: Option<OwnedFd>,
    identity: Identity,
    at: T,
}

impl<T> Way<T> {
    fn down(&mut self, directory: OwnedFd, identity: Identity, at: T) {
        self.0.push(Level {
            directory: Some(directory),
            identity,
            at,
        });
        if let Some(far) = self.0.len().checked_sub(HELD + 1) {
            self.0[far].directory = None;
        }
    }

    /// The lowest directory.
    fn here(&mut self) -> Option<(&OwnedFd, Identity, &mut T)> {
        let level = self.0.last_mut()?;
        Some((level.directory.as_ref()?, level.identity, &mut level.at))
    }

    /// Leaves the lowest directory.
    fn up(&mut self) -> Result<Option<T>> {
        let Some(left) = self.0.pop() else { return Ok(None) };
        if let (Some(level), Some(directory)) = (self.0.last_mut(), &left.directory)
            && level.directory.is_none()
        {
            let above = open_above(directory)?;
            if identity(&stat::fstat(&above)?) != level.identity {
                bail!("a directory was moved away while it was looked into: run again");
            }
            level.directory = Some(above);
        }
        Ok(Some(left.at))
    }
}

fn open_above(directory: &OwnedFd) -> nix::Result<OwnedFd> {
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    nix::fcntl::openat(directory, "..", flags, stat::Mode::empty())
}

/// A directory that is looked into.
struct Looked {
    names: vec::IntoIter<OsString>,
    /// Below the directory that is purged; `None` for one that is longer than any.
    path: Option<PathBuf>,
    goes: bool,
    /// Whether it is a stray of its own.
    named: bool,
    /// Whether it holds something of glrl's own.
    holds_own: bool,
    /// How much it holds that has too long a path.
    hidden: u64,
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
        let reading = |path: &Path| format!("reading {}", shown(directory.join(path).as_os_str()));
        let nowhere = PathBuf::new();
        let within = self.check_purge(directory, &top)?;
        let (mut strays, mut bytes, mut count) = (Vec::new(), 0, 0);
        let mut way = Way(Vec::new());
        let look_into = |directory: &OwnedFd, path: Option<PathBuf>, goes: bool, named: bool| -> Result<Looked> {
            Ok(Looked {
                names: names(directory)
                    .with_context(|| reading(path.as_ref().unwrap_or(&nowhere)))?
                    .into_iter(),
                path,
                goes,
                named,
                holds_own: false,
                hidden: 0,
            })
        };
        let looked = look_into(&top, Some(PathBuf::new()), false, false)?;
        way.down(readable(&top)?, within, looked);
        while let Some((held, within, here)) = way.here() {
            let Some(name) = here.names.next() else {
                let (Some(left), Some((_, within, above))) = (way.up()?, way.here()) else {
                    break;
                };
                match left.path {
                    _ if left.holds_own => above.holds_own = true,
                    _ if !left.goes => {}
                    Some(path) if left.named => strays.push(Stray {
                        path,
                        is_directory: true,
                        holds: left.hidden,
                        within: Some(within),
                    }),
                    _ => above.hidden += left.hidden + 1,
                }
                continue;
            };
            let path = here.path.as_ref().map(|above| above.join(&name));
            let path = path.filter(|path| path.as_os_str().len() < LONGEST);
            let keeps = match &path {
                Some(path) => keep(path),
                None if here.goes => Keep::Nothing,
                None => Keep::Whole,
            };
            if keeps == Keep::Whole {
                continue;
            }
            let whole = || directory.join(path.as_ref().unwrap_or(&nowhere));
            let found = match statx(
                held,
                &name,
                AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
                StatxFlags::BASIC_STATS,
            ) {
                Err(rustix::io::Errno::NOENT) => continue,
                found => found.with_context(|| reading(path.as_ref().unwrap_or(&nowhere)))?,
            };
            let goes = keeps == Keep::Nothing;
            let is_named = |path: &PathBuf| path.as_os_str().len() <= NAMED || !here.goes;
            let named = path.as_ref().is_some_and(is_named);
            let file_type = u32::from(found.stx_mode) & libc::S_IFMT;
            if goes {
                if let Some(attribute) = fixed(&found) {
                    return Err(attribute.refuse(&whole()));
                }
                if matches!(file_type, libc::S_IFCHR | libc::S_IFBLK) {
                    bail!(
                        "{} is a device, and is not purged: remove it by hand",
                        shown(whole().as_os_str())
                    )
                }
                count += 1;
                bytes += path.as_ref().filter(|_| named).map_or(0, |path| path.as_os_str().len());
                if count > MOST || bytes > MOST_BYTES {
                    return Err(too_much(directory));
                }
            }
            if file_type == libc::S_IFDIR {
                let flags = if goes {
                    ResolveFlag::RESOLVE_NO_XDEV
                } else {
                    ResolveFlag::empty()
                };
                let below = match open_below(held, Path::new(&name), flags) {
                    Ok(below) => below,
                    Err(Errno::EXDEV) => return Err(mounted(&whole())),
                    // It is something else by now.
                    Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                    Err(errno) => return Err(errno).with_context(|| reading(path.as_ref().unwrap_or(&nowhere))),
                };
                let is = identity(&stat::fstat(&below)?);
                if own.contains(&is) {
                    here.holds_own = true;
                } else {
                    let looked = look_into(&below, path, goes, named)?;
                    way.down(below, is, looked);
                }
            } else if goes {
                match path {
                    Some(path) if named => strays.push(Stray {
                        path,
                        is_directory: false,
                        holds: 0,
                        within: Some(within),
                    }),
                    _ => here.hidden += 1,
                }
            }
        }
        Ok(strays)
    }

    /// Removes these strays, each in the directory in which it was found. One that stays does not keep the others.
    pub(in crate::system::local) fn purge(&self, directory: &Path, strays: &[Stray]) -> Result<()> {
        let top = self.directory(directory)?;
        let top = top.with_context(|| format!("there is no directory {}", directory.display()))?;
        self.check_purge(directory, &top)?;
        let going: HashSet<&Path> = strays
            .iter()
            .filter(|stray| stray.is_directory)
            .map(|stray| &*stray.path)
            .collect();
        let mut problem = None;
        for of_one in strays.chunk_by(|one, next| one.path.parent() == next.path.parent()) {
            let above = of_one
                .first()
                .and_then(|stray| stray.path.parent())
                .unwrap_or(Path::new(""));
            let removed = (|| {
                let held = open_below(&top, above, ResolveFlag::empty())?;
                let is = identity(&stat::fstat(&held)?);
                if of_one
                    .iter()
                    .any(|stray| stray.within.is_some_and(|within| within != is))
                {
                    bail!("it is not the directory any more that was read: run again");
                }
                let mut stays = None;
                for stray in of_one {
                    let doing = || format!("removing {}", shown(directory.join(&stray.path).as_os_str()));
                    if let Err(error) = remove(&held, stray).with_context(doing) {
                        stays.get_or_insert(error);
                    }
                }
                if !going.contains(above) {
                    unistd::fsync(&held)?;
                }
                stays.map_or(Ok(()), Err)
            })();
            if let Err(error) = removed {
                problem.get_or_insert(error.context(format!("purging {}", shown(directory.join(above).as_os_str()))));
            }
        }
        problem.map_or(Ok(()), Err)
    }

    /// An error for the root itself, under whatever name. Returns which directory it is.
    fn check_purge(&self, directory: &Path, top: &OwnedFd) -> Result<Identity> {
        let is = identity(&stat::fstat(top)?);
        if is == identity(&stat::fstat(&self.directory)?) {
            return Err(Refused::because(
                format!("{} is the root of all files, and is not purged", directory.display()),
                "declare the directories in which something is to go",
            ));
        }
        Ok(is)
    }

    /// Which directory is at a path, if one is.
    pub(in crate::system::local) fn identity(&self, path: &Path) -> Result<Option<Identity>> {
        let directory = self.directory(path)?;
        Ok(directory
            .map(|directory| stat::fstat(directory))
            .transpose()?
            .map(|status| identity(&status)))
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

fn remove(held: &OwnedFd, stray: &Stray) -> Result<()> {
    let name = stray.path.file_name().context("it has no name")?;
    if stray.holds > 0 {
        empty(open_below(held, Path::new(name), ResolveFlag::RESOLVE_NO_XDEV)?)?;
    }
    let flag = if stray.is_directory {
        UnlinkatFlags::RemoveDir
    } else {
        UnlinkatFlags::NoRemoveDir
    };
    match unistd::unlinkat(held, name, flag) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::ENOTEMPTY) => bail!("something was put there meanwhile, or stays there: run again"),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes all that a directory holds.
fn empty(directory: OwnedFd) -> Result<()> {
    let mut way = Way(Vec::new());
    let (is, inside) = (identity(&stat::fstat(&directory)?), names(&directory)?.into_iter());
    way.down(directory, is, (OsString::new(), inside));
    while let Some((held, _, (_, inside))) = way.here() {
        let Some(name) = inside.next() else {
            if let (Some((name, _)), Some((above, ..))) = (way.up()?, way.here()) {
                unistd::unlinkat(above, name.as_os_str(), UnlinkatFlags::RemoveDir)?;
            }
            continue;
        };
        match unistd::unlinkat(held, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::EISDIR) => {
                let below = open_below(held, Path::new(&name), ResolveFlag::RESOLVE_NO_XDEV)?;
                let (is, inside) = (identity(&stat::fstat(&below)?), names(&below)?.into_iter());
                way.down(below, is, (name, inside));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
