//! The record of a run: its events, one JSON object a line, below the state directory.

use std::{fs::File, io::Write};

use crate::{
    report::event::{Event, Outcome},
    system::state::StateDir,
    value::secret::redact_json,
};

/// An open record. It is history, not truth: a line that cannot be written is lost, and the run goes on.
#[derive(Debug)]
pub(super) struct Journal(Option<File>);

impl Journal {
    pub(super) fn begin(state: &StateDir, run: &str) -> Self {
        let file = state.journal(run);
        if let Err(error) = &file {
            tracing::warn!("this run goes without a record: {error:#}");
        }
        Self(file.ok())
    }

    pub(super) fn record(&mut self, event: &Event) {
        // What stays as it is, is in the counts at the end.
        if let Event::Planned {
            outcome: Outcome::Unchanged,
            ..
        }
        | Event::Applied {
            outcome: Outcome::Unchanged,
            ..
        } = event
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
