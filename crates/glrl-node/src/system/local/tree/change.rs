//! Directories, owners, modes, and what goes: each change relative to a directory that is held, on a file that is held.

use std::{
    ffi::OsStr,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{self, OFlag},
    sys::stat::{self, FileStat, Mode as Bits, SFlag},
    unistd,
};
use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags, statx};

use super::{
    Numbers, Tree, attributes::has_capabilities, identity, names, purge::empty, resolve::standing, sync, type_of,
    way::open_above,
};
use crate::{
    system::{
        Meta, Op, Refused,
        place::{self, Standing, What, is_trusted},
    },
    value::Mode,
};

/// The mode of a directory that is not finished, where one is declared.
const NEW: Mode = Mode::of(0o700);

impl Tree {
    pub(in crate::system::local) fn make_directory(&self, path: &Path, numbers: &Numbers) -> Result<()> {
        let (parent, directory) = self.mkdir(path, numbers)?;
        let doing = || format!("making the directory {}", path.display());
        unistd::fsync(&directory).with_context(doing)?;
        sync(&parent).with_context(doing)
    }

    /// The same for what nobody will miss after a power cut.
    pub(in crate::system) fn make_passing_directory(&self, path: &Path, mode: Mode) -> Result<()> {
        let numbers = Numbers {
            mode: Some(mode),
            ..Numbers::default()
        };
        self.mkdir(path, &numbers).map(drop)
    }

