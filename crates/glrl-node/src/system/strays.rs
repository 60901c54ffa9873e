//! What stands in a directory and is not declared: what a purge removes.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::{FileType, Probe, Reading, Refused, known};

/// What a purge does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It goes, with all that is in it.
    Nothing,
    /// It stays, and is looked into.
    Itself,
    /// It stays with all that is in it, and is not looked into.
    Whole,
}

/// Something that a purge removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its path below the directory that is purged.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// How much it holds that has too long a path to be named, and goes with it.
    pub holds: u64,
    /// The directory that it was found in; nothing where that is not made yet.
    pub within: Option<Identity>,
}

/// A directory or file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Of its filesystem.
    pub device: u64,
    /// In that filesystem.
    pub inode: u64,
}

/// What a purge does with a path below the directory.
pub type KeepAt<'a> = &'a dyn Fn(&Path) -> Keep;

/// Finds the strays below a directory by its names, each before the directory it is in.
pub(super) fn by_names(
    node: &(impl Probe + ?Sized),
    directory: &Path,
    keep: KeepAt<'_>,
) -> Result<Reading<Vec<Stray>>> {
    let mut strays = Vec::new();
    for name in known!(node.list(directory)?) {
        let path = directory.join(&name);
        let Some(entry) = known!(node.entry(&path)?) else {
            continue;
        };
        let keeps = keep(Path::new(&name));
        let is_directory = entry.file_type == FileType::Directory;
        if keeps == Keep::Nothing {
            if entry.file_type == FileType::Other {
                bail!(
                    "{} is a device, socket or fifo, and is not purged: remove it by hand",
                    path.display()
                )
            }
            if known!(node.is_mount_point(&path)?) {
                return Err(mounted(&path));
            }
        }
        if is_directory && keeps != Keep::Whole {
            let below = known!(node.strays(&path, &|below| keep(&Path::new(&name).join(below)))?);
            strays.extend(below.into_iter().map(|stray| Stray {
                path: Path::new(&name).join(stray.path),
                ..stray
            }));
        }
        if keeps == Keep::Nothing {
            strays.push(Stray {
                path: name.into(),
                is_directory,
                holds: 0,
                within: None,
            });
        }
    }
    Ok(Reading::Known(strays))
}

/// A filesystem that is mounted on what is to go is never entered.
pub(super) fn mounted(path: &Path) -> anyhow::Error {
    Refused::because(
        format!(
            "a filesystem is mounted at {}, and what it holds is not purged",
            path.display()
        ),
        "unmount it, declare the mount, or keep its directory by a file in `source`",
    )
}

/// A name for eyes: bytes that are no text are shown as `\xe9`.
pub fn shown(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text += chunk.valid();
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}
