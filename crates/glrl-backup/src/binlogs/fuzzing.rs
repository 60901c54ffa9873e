//! What holds for records of binary logs: see `src/fuzzing.rs`.

use std::collections::HashSet;

use crate::{
    binlogs::gap::{Gap, Series},
    model::{binlog::Entry, manifest::Manifest},
    restore,
    store::binlog::entry::circle,
};

/// Logs that go on from each other can be followed to an end, if none goes on from itself.
pub(crate) fn chain(entries: &[Entry]) {
    for (one, other) in entries.iter().zip(entries.iter().skip(1)) {
        assert!(one.is_same_log(one) && one.is_same_log(other) == other.is_same_log(one));
    }
    // Names are names of files.
    let names: HashSet<&String> = entries.iter().map(|entry| &entry.name).collect();
    if names.len() < entries.len() || circle(entries).is_some() {
        return;
    }
    let manifest: Manifest = serde_json::from_str(include_str!("../../../../fuzz/corpus/manifest/plain.json")).unwrap();
    gap(&manifest, entries);
    restore::fuzzing::chain(entries);
}

/// Whether there is a gap behind a backup can be said.
pub(crate) fn gap(manifest: &Manifest, entries: &[Entry]) {
    let last = entries.last();
    let series = Series {
        known: entries,
        last: last.map(|last| last.name.as_str()),
        open: ("binlog.000099", last.map_or(manifest.started, |last| last.ended)),
        unread: &[],
    };
    let _ = Gap::behind(manifest, &series);
}