    /// Makes a directory and opens it and its parent.
    fn mkdir(&self, path: &Path, numbers: &Numbers) -> Result<(OwnedFd, OwnedFd)> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("making the directory {}", path.display());
        // One that is not declared is never changed again: a run that is killed in between must not leave another. The directory above may add
        // its setgid bit.
        let first = numbers.mode.map_or(Mode::DIRECTORY, |_| NEW);
        stat::mkdirat(&parent, name, Bits::from_bits_truncate(first.bits())).with_context(doing)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = fcntl::openat(&parent, name, flags, Bits::empty()).with_context(doing)?;
        // Whoever may write to its parent can have put another in its place.
        let is_ours = stat::fstat(&directory).with_context(doing)?.st_uid == unistd::geteuid().as_raw();
        if !is_ours || !names(&directory).with_context(doing)?.is_empty() {
            bail!(
                "{} was replaced by another while it was made: look at it, and run again",
                path.display()
            );
        }
        match numbers.mode {
            Some(mode) => set_numbers(&directory, NEW, mode, numbers.uid, numbers.gid).with_context(doing)?,
            None => give(&directory, numbers.uid, numbers.gid).with_context(doing)?,
        }
        Ok((parent, directory))
    }

    /// Makes a directory with this mode, if it is missing, and those above it, as everybody may use them.
    pub(in crate::system) fn make_directories(&self, path: &Path, mode: Mode) -> Result<()> {
        let mut missing = Vec::new();
        for ancestor in path.ancestors() {
            if self.has_directory(ancestor)? {
                break;
            }
            missing.push(ancestor);
        }
        for directory in missing.into_iter().rev() {
            if self.entry(directory)?.is_some() {
                bail!(
                    "{} is in the way, and is no directory: move it away",
                    directory.display()
                );
            }
            let numbers = Numbers {
                mode: (directory == path).then_some(mode),
                ..Numbers::default()
            };
            match self.make_directory(directory, &numbers) {
                Err(error) if error.downcast_ref() == Some(&Errno::EEXIST) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Sets ownership and mode of a file or directory.
    pub(in crate::system::local) fn set_meta(&self, path: &Path, numbers: &Numbers) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("setting owner and mode of {}", path.display());
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = fcntl::openat(&parent, name, flags, Bits::empty()).with_context(doing)?;
        let status = stat::fstat(&file).with_context(doing)?;
        check_owner(path, &self.holder(&parent).with_context(doing)?, &file, &status)?;
        let numbers = numbers.besides(status.st_uid, status.st_gid);
        if is_disarmed(&file, status.st_mode, &numbers).with_context(doing)? {
            return self
                .renew(path, (&parent, name), (file, status), &numbers)
                .with_context(doing);
        }
        match numbers.mode {
            Some(mode) => set_numbers(&file, Mode::of(status.st_mode), mode, numbers.uid, numbers.gid),
            // Nothing to be lost: neither has the file a setuid bit, nor does chown(2) take the setgid bit of a directory.
            None => give(&file, numbers.uid, numbers.gid),
        }
        .with_context(doing)?;
        unistd::fsync(&file).with_context(doing)
    }

    /// Who can put something else in a directory that is held: whoever owns it, or, where that is root, a directory above it.
    fn holder(&self, directory: &OwnedFd) -> nix::Result<Standing> {
        let status = stat::fstat(directory)?;
        let (own, top) = (standing(&status), identity(&stat::fstat(&self.directory)?));
        let (mut holder, mut here) = (standing(&status), identity(&status));
        let mut above = None;
        while is_trusted(&holder.owner) && here != top {
            let up = open_above(above.as_ref().unwrap_or(directory))?;
            let status = stat::fstat(&up)?;
            if identity(&status) == here {
                break;
            }
            (holder, here, above) = (standing(&status), identity(&status), Some(up));
        }
        Ok(if is_trusted(&holder.owner) { own } else { holder })
    }

    /// Removes a file, a link, or an empty directory.
    pub(in crate::system) fn remove(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("removing {}", path.display());
        match unistd::unlinkat(&parent, name, unistd::UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => {
                unistd::unlinkat(&parent, name, unistd::UnlinkatFlags::RemoveDir).with_context(doing)?;
            }
            result => result.with_context(doing)?,
        }
        sync(&parent).with_context(doing)
    }

    /// Removes a directory and what is in it. Nothing is synced: what comes back after a power cut can be removed again.
    pub(in crate::system) fn discard_directory(&self, path: &Path) -> Result<()> {
        let doing = || format!("removing {}", path.display());
        let (parent, name) = self.parent(path)?;
        let directory = (self.directory(path)?).with_context(|| format!("there is no directory {}", path.display()))?;
        empty(directory).with_context(doing)?;
        unistd::unlinkat(&parent, name, unistd::UnlinkatFlags::RemoveDir).with_context(doing)
    }

    /// Looks whether what stands there lets an operation be carried out. Returns what the operator should know of it.
    pub(in crate::system::local) fn check(
        &self,
        op: &Op,
        numbers: impl Fn(&Meta) -> Option<Numbers>,
    ) -> Result<Option<String>> {
        let Some(path) = op.path() else { return Ok(None) };
        let Some((parent, name)) = self.parent_if_any(path)? else {
            return Ok(None);
        };
        let looking = || format!("looking at {}", path.display());
        let fields = StatxFlags::BASIC_STATS;
        let directory = statx(&parent, "", AtFlags::EMPTY_PATH, fields).with_context(looking)?;
        let found = match statx(&parent, name, AtFlags::SYMLINK_NOFOLLOW, fields) {
            Err(rustix::io::Errno::NOENT) => None,
            found => Some(found.with_context(looking)?),
        };
        if let Some(attribute) = found.as_ref().and_then(fixed) {
            return Err(attribute.refuse(path));
        }
        let above = path.parent().unwrap_or(path);
        let stays = match (op, &found) {
            (Op::SetMeta { meta, .. }, Some(found)) => {
                let numbers = numbers(meta).unwrap_or_default().besides(found.stx_uid, found.stx_gid);
                let file = open_to_look(&parent, name).with_context(looking)?;
                !is_disarmed(&file, found.stx_mode.into(), &numbers).with_context(looking)?
            }
            _ => false,
        };
        match fixed(&directory) {
            _ if stays => {}
            Some(Fixed::AppendOnly) if found.is_none() => {}
            Some(attribute) => return Err(attribute.refuse(above)),
            None => {}
        }
        let Some(found) = found else { return Ok(None) };
        let kind = u32::from(found.stx_mode) & libc::S_IFMT;
        if matches!(op, Op::SetMeta { .. }) && matches!(kind, libc::S_IFREG | libc::S_IFDIR) {
            let file = open_to_look(&parent, name).with_context(looking)?;
            let status = stat::fstat(&file).with_context(looking)?;
            check_owner(path, &self.holder(&parent).with_context(looking)?, &file, &status)?;
        }
        if kind != libc::S_IFREG {
            return Ok(None);
        }
        Ok((found.stx_nlink > 1).then(|| match op {
            Op::SetMeta { .. } if stays => {
                format!("{path} has {} names (hard links): it changes under all of them", found.stx_nlink)
            }
            Op::SetMeta { .. } => format!(
                "{path} has {} names (hard links): the others stay as they are; `find -xdev -samefile {path}` shows them",
                found.stx_nlink
            ),
            Op::Remove { .. } => format!("{path} has {} names (hard links): the others stay", found.stx_nlink),
            _ => format!(
                "{path} has {} names (hard links): the others keep what it held; `find -xdev -samefile {path}` shows them",
                found.stx_nlink
            ),
        }))
    }
}

/// An attribute that keeps root too from changing something (chattr(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    Immutable,
    AppendOnly,
}

