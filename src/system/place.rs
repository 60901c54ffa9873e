//! Where a path leads: every link above its last part followed, so that each place has one name.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Entry, FileType, Probe, Reading};

/// As many links in a path as the kernel follows (`path_resolution(7)`).
const LINKS: usize = 40;

/// What stands at a path whose directory is a place.
pub(super) type EntryAt<'a> = &'a dyn Fn(&Path) -> Result<Reading<Option<Entry>>>;

/// The place of a path on a node. A link of which nobody knows yet where it leads is taken for what it is called.
pub fn place(node: &dyn Probe, path: &Path) -> Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path.to_owned());
    };
    let mut place = PathBuf::from("/");
    for part in parent.components() {
        if let Component::Normal(name) = part {
            place = step(&|path| node.entry(path), &place, name)?;
        }
    }
    Ok(place.join(name))
}

/// One part further from a place, following the link that may stand there.
pub(super) fn step(entry: EntryAt<'_>, from: &Path, name: &OsStr) -> Result<PathBuf> {
    follow(entry, from, name, LINKS)
}

fn follow(entry: EntryAt<'_>, from: &Path, name: &OsStr, links: usize) -> Result<PathBuf> {
    let place = from.join(name);
    let Reading::Known(Some(Entry {
        file_type: FileType::Link { target },
        ..
    })) = entry(&place)?
    else {
        return Ok(place);
    };
    let links = links
        .checked_sub(1)
        .with_context(|| format!("too many links at {}", place.display()))?;
    let mut place = from.to_owned();
    for part in target.components() {
        match part {
            Component::RootDir => place = PathBuf::from("/"),
            Component::ParentDir => drop(place.pop()),
            Component::Normal(name) => place = follow(entry, &place, name, links)?,
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(place)
}
