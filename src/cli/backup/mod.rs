//! `glrl backup`: makes backups, and says what there is. One file a command.

mod list;
mod run;

use std::path::{Path, PathBuf};

use super::{Context, Error, Exit, examples};
use crate::{backup::Settings, config};

/// Back up the database of this node, or list its backups
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl backup run", "lock, snapshot, unlock, archive"),
    ("glrl backup list", "what there is, and whether it restores"),
]))]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(run::Args),
    List(list::Args),
}

/// Options of all that has to do with backups.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// The settings [default: /etc/glrl/backup.yml, if it is there]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

impl Common {
    /// Reads the settings. Where nobody named a file and the usual one is not there, the usual settings hold.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        let path = self.settings.as_deref().unwrap_or(Path::new("/etc/glrl/backup.yml"));
        match (config::settings(path)?, &self.settings) {
            (Some(settings), _) => Ok(settings),
            (None, None) => Ok(Settings::default()),
            (None, Some(_)) => Err(Error::Usage {
                message: format!("there is no file {}", path.display()),
                hint: Some("without --settings, /etc/glrl/backup.yml is read if it is there".to_owned()),
            }),
        }
    }
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    match &args.command {
        Command::Run(args) => run::run(args, context),
        Command::List(args) => list::run(args, context),
    }
}
