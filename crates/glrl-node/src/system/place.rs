//! Where a path leads: every link above its last part followed, so that each place has one name. A link is followed only if nobody but
//! root can have made it, or if it leads to something of whoever made it (the "unsafe transition" of tmpfiles.d(5)).

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Entry, FileType, Probe, Reading, Refused};
use crate::value::{Mode, Owner};

/// As many links in a path as the kernel follows (`path_resolution(7)`).
pub(super) const LINKS: usize = 40;

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
        owner,
        mode,
        ..
    })) = entry(&place)?
    else {
        return Ok(place);
    };
    let maker = match entry(from)? {
        Reading::Known(Some(directory)) => Maker::of(&Standing { owner, mode }, &directory.into()),
        _ => Maker::Root,
    };
    let link = place;
    let links = links
        .checked_sub(1)
        .with_context(|| format!("too many links at {}", link.display()))?;
    let mut place = from.to_owned();
    for part in target.components() {
        match part {
            Component::RootDir => place = PathBuf::from("/"),
            Component::ParentDir => drop(place.pop()),
            Component::Normal(name) => place = follow(entry, &place, name, links)?,
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if maker != Maker::Root
        && let Reading::Known(Some(found)) = entry(&place)?
    {
        maker.check(&link, &target, &found.owner)?;
    }
    Ok(place)
}

/// Whose something is, and who may write to it.
pub(super) struct Standing {
    pub(super) owner: Owner,
    pub(super) mode: Mode,
}

impl From<Entry> for Standing {
    fn from(entry: Entry) -> Self {
        Self {
            owner: entry.owner,
            mode: entry.mode,
        }
    }
}

/// Who can have made a link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// Nobody but root, or who runs glrl.
    Root,
    One(Owner),
    /// Any of several.
    Several(Owner),
}

impl Maker {
    /// Whoever owns the link, and whoever owns the directory that holds it: each of them can put it there.
    pub(super) fn of(link: &Standing, directory: &Standing) -> Self {
        let open_to_all = directory.mode.bits() & 0o1002 == 0o002;
        match (is_trusted(&link.owner), is_trusted(&directory.owner)) {
            _ if open_to_all => Self::Several(link.owner.clone()),
            (true, true) => Self::Root,
            (false, true) => Self::One(link.owner.clone()),
            (true, false) => Self::One(directory.owner.clone()),
            (false, false) if link.owner == directory.owner => Self::One(link.owner.clone()),
            (false, false) => Self::Several(link.owner.clone()),
        }
    }

    /// An error unless the link leads to something of its maker.
    pub(super) fn check(&self, link: &Path, target: &Path, leads_to: &Owner) -> Result<()> {
        let owner = match self {
            Self::Root => return Ok(()),
            Self::One(owner) if owner == leads_to => return Ok(()),
            Self::One(owner) | Self::Several(owner) => owner,
        };
        let link = link.display();
        Err(Refused::because(
            format!(
                "{link} is a link to {}, which is {}'s, and {} can lead it anywhere: it is not followed",
                target.display(),
                name(leads_to),
                name(owner)
            ),
            format!("look at it (`ls -ld {link}`); then remove it (`rm {link}`), or declare the path that it leads to"),
        ))
    }
}

/// An error for the owner and mode of something that is another's than the directory it is in, or one above that: whoever may write there can have
/// linked it or moved it to this name. What everybody may read, and has no other name, gives nothing away.
pub(super) fn check_owner(path: &Path, holder: &Standing, found: &Standing, what: &What) -> Result<()> {
    let is_theirs = !is_trusted(&holder.owner) && found.owner != holder.owner;
    let (is_suspect, names) = match what {
        What::File { names } if is_trusted(&holder.owner) => (holder.mode.bits() & 0o002 != 0 && *names > 1, *names),
        What::File { names } => (is_theirs && (*names > 1 || found.mode.bits() & 0o004 == 0), *names),
        // Directories have one name, and an empty one holds nothing.
        What::Directory { is_empty } => (is_theirs && !is_empty && found.mode.bits() & 0o005 != 0o005, 1),
    };
    if !is_suspect {
        return Ok(());
    }
    let whose = if is_trusted(&holder.owner) {
        "everybody may write to its directory".to_owned()
    } else {
        format!("its directory, or one above it, is {}'s", name(&holder.owner))
    };
    let names = if names > 1 {
        format!(" and has {names} names (hard links)")
    } else {
        String::new()
    };
    let path = path.display();
    let (what, remove) = match what {
        What::File { .. } => ("file", format!("remove it (`rm {path}`)")),
        What::Directory { .. } => ("directory", format!("move it away (`mv {path} {path}.found`)")),
    };
    Err(Refused::because(
        format!(
            "{path} is {}'s{names}, and {whose}: it may be another {what} under this name",
            name(&found.owner)
        ),
        format!("look at it (`ls -lid {path}`); then {remove}, or change its owner by hand (`chown --no-dereference`)"),
    ))
}

/// What may be another's.
pub(super) enum What {
    /// A file, and how many names it has.
    File {
        names: u64,
    },
    Directory {
        is_empty: bool,
    },
}

/// An error where somebody but root can lead the way to a path elsewhere. A program that glrl runs resolves the path anew: what was looked
/// at is no longer what it finds.
pub fn check_way(node: &dyn Probe, path: &Path) -> Result<()> {
    let entry: EntryAt<'_> = &|path| node.entry(path);
    let mut here = PathBuf::from("/");
    let mut is_sticky = false;
    let mut parts = path.components().skip(1).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() && !is_sticky {
            // Nobody but root can rename it. What is mounted there is not asked: its server may be gone.
            break;
        }
        here = step(entry, &here, part.as_os_str())?;
        let Reading::Known(Some(found)) = entry(&here)? else {
            break;
        };
        let for_all = found.mode.bits() & 0o002 != 0;
        let can_be_renamed = is_sticky && !is_trusted(&found.owner);
        is_sticky = found.mode.bits() & 0o1000 != 0;
        let can_be_changed = !is_trusted(&found.owner) || for_all && !is_sticky;
        if can_be_renamed || can_be_changed && parts.peek().is_some() {
            let who = match &found.owner {
                owner if is_trusted(owner) => "everybody".to_owned(),
                owner => name(owner),
            };
            let (here, path) = (here.display(), path.display());
            return Err(Refused::because(
                format!(
                    "{here} is {who}'s to change: a program that root runs could be led elsewhere on its way to {path}"
                ),
                format!("declare it in a place that only root can change, and a `link` to it at {path}"),
            ));
        }
        is_sticky &= for_all;
    }
    Ok(())
}

/// Root, and who runs glrl.
pub(super) fn is_trusted(owner: &Owner) -> bool {
    *owner == Owner::ROOT || *owner == Owner::Id(nix::unistd::geteuid().as_raw())
}

/// An owner for eyes.
pub(super) fn name(owner: &Owner) -> String {
    match owner {
        Owner::Id(0) => "root".to_owned(),
        Owner::Id(id) => format!("uid {id}"),
        Owner::Name(name) => name.clone(),
    }
}
