//! `glrl backup`: makes backups, and says what there is. One file a command.

mod binlogs;
mod common;
mod list;
mod prune;
mod run;
mod status;

pub(super) use common::Common;

use super::{Context, Error, Exit, examples};

/// Back up the database of this node, and look after its backups
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl backup run", "lock, snapshot, unlock, archive"),
    ("glrl backup list", "what there is, and whether it restores"),
    ("glrl backup status", "is all well? for you, and for monitoring"),
    ("glrl backup prune --dry-run", "which are kept, and why"),
]))]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(run::Args),
    List(list::Args),
    Binlogs(binlogs::Args),
    Status(status::Args),
    Prune(prune::Args),
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    match &args.command {
        Command::Run(args) => run::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Binlogs(args) => binlogs::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Prune(args) => prune::run(args, context),
    }
}
