//! `glrl plan`: the dry run.

use super::{Context, Error, Exit, examples, job::Job, stop};
use crate::engine::{self, RunState};

/// Show what converge would change, and change nothing
///
/// Every resource is planned on the node as those before it will have left it. What nobody can know before another resource is
/// applied is shown as such, with what it wants; it is never guessed.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl plan --role mysql --set data_device=/dev/sdb", "a built-in role"),
    ("glrl plan --role ./web.yml --root /tmp/tree", "a tree of files instead of this machine"),
    ("glrl plan --role web --json | jq .", "for programs"),
    ("glrl plan --role web --quiet --detailed-exitcode", "status 2: there are changes"),
]))]
pub(super) struct Args {
    #[command(flatten)]
    job: Job,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let prepared = args.job.prepare()?;
    stop::listen()?;
    let node = args.job.open(&prepared)?;
    let run_state = match args.job.node().state_if_any()? {
        Some(state) => RunState::load(&state)?,
        None => RunState::default(),
    };
    let summary = engine::plan(
        &args.job.run(&prepared),
        &node,
        &run_state,
        &mut args.job.emitter(context),
    )?;
    Ok(Exit::of_plan(&summary, args.job.detailed_exitcode))
}
