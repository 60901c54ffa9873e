//! What holds for following logs: see `src/fuzzing.rs`.

use crate::{
    model::binlog::Entry,
    restore::ways::{all_behind, behind, fork},
};

/// None is met twice, wherever one begins.
pub(crate) fn chain(entries: &[Entry]) {
    for until in ["end", "0-1-5", "2026-11-01T03:15:00Z"].map(|text| text.parse().unwrap()) {
        for mut entry in entries {
            assert!(
                all_behind(entry, entries).len() < entries.len(),
                "{entry:?} goes on from itself"
            );
            let mut met = 0;
            while let Some(next) = fork(behind(entry, entries), &until, entries, &mut None) {
                entry = next;
                met += 1;
                assert!(met < entries.len(), "there is no end");
            }
        }
    }
}
