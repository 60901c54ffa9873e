//! `glrl backup binlogs`: archives the binary logs.

use super::{Common, Context, Error, Exit};
use crate::{
    backup::{self, Interrupt, Settings, Supervised},
    cli::{
        examples,
        supervised::{Work, supervised},
    },
    report::{Steps, object},
};

/// Archive the server's binary logs, from which a restore goes on to any later moment
///
/// Logs that are closed are copied to the target, next to the backups; the one that is being written is closed first, unless the
/// settings say otherwise. What is archived is never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[("glrl backup binlogs --quiet", "for cron, every few minutes")]))]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let settings = args.common.settings(&[])?;
    let interrupt = match supervised(Supervised::Binlogs, &settings, &args.common, context)? {
        Work::Done(exit) => return Ok(exit),
        Work::Begin(interrupt) => interrupt,
    };
    archive(&settings, args.common.json, &interrupt, context)?;
    Ok(Exit::Done)
}

/// Archives the logs, and says which.
pub(super) fn archive(
    settings: &Settings,
    json: bool,
    interrupt: &Interrupt,
    context: &mut Context,
) -> Result<(), Error> {
    let steps = Steps::new(context.output.verbosity());
    let archived = backup::archive_binlogs(settings, interrupt, &mut |step| {
        if json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.emit(&steps.step(&step));
        }
    })?;
    let last = if json {
        object(&archived) + "\n"
    } else {
        steps.archived(&archived)
    };
    context.terminal.out(&last);
    Ok(())
}
