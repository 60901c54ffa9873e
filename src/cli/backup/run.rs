//! `glrl backup run`: makes a backup.

use super::{Common, Context, Error, Exit};
use crate::{
    backup::{self, Interrupt},
    cli::examples,
    report::{Steps, object},
};

/// Make a backup
///
/// The database is locked for as long as an LVM snapshot takes, at most for its budget; the archive is made from the snapshot,
/// and gets its name when it is complete and on disk.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl backup run", "as /etc/glrl/backup.yml says"),
    ("glrl backup run --quiet", "for cron: says only what went wrong"),
]))]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let settings = args.common.settings()?;
    let interrupt = Interrupt::on_signals()?;
    let steps = Steps::new(context.output.verbosity());
    let manifest = backup::run(&settings, &interrupt, &mut |step| {
        if args.common.json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.say(&steps.step(&step));
        }
    })?;
    if !args.common.json {
        context.terminal.out(&steps.complete(&manifest));
    }
    Ok(Exit::Done)
}
