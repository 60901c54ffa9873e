//! From a path to a held directory. A link on the way is followed only if nobody but root can have made it, or if it leads to something
//! of whoever made it: else a local user could lead root to any other place.

use std::{
    ffi::OsStr,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    fcntl::{self, AtFlags, OFlag, OpenHow, ResolveFlag},
    sys::stat::{self, Mode as Bits, SFlag},
};

use super::{Tree, readable, type_of};
use crate::{
    system::place::{LINKS, Maker, Standing},
    value::{Mode, Owner},
};

/// How often a path is resolved anew when others rename and mount meanwhile (`EAGAIN` of openat2(2)).
const ATTEMPTS: usize = 1000;

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// A directory that is held, and its path, which has no link in it.
struct Place {
    directory: OwnedFd,
    path: PathBuf,
}

impl Tree {
    /// Opens the directory at a path as if the root were `/`; `None` where there is none.
    pub(super) fn directory(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let found = match self.without_links(path) {
            Ok(directory) => return Ok(Some(directory)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(Errno::ELOOP) => self.walk(self.top()?, path, &mut LINKS.clone()),
            Err(errno) => Err(errno.into()),
        };
        let place = found.with_context(|| format!("opening {}", path.display()))?;
        Ok(place.map(|place| place.directory))
    }

    /// The directory that holds the path, opened, and the path's last part; `None` where that directory is missing.
    pub(super) fn parent_if_any<'p>(&self, path: &'p Path) -> Result<Option<(OwnedFd, &'p OsStr)>> {
        // The root itself is the entry "." of itself.
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => (path, OsStr::new(".")),
        };
        Ok(self.directory(parent)?.map(|directory| (directory, name)))
    }

    pub(super) fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        self.parent_if_any(path)?.with_context(|| {
            let parent = path.parent().unwrap_or(path);
            format!(
                "there is no directory {}: declare it, or need what brings it",
                parent.display()
            )
        })
    }

    /// Opens a directory whose path has no link in it; `ELOOP` where it has one.
    fn without_links(&self, path: &Path) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(DIRECTORY)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
        for _ in 0..ATTEMPTS {
            match fcntl::openat2(&self.directory, path, how) {
                Err(Errno::EAGAIN) => std::thread::yield_now(),
                result => return result,
            }
        }
        Err(Errno::EAGAIN)
    }

    fn top(&self) -> Result<Place> {
        Ok(Place {
            directory: self.without_links(Path::new("/"))?,
            path: PathBuf::from("/"),
        })
    }

    /// Goes down from a place, part by part.
    fn walk(&self, from: Place, parts: &Path, links: &mut usize) -> Result<Option<Place>> {
        let mut place = from;
        for part in parts.components() {
            let name = match part {
                Component::RootDir => {
                    place = self.top()?;
                    continue;
                }
                Component::ParentDir => {
                    place.path.pop();
                    place.directory = self.without_links(&place.path)?;
                    continue;
                }
                Component::CurDir | Component::Prefix(_) => continue,
                Component::Normal(name) => name,
            };
            match fcntl::openat(&place.directory, name, DIRECTORY | OFlag::O_NOFOLLOW, Bits::empty()) {
                Ok(directory) => {
                    place.directory = directory;
                    place.path.push(name);
                }
                Err(Errno::ENOENT) => return Ok(None),
                Err(Errno::ENOTDIR) => match self.follow(place, name, links)? {
                    Some(leads_to) => place = leads_to,
                    None => return Ok(None),
                },
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Some(place))
    }

    /// Follows the link of this name; `None` where none is there, or where it leads to nothing.
    fn follow(&self, from: Place, name: &OsStr, links: &mut usize) -> Result<Option<Place>> {
        let path = from.path.join(name);
        // What is read is the link that was looked at, whatever has the name by then.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let link = match fcntl::openat(&from.directory, name, flags, Bits::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            result => result?,
        };
        let status = stat::fstat(&link)?;
        if type_of(&status) != SFlag::S_IFLNK {
            return Ok(None);
        }
        *links = (links.checked_sub(1)).with_context(|| format!("too many links at {}", path.display()))?;
        let target = PathBuf::from(fcntl::readlinkat(&link, "")?);
        let maker = Maker::of(&standing(&status), &standing(&stat::fstat(&from.directory)?));
        let Some(place) = self.walk(from, &target, links)? else {
            return Ok(None);
        };
        if maker != Maker::Root {
            maker.check(&path, &target, &standing(&stat::fstat(&place.directory)?).owner)?;
        }
        Ok(Some(place))
    }
}

pub(super) fn standing(status: &stat::FileStat) -> Standing {
    Standing {
        owner: Owner::Id(status.st_uid),
        mode: Mode::of(status.st_mode),
    }
}

/// Looks at what stands in a directory, without following it.
pub(super) fn look(directory: &OwnedFd, name: &OsStr) -> nix::Result<Option<stat::FileStat>> {
    match stat::fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(status)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens a directory in another to read it.
pub(super) fn open_below(directory: impl AsFd, path: &Path, flags: ResolveFlag) -> nix::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return readable(directory);
    }
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | flags);
    fcntl::openat2(directory, path, how)
}
