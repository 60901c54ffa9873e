//! Planning and converging: the five laws at work. The same providers answer both; `plan` shows their operations, `converge`
//! executes them.

mod apply;
mod converge;
mod dry_run;
pub mod event;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hypothetical;
mod journal;
mod ledger;
mod pending;
mod protection;
mod run_state;
mod schedule;
mod temporaries;
#[cfg(test)]
mod tests;

pub use converge::converge;
pub use dry_run::plan;
pub use run_state::RunState;

use crate::{graph::Graph, source::Sources, system::clock};

/// What a run is about.
#[derive(Debug)]
pub struct Run<'a> {
    /// The resources and their order.
    pub graph: &'a Graph,
    /// The texts that their places point into.
    pub sources: &'a Sources,
    /// Names the record of this run: when it began, and the process.
    pub name: String,
    /// The node's name.
    pub host: String,
    /// The roles, as they were asked for.
    pub roles: Vec<String>,
    /// The same roles by their names.
    pub names: Vec<String>,
    /// Looked at between operations: true once the user wants the run to stop.
    pub stop: fn() -> bool,
}

impl Run<'_> {
    /// `20261124T182025Z-4711`: sorts by time, and no two runs of one node share it.
    pub fn fresh_name() -> String {
        format!("{}-{}", clock::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id())
    }

    /// Whether something is called like a run.
    fn is_name(name: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts = name
            .split_once('T')
            .and_then(|(date, rest)| Some((date, rest.split_once("Z-")?)));
        parts.is_some_and(|(date, (time, process))| digits(date) && digits(time) && digits(process))
    }

    fn place(&self, index: usize) -> String {
        self.sources.locate(self.graph.get(index).place)
    }
}

/// The run was stopped by a signal; what was done is done, and the next run goes on. Exit code 130.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal; run again to go on")]
pub struct Stopped;
