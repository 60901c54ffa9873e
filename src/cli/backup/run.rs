//! `glrl backup run`: makes a backup.

use super::{Common, Context, Error, Exit};
use crate::{
    backup::{self, Supervised},
    cli::{
        examples,
        supervised::{Work, supervised},
        verify,
    },
    report::{Steps, object},
};

/// Make a backup
///
/// The database is locked for as long as an LVM snapshot takes, at most for its budget; the archive is made from the snapshot,
/// and gets its name when it is complete and on disk. Where the settings ask for it, binary logs are archived then, and the backup is
/// verified, here; the exit status says what came of that.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl backup run", "as /etc/glrl/backup.yml says"),
    ("glrl backup run --quiet", "for cron: says only what went wrong"),
    ("glrl backup run --lock-budget 2s --set keep.daily=7", "otherwise than the file says"),
]))]
pub(super) struct Args {
    /// How long the lock may be waited for, and kept [lock.budget]
    #[arg(long, value_name = "TIME", help_heading = "Settings")]
    lock_budget: Option<String>,
    /// Room for what changes while the copy is made [snapshot.size]
    #[arg(long, value_name = "SIZE", help_heading = "Settings")]
    snapshot_size: Option<String>,
    /// zstd's level, 1 to 19 [archive.level]
    #[arg(long, value_name = "LEVEL", help_heading = "Settings")]
    level: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let settings = args.common.settings(&[
        ("--lock-budget", "lock.budget", args.lock_budget.as_deref()),
        ("--snapshot-size", "snapshot.size", args.snapshot_size.as_deref()),
        ("--level", "archive.level", args.level.as_deref()),
    ])?;
    let interrupt = match supervised(Supervised::Backup, &settings, &args.common, context)? {
        Work::Done(exit) => return Ok(exit),
        Work::Begin(interrupt) => interrupt,
    };
    let steps = Steps::new(context.output.verbosity());
    let manifest = backup::run(&settings, &interrupt, &mut |step| {
        if args.common.json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.emit(&steps.step(&step));
        }
    })?;
    if !args.common.json {
        context.terminal.out(&steps.complete(&manifest));
    }
    // Whatever becomes of the logs, the backup is verified.
    let archived = if settings.binlogs.archive {
        super::binlogs::archive(&settings, args.common.json, &interrupt, context)
    } else {
        Ok(())
    };
    let exit = if settings.verify.after_backup {
        verify::prove(&settings, Some(&manifest.id), args.common.json, &interrupt, context)?
    } else {
        Exit::Done
    };
    if exit == Exit::Done {
        archived?;
    }
    Ok(exit)
}
