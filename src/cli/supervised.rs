//! A command whose work is done by a worker, and supervised: glrl starts itself once more with the same arguments.

use std::ffi::OsString;

use super::{Context, Error, Exit, backup::Common};
use crate::{
    backup::{self, Heartbeat, Interrupt, Settings, Supervised},
    report::{Steps, object},
};

/// The option that makes a command a worker.
const WORKER: &str = "--worker";

/// What a command is to do.
pub(super) enum Work {
    /// Nothing more: its worker has done it.
    Done(Exit),
    /// The work itself, until it is interrupted.
    Begin(Interrupt),
}

/// Has a worker do what this command was asked for, unless it is the worker.
pub(super) fn supervised(
    what: Supervised,
    settings: &Settings,
    common: &Common,
    context: &mut Context,
) -> Result<Work, Error> {
    let interrupt = Interrupt::on_signals()?;
    if common.worker {
        return Ok(Work::Begin(interrupt.beating(Heartbeat::of_worker()?)));
    }
    let steps = Steps::new(context.output.verbosity());
    let args = worker(std::env::args_os().skip(1));
    let code = backup::supervise(settings, what, args, &interrupt, &mut |step| {
        if common.json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.emit(&steps.step(&step));
        }
    })?;
    Ok(Work::Done(Exit::of_code(code)))
}

/// The arguments of the worker of a command with these. Behind `--` there are no options.
fn worker(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut args: Vec<OsString> = args.collect();
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    args.insert(end, WORKER.into());
    args.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_so_among_the_options() {
        for (args, told) in [
            (&["verify"][..], &["verify", WORKER][..]),
            (&["verify", "--", "ID"], &["verify", WORKER, "--", "ID"]),
        ] {
            let told: Vec<OsString> = told.iter().map(Into::into).collect();
            assert_eq!(worker(args.iter().map(Into::into)).collect::<Vec<_>>(), told);
        }
    }
}
