//! The record of a run: its events, one JSON object a line, below the state directory. Of the runs before it the last are kept, and
//! beyond those some that have something to tell: a run that cron starts every five minutes must not push out what changed yesterday.

use std::{fs::File, io::Write};

use anyhow::Result;

use crate::{
    engine::event::{Event, Outcome},
    system::{Bytes, state::StateDir},
    value::secret::redact_json,
};

/// So many of the last runs are kept.
const LAST: usize = 50;

/// And so many of those before them that have more to tell than that they began and ended.
const TELLING: usize = 10;

/// An open record. It is history, not truth: a line that cannot be written is lost, and the run goes on.
#[derive(Debug)]
pub(super) struct Journal(Option<File>);

impl Journal {
    pub(super) fn begin(state: &StateDir, run: &str) -> Self {
        if let Err(error) = prune(state) {
            tracing::warn!("removing the records of old runs: {error:#}");
        }
        let file = state.journal(run);
        if let Err(error) = &file {
            tracing::warn!("this run goes without a record: {error:#}");
        }
        Self(file.ok())
    }

    pub(super) fn record(&mut self, event: &Event) {
        // What stays as it is, and what is left out as the role says, is in the counts at the end.
        if let Event::Planned { outcome, .. } | Event::Applied { outcome, .. } = event
            && matches!(outcome, Outcome::Unchanged | Outcome::Skipped { cause: None, .. })
        {
            return;
        }
        let Some(file) = &mut self.0 else { return };
        let Ok(mut value) = serde_json::to_value(event) else {
            return;
        };
        redact_json(&mut value);
        if let Err(error) = file.write_all(format!("{value}\n").as_bytes()) {
            tracing::warn!("the record of this run ends here: {error}");
            self.0 = None;
        }
    }
}

/// Removes the records of runs that nobody will ask for. What is not called like a run is left alone.
fn prune(state: &StateDir) -> Result<()> {
    let mut runs = state.runs()?;
    runs.retain(|name| super::Run::is_name(name));
    // With the one that begins now there will be one more.
    let old = runs.len().saturating_sub(LAST - 1);
    let mut telling = 0;
    for run in runs[..old].iter().rev() {
        let lines = |record: Bytes| record.iter().filter(|byte| **byte == b'\n').count();
        if telling < TELLING && state.record(run)?.map_or(0, lines) > 2 {
            telling += 1;
        } else {
            state.forget(run)?;
        }
    }
    Ok(())
}
