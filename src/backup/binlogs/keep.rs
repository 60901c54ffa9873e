//! Which archived logs are still of use: those from the oldest backup that is kept on.

use std::{fs, path::Path};

use anyhow::Context;
use jiff::Timestamp;

use super::{
    all, directory,
    entry::{Entry, LOG, RECORD},
};
use crate::backup::{
    config::Settings,
    error::{Kind, OfKind, Result},
    manifest::Manifest,
};

/// Removes the logs that no backup can be replayed with: those that had ended before the oldest of `kept` was begun. Without a backup
/// that is kept, none goes. Returns the names of what was removed; with `dry_run`, of what would be.
pub fn reap(settings: &Settings, kept: &[Manifest], dry_run: bool) -> Result<Vec<String>> {
    let Some(oldest) = kept.iter().map(|manifest| manifest.started).min() else {
        return Ok(Vec::new());
    };
    let directory = directory(settings);
    let begins: Vec<&str> = kept
        .iter()
        .filter_map(|manifest| Some(manifest.coordinates.binlog.as_ref()?.file.as_str()))
        .collect();
    let names = of_no_use(&all(&directory).of_kind(Kind::Target)?, oldest, &begins);
    if !dry_run {
        for name in &names {
            remove(&directory, name).of_kind(Kind::Target)?;
        }
    }
    Ok(names)
}

/// A log that a backup begins in stays in any case: a server that was killed has not written the end of it.
fn of_no_use(entries: &[Entry], oldest: Timestamp, begins: &[&str]) -> Vec<String> {
    let useless = entries
        .iter()
        .filter(|entry| entry.ended < oldest && !begins.contains(&entry.file.as_str()));
    useless.map(|entry| entry.name.clone()).collect()
}

/// The record goes first: without it there is no entry.
fn remove(directory: &Path, name: &str) -> anyhow::Result<()> {
    for suffix in [RECORD, LOG] {
        let path = directory.join(format!("{name}{suffix}"));
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}
