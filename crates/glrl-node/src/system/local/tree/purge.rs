//! Removing strays, each in the directory in which it was found.

use std::{collections::HashSet, ffi::OsString, os::fd::OwnedFd, path::Path};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::ResolveFlag,
    sys::stat,
    unistd::{self, UnlinkatFlags},
};

use super::{Tree, identity, names, resolve::open_below, way::Way};
use crate::system::{Identity, Refused, Stray, strays::shown};

impl Tree {
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
        let mut first = None;
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
                let mut problem = None;
                for stray in of_one {
                    let doing = || format!("removing {}", shown(directory.join(&stray.path).as_os_str()));
                    if let Err(error) = remove(&held, stray).with_context(doing) {
                        problem.get_or_insert(error);
                    }
                }
                if !going.contains(above) {
                    unistd::fsync(&held)?;
                }
                problem.map_or(Ok(()), Err)
            })();
            if let Err(error) = removed {
                first.get_or_insert(error.context(format!("purging {}", shown(directory.join(above).as_os_str()))));
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// An error for the root itself, under whatever name. Returns which directory it is.
    pub(super) fn check_purge(&self, directory: &Path, top: &OwnedFd) -> Result<Identity> {
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
        Ok(directory.map(stat::fstat).transpose()?.map(|status| identity(&status)))
    }
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
pub(super) fn empty(directory: OwnedFd) -> Result<()> {
    let inside = names(&directory)?.into_iter();
    let mut way = Way::from(directory, (OsString::new(), inside))?;
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
