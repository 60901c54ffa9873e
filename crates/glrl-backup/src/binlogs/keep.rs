//! Which archived logs are still of use: those from the oldest backup that is kept on.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use anyhow::Context;
use glrl_node::system::clock;
use jiff::Timestamp;

use crate::{
    model::{
        binlog::{Entry, RECORD},
        error::{Kind, OfKind, Result},
        manifest::Manifest,
    },
    settings::Settings,
    state::run_lock,
    store::{
        binlog::entry::{all, directory},
        list::{Listed, list},
        whose::{LATELY, Other, Whose},
    },
};

/// Removes the logs that no backup can be replayed with: those that had ended before the oldest of `kept` was begun, unless they go on
/// from one that is of use. Without a backup that is kept, none goes. Returns the names of what was removed; with `dry_run`, of what would be.
pub fn reap(settings: &Settings, kept: &[Manifest], dry_run: bool) -> Result<Vec<String>> {
    let directory = directory(settings);
    let Some(need) = Need::of(kept).filter(|_| directory.exists()) else {
        return Ok(Vec::new());
    };
    // What is just being archived has no record yet, and what is removed has none any more: not both at once.
    let _alone = if dry_run {
        None
    } else {
        Some(run_lock::take(settings, "binlogs")?)
    };
    let whose = Whose::look(settings)?;
    let mut entries = all(&directory).of_kind(Kind::Target)?;
    // Those of another server are its own business.
    entries.retain(|entry| !is_others(entry, &whose));
    let of_use = need.of_use(&entries);
    entries.retain(|entry| !of_use.contains(&entry.name));
    if !dry_run {
        for entry in &entries {
            remove(&directory, entry).of_kind(Kind::Target)?;
        }
    }
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

/// Whether a log is of another server than the one whose backups are kept, and that is still there.
fn is_others(entry: &Entry, whose: &Whose) -> bool {
    let own = whose.maker.as_ref().is_none_or(|maker| entry.is_of(maker));
    let archived = clock::now().duration_since(entry.archived).unsigned_abs();
    let is_there = |other: &Other| !other.gone && entry.is_of(&other.maker);
    !own && (archived < LATELY || whose.others.iter().any(is_there))
}

/// What backups need of the binary logs.
pub(crate) struct Need {
    /// When the oldest of them was begun.
    oldest: Timestamp,
    /// The logs that they begin in, as the server names them.
    begins: Vec<String>,
}

impl Need {
    /// `None` where there is no backup.
    fn of(backups: &[Manifest]) -> Option<Self> {
        let begins = |backup: &Manifest| Some(backup.coordinates.binlog.as_ref()?.file.clone());
        Some(Self {
            oldest: backups.iter().map(|backup| backup.started).min()?,
            begins: backups.iter().filter_map(begins).collect(),
        })
    }

    /// What the backups that are there need, where there is a policy for keeping them: a log that it would delete is not archived anew,
    /// for as long as the server still has it.
    pub(crate) fn by_policy(settings: &Settings) -> Result<Option<Self>> {
        if settings.keep.is_empty() {
            return Ok(None);
        }
        let mut backups = list(settings)?;
        backups.retain(|backup| backup.id.instance() == &settings.instance && backup.other_server.is_none());
        // What one needs whose manifest cannot be read is not known.
        if backups.iter().any(|backup| backup.manifest.is_none()) {
            return Ok(None);
        }
        let backups: Vec<_> = backups.into_iter().filter_map(Listed::complete).collect();
        Ok(Self::of(&backups))
    }

    /// The names of what is needed, and of all that goes on from there: a clock that was set back makes later logs look older.
    fn of_use(&self, entries: &[Entry]) -> HashSet<String> {
        let mut behind: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in entries {
            if let Some(previous) = &entry.previous {
                behind.entry(previous).or_default().push(entry);
            }
        }
        let needed = |entry: &&Entry| self.has(&entry.file, entry.ended);
        let mut found: Vec<&Entry> = entries.iter().filter(needed).collect();
        let mut names = HashSet::new();
        while let Some(entry) = found.pop() {
            if names.insert(entry.name.clone()) {
                found.extend(behind.remove(&*entry.name).unwrap_or_default());
            }
        }
        names
    }

    /// A log that a backup begins in stays in any case: a server that was killed has not written the end of it.
    pub(crate) fn has(&self, file: &str, ended: Timestamp) -> bool {
        // Events are of whole seconds, backups are not: one of the same second may have been written behind it.
        ended.as_second() >= self.oldest.as_second() || self.begins.iter().any(|begin| begin == file)
    }
}

/// The record goes first: without it there is no entry.
fn remove(directory: &Path, entry: &Entry) -> anyhow::Result<()> {
    let record = directory.join(format!("{}{RECORD}", entry.name));
    for path in [record, entry.path(directory)] {
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}
