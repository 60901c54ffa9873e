//! `glrl converge`: makes the node as declared.

use std::time::Duration;

use super::{Context, Error, Exit, examples, job::Job, stop};
use crate::engine::{self, event::Event};

/// Make the node as its roles declare
///
/// The whole is planned first; then each resource is planned again just before its turn, changed if it has to be, and looked at
/// once more. A resource that fails fails alone: what needs it is skipped, the rest goes on. A run may be ended at any moment; the
/// next one finishes the job.
///
/// Each run leaves its events in /var/lib/glrl/runs (below --root: .glrl/runs), as --json prints them, without what stays as it is.
/// Kept are the last 50 runs, and of those before them the last 10 that changed something or failed.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl converge --role mysql --set data_device=/dev/sdb", "a built-in role"),
    ("glrl converge --role base --role web --wait 10m", "two roles; wait for another run to end"),
    ("glrl converge --role web --only file:/etc/motd", "one resource and what it needs"),
    ("glrl converge --role web --quiet", "for cron: says only what went wrong"),
]))]
pub(super) struct Args {
    #[command(flatten)]
    job: Job,
    /// Wait for another run to end, at most so long
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", help_heading = "Node")]
    wait: Duration,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let prepared = args.job.prepare()?;
    stop::listen()?;
    let node = args.job.open(&prepared)?;
    let state = args.job.node().state()?;
    let mut tell = args.job.emitter(context);
    let _lock = state.lock(args.wait, |owner| {
        tell(Event::Waiting {
            id: None,
            message: format!("another run is under way ({owner})"),
        });
    })?;
    let summary = engine::converge(&args.job.run(&prepared), &node, &state, &mut tell)?;
    Ok(Exit::of_converge(&summary, args.job.detailed_exitcode))
}

/// `90s`, `10m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || format!("'{text}' is not a time: write a number and a unit, as in 90s or 10m");
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    duration.try_into().map_err(|_| wrong())
}
