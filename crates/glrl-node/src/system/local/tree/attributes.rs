//! What goes along with a file that is replaced: its access control list, extended attributes and security label. Sources: acl(5), xattr(7),
//! `linux/posix_acl_xattr.h`.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use anyhow::{Context, Result};
use xattr::FileExt as _;

use crate::value::Mode;

const ACCESS_LIST: &str = "system.posix_acl_access";
const CAPABILITY: &str = "security.capability";
/// Hashes of what a file holds, which the kernel makes anew.
const OF_CONTENTS: [&str; 2] = ["security.ima", "security.evm"];

/// The attributes of a file.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(OsString, Vec<u8>)>);

/// A file that is held, whether or not it can be read, as a path that leads to it and to nothing else (`proc_pid_fd(5)`).
pub(super) fn held(file: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Whether a file is a program with capabilities (capabilities(7)).
pub(super) fn has_capabilities(file: &OwnedFd) -> Result<bool> {
    match xattr::get_deref(held(file), CAPABILITY) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
        found => Ok(found.context("reading its capabilities")?.is_some()),
    }
}

impl Attributes {
    /// Reads those of a file that was opened with `O_PATH`.
    pub(super) fn of(file: &OwnedFd) -> Result<Self> {
        let file = held(file);
        let names = match xattr::list_deref(&file) {
            // The filesystem has none.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Self::default()),
            names => names.context("reading its attributes")?,
        };
        let mut attributes = Vec::new();
        for name in names.filter(|name| !OF_CONTENTS.iter().any(|of_contents| name == of_contents)) {
            let value =
                xattr::get_deref(&file, &name).with_context(|| format!("reading its attribute {}", name.display()))?;
            attributes.extend(value.map(|value| (name, value)));
        }
        Ok(Self(attributes))
    }

    /// Gives a new file those that give no right. The file is still its maker's, and nobody else can open it.
    pub(super) fn give(&self, file: &File) -> Result<()> {
        self.set(file, |name| name != ACCESS_LIST && name != CAPABILITY)
    }

    /// Gives it the others, once it has its owner, who takes them away. The list allows no more than the mode does.
    pub(super) fn give_rights(mut self, file: &File, mode: Mode) -> Result<()> {
        match self.0.iter_mut().find(|(name, _)| name == ACCESS_LIST) {
            Some((_, list)) => restrict(list, mode),
            // Its directory may have given it one.
            None => match file.remove_xattr(ACCESS_LIST) {
                Err(error) if error.raw_os_error() == Some(libc::ENODATA) => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                result => result.context("removing its access control list")?,
            },
        }
        self.set(file, |name| name == ACCESS_LIST || name == CAPABILITY)
    }

    fn set(&self, file: &File, which: impl Fn(&OsString) -> bool) -> Result<()> {
        for (name, value) in self.0.iter().filter(|(name, _)| which(name)) {
            let Err(error) = file.set_xattr(name, value) else {
                continue;
            };
            // Another machine's, and what the kernel shows and does not take.
            let is_optional = error.kind() == io::ErrorKind::Unsupported
                || name != ACCESS_LIST && name.to_string_lossy().starts_with("system.");
            if !is_optional {
                return Err(error).with_context(|| {
                    format!(
                        "its attribute {} cannot be kept (getfattr(1), getfacl(1) show it; setfattr -x removes it)",
                        name.display()
                    )
                });
            }
            tracing::warn!(
                "an attribute of a file that was replaced is lost: {}: {error}",
                name.display()
            );
        }
        Ok(())
    }
}

/// Makes an access control list say what a mode says: the owner's bits, the mask's (the group's where there is none), all others'.
fn restrict(list: &mut [u8], mode: Mode) {
    const VERSION: usize = 4;
    const ENTRY: usize = 8;
    let (owner, group, mask, other) = (1, 4, 16, 32);
    let Some(entries) = list.get_mut(VERSION..) else { return };
    let has_mask = entries.chunks(ENTRY).any(|entry| entry.first() == Some(&mask));
    for entry in entries.chunks_exact_mut(ENTRY) {
        let shift = match entry[0] {
            tag if tag == owner => 6,
            tag if tag == mask => 3,
            tag if tag == group && !has_mask => 3,
            tag if tag == other => 0,
            _ => continue,
        };
        entry[2] = u8::try_from(mode.bits() >> shift & 7).unwrap_or(0);
    }
}