impl Fixed {
    pub(super) fn refuse(self, path: &Path) -> anyhow::Error {
        let (what, letter) = match self {
            Self::Immutable => ("immutable", 'i'),
            Self::AppendOnly => ("append-only", 'a'),
        };
        Refused::because(
            format!("{} is {what} (chattr +{letter}), and cannot be changed", path.display()),
            format!("chattr -{letter} {}", path.display()),
        )
    }
}

pub(super) fn fixed(found: &Statx) -> Option<Fixed> {
    if found.stx_attributes.contains(StatxAttributes::IMMUTABLE) {
        Some(Fixed::Immutable)
    } else if found.stx_attributes.contains(StatxAttributes::APPEND) {
        Some(Fixed::AppendOnly)
    } else {
        None
    }
}

/// Holds what stands there, whether or not it can be read.
pub(super) fn open_to_look(directory: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fcntl::openat(directory, name, flags, Bits::empty())
}

/// An error for something that is another's than what holds it, and that whoever may write there can have linked or moved to this name.
pub(super) fn check_owner(path: &Path, holder: &Standing, found: &OwnedFd, status: &FileStat) -> Result<()> {
    let what = match type_of(status) {
        SFlag::S_IFREG => What::File { names: status.st_nlink },
        SFlag::S_IFDIR => What::Directory {
            is_empty: names(found)
                .with_context(|| format!("reading {}", path.display()))?
                .is_empty(),
        },
        _ => bail!("{} is a device, socket or fifo", path.display()),
    };
    place::check_owner(path, holder, &standing(status), &what)
}

/// Sets owner and mode of what has another mode now, and lets nobody in meanwhile who may not before or after. The mode comes last:
/// chown(2) drops the setuid bits.
pub(super) fn set_numbers(
    file: &impl AsFd,
    now: Mode,
    mode: Mode,
    uid: Option<u32>,
    gid: Option<u32>,
) -> nix::Result<()> {
    let file = file.as_fd();
    let change = |mode: u32| stat::fchmod(file, Bits::from_bits_truncate(mode));
    if uid.is_some() || gid.is_some() {
        let both = now.bits() & mode.bits() & 0o777;
        if both != now.bits() {
            change(both)?;
        }
        unistd::fchown(file, uid.map(unistd::Uid::from_raw), gid.map(unistd::Gid::from_raw))?;
    }
    change(mode.bits())
}

/// Sets the owner and group that are wanted.
fn give(file: &impl AsFd, uid: Option<u32>, gid: Option<u32>) -> nix::Result<()> {
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    unistd::fchown(
        file.as_fd(),
        uid.map(unistd::Uid::from_raw),
        gid.map(unistd::Gid::from_raw),
    )
}

/// Whether chown(2) would take something from a program that no later run could know of: setuid bits whose mode is not declared, capabilities
/// (capabilities(7)). It gets its owner as a new file then, which is whole at any instant.
fn is_disarmed(file: &OwnedFd, kind_and_mode: u32, numbers: &Numbers) -> Result<bool> {
    let is_file = kind_and_mode & libc::S_IFMT == libc::S_IFREG;
    if !is_file || numbers.uid.is_none() && numbers.gid.is_none() {
        return Ok(false);
    }
    let by_mode = numbers.mode.is_none() && kind_and_mode & (libc::S_ISUID | libc::S_ISGID) != 0;
    Ok(by_mode || has_capabilities(file)?)
}
