//! `glrl backup prune`: deletes what need not be kept.

use super::{Common, Context, Error, Exit};
use crate::{
    backup::{self, Interrupt, Supervised},
    cli::{
        examples,
        supervised::{Work, supervised},
    },
    report::{Steps, object},
};

/// Delete the backups that need not be kept
///
/// What 'keep' of the settings asks for is kept, and always the newest backup that is known to restore. Backups that are not complete
/// count for nothing. Archived binary logs that are older than every backup that is kept go too. Without 'keep' nothing is deleted.
/// After a good backup this happens by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl backup prune --dry-run", "which are kept, and why"),
    ("glrl backup prune -n --keep-daily 7 --keep-monthly 6", "which would be, if these were the rules"),
]))]
pub(super) struct Args {
    /// Delete nothing, and say what would be deleted
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Keep the newest so many [keep.last]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    keep_last: Option<String>,
    /// Keep the newest of each of so many days [keep.daily]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    keep_daily: Option<String>,
    /// Keep the newest of each of so many weeks [keep.weekly]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    keep_weekly: Option<String>,
    /// Keep the newest of each of so many months [keep.monthly]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    keep_monthly: Option<String>,
    /// Keep what is this much older than the newest, or less [keep.within]
    #[arg(long, value_name = "TIME", help_heading = "Settings")]
    keep_within: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let settings = args.common.settings(&[
        ("--keep-last", "keep.last", args.keep_last.as_deref()),
        ("--keep-daily", "keep.daily", args.keep_daily.as_deref()),
        ("--keep-weekly", "keep.weekly", args.keep_weekly.as_deref()),
        ("--keep-monthly", "keep.monthly", args.keep_monthly.as_deref()),
        ("--keep-within", "keep.within", args.keep_within.as_deref()),
    ])?;
    // Nobody else need be told that a dry run came to nothing.
    let interrupt = if args.dry_run {
        Interrupt::on_signals()?
    } else {
        match supervised(Supervised::Prune, &settings, &args.common, context)? {
            Work::Done(exit) => return Ok(exit),
            Work::Begin(interrupt) => interrupt,
        }
    };
    let steps = Steps::new(context.output.verbosity());
    let pruned = backup::prune(&settings, args.dry_run, &interrupt, &mut |step| {
        if args.common.json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.emit(&steps.step(&step));
        }
    })?;
    if !args.common.json {
        context.terminal.out(&steps.pruned(&pruned, args.dry_run));
    }
    Ok(Exit::Done)
}
