//! The directory that a thing stands in: glrl makes what is declared, and no directory that is not.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{
    system::{Claim, FileType, Probe, Reading, known},
    value::AbsPath,
};

/// As many links in a path as the kernel follows (`path_resolution(7)`).
const LINKS: usize = 40;

/// An error unless the directory above a path stands, or will.
pub(super) fn check(node: &dyn Probe, path: &Path) -> Result<Reading<()>> {
    let Some(parent) = path.parent() else {
        return Ok(Reading::Known(()));
    };
    let mut here = parent.to_owned();
    for _ in 0..LINKS {
        match known!(node.entry(&here)?).map(|entry| entry.file_type) {
            Some(FileType::Directory) => return Ok(Reading::Known(())),
            Some(FileType::Link { target }) => here = follow(&here, &target),
            Some(_) => bail!("{} is not a directory", here.display()),
            None => bail!(
                "there is no directory {}: declare it, or need what brings it",
                here.display()
            ),
        }
    }
    bail!("too many links in {}", parent.display())
}

/// What the link at a path leads to.
fn follow(link: &Path, target: &Path) -> PathBuf {
    let mut path = link.parent().unwrap_or(link).to_owned();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// What a thing at this path requires.
pub(super) fn required(path: &AbsPath) -> Option<Claim> {
    path.parent()
        .and_then(Path::to_str)
        .and_then(|parent| parent.parse().ok())
        .map(Claim::Path)
}
