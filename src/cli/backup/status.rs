//! `glrl backup status`: is all well?

use super::{Common, Context, Error, Exit};
use crate::{
    backup,
    cli::examples,
    report::{self, object},
};

/// Say in one look how the backups are
///
/// The newest backup and whether it restores, how the last run went, what is left of runs that died, and the room that is left. The
/// exit status is 0 if all is well, 15 if no backup is young enough, 16 if one is damaged, 14 if the target is not there, and 1
/// if anything else is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl backup status", "for you"),
    ("glrl backup status --json", "for monitoring: one JSON object"),
]))]
pub(super) struct Args {
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Settings",
        help = "A newest backup older than this is stale [verify.max_age]"
    )]
    max_age: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let status = backup::status(
        &args
            .common
            .settings(&[("--max-age", "verify.max_age", args.max_age.as_deref())])?,
    )?;
    let text = if args.common.json {
        object(&status) + "\n"
    } else {
        report::status(&status, context.output.verbosity())
    };
    context.terminal.out(&text);
    Ok(Exit::of_health(status.health))
}
