//! `glrl backup binlogs`: archives the binary logs.

use super::{Context, Error, Exit, backup::Common};
use crate::{
    backup::{self, Interrupt, Settings},
    report::{Steps, object},
};

pub(super) fn run(common: &Common, context: &mut Context) -> Result<Exit, Error> {
    archive(&common.settings()?, common.json, &Interrupt::on_signals()?, context)?;
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
            context.terminal.say(&steps.step(&step));
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
