//! `glrl backup list`: what there is.

use super::{Common, Context, Error, Exit};
use crate::{
    backup,
    cli::examples,
    report::{self, object},
};

/// List the backups in the target directory
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[("glrl backup list --json", "one JSON object a line")]))]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let backups = backup::list(&args.common.settings(&[])?)?;
    let text = if args.common.json {
        backups.iter().map(|backup| object(backup) + "\n").collect()
    } else {
        report::list(&backups)
    };
    context.terminal.out(&text);
    Ok(Exit::Done)
}
