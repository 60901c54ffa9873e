//! `glrl restore`: a backup becomes files again.

use std::path::PathBuf;

use clap::ArgGroup;

use super::{
    Context, Error, Exit,
    backup::Common,
    examples,
    supervised::{Work, supervised},
};
use crate::{
    backup::{self, Destination, Request, Supervised, Until},
    report::{Steps, object},
};

/// Restore a backup to a directory, or to the volume of a stopped server
///
/// Every hash is checked while the archive is read; what is damaged is not kept. The files stand in their place when all of them
/// are there and on disk, and belong to the server's account only then: a restore that was killed is no database that a server
/// would start on, and the next restore clears it away. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("destination").args(["to", "in_place"]).required(true))]
#[command(after_help = examples(&[
    ("glrl restore --to /srv/look", "the newest backup, to look at"),
    ("glrl restore --in-place", "the stopped server's own volume, which is empty"),
    ("glrl restore --to /srv/before --until 0-1-4711", "and on to this transaction"),
    ("glrl restore --in-place --backup mysql-db1-20261101T031500Z", "this one"),
]))]
pub(super) struct Args {
    /// Restore into this directory, which is empty or new
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Restore onto the volume it was taken from: mounted, empty, and its server stopped
    #[arg(long)]
    in_place: bool,
    /// A backup, as 'glrl backup list' names it; the newest where none is named
    #[arg(long, value_name = "ID")]
    backup: Option<String>,
    /// Go on from the backup to this moment, by archived binary logs: a GTID (included), a time (not included), or 'end'
    ///
    /// Without --backup, the newest backup before that moment is taken.
    #[arg(long, value_name = "GTID|TIME|end")]
    until: Option<String>,
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
    let identity = args.identity.as_deref();
    let settings = args
        .common
        .settings(&[("--identity", "encryption.identity_file", identity)])?;
    let request = Request {
        id: args.backup.as_deref().map(backup_id).transpose()?,
        to: match &args.to {
            Some(directory) => Destination::Directory(directory.clone()),
            None => Destination::InPlace,
        },
        until: args.until.as_deref().map(until).transpose()?,
    };
    let interrupt = match supervised(Supervised::Restore, &settings, &args.common, context)? {
        Work::Done(exit) => return Ok(exit),
        Work::Begin(interrupt) => interrupt,
    };
    let steps = Steps::new(context.output.verbosity());
    let restored = backup::restore(&settings, &request, &interrupt, &mut |step| {
        if args.common.json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.emit(&steps.step(&step));
        }
    })?;
    let last = if args.common.json {
        object(&restored) + "\n"
    } else {
        steps.restored(&restored)
    };
    context.terminal.out(&last);
    Ok(Exit::Done)
}

fn until(text: &str) -> Result<Until, Error> {
    text.parse().map_err(|message| Error::Usage { message, hint: None })
}

/// A backup that the command line names.
pub(super) fn backup_id(text: &str) -> Result<backup::BackupId, Error> {
    text.parse().map_err(|message| Error::Usage {
        message,
        hint: Some("'glrl backup list' names them".to_owned()),
    })
}
