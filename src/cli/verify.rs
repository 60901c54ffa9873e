//! `glrl verify`: does a backup restore?

use super::{
    Context, Error, Exit,
    backup::Common,
    examples,
    restore::backup_id,
    supervised::{Work, supervised},
};
use crate::{
    backup::{self, BackupId, Interrupt, Settings, Supervised},
    report::{Steps, object},
};

/// Prove that a backup restores
///
/// The archive's hashes are compared, it is unpacked into the scratch directory, a server of its own is started on it, without
/// network, and everything in it is checked and read. There is one verdict; the exit status says it too.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl verify", "the newest backup"),
    ("glrl verify mysql-db1-20261101T031500Z", "this one"),
]))]
pub(super) struct Args {
    /// A backup, as 'glrl backup list' names it; the newest where none is named
    id: Option<String>,
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Settings",
        help = "A newest backup older than this is stale [verify.max_age]"
    )]
    max_age: Option<String>,
    /// Where the archive is unpacked [verify.scratch]
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    scratch: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Settings",
        help = "The secret key of an encrypted backup, as age-keygen writes it [encryption.identity_file]"
    )]
    identity: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let settings = args.common.settings(&[
        ("--max-age", "verify.max_age", args.max_age.as_deref()),
        ("--scratch", "verify.scratch", args.scratch.as_deref()),
        ("--identity", "encryption.identity_file", args.identity.as_deref()),
    ])?;
    let id = args.id.as_deref().map(backup_id).transpose()?;
    let interrupt = match supervised(Supervised::Verify, &settings, &args.common, context)? {
        Work::Done(exit) => return Ok(exit),
        Work::Begin(interrupt) => interrupt,
    };
    prove(&settings, id.as_ref(), args.common.json, &interrupt, context)
}

/// Verifies a backup, the newest unless one is named, and says what came of it.
pub(super) fn prove(
    settings: &Settings,
    id: Option<&BackupId>,
    json: bool,
    interrupt: &Interrupt,
    context: &mut Context,
) -> Result<Exit, Error> {
    let steps = Steps::new(context.output.verbosity());
    let verdict = backup::verify(settings, id, interrupt, &mut |step| {
        if json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.emit(&steps.step(&step));
        }
    })?;
    let last = if json {
        object(&verdict) + "\n"
    } else {
        steps.verdict(&verdict)
    };
    context.terminal.out(&last);
    Ok(Exit::of_verdict(&verdict))
}
