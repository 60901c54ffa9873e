//! `glrl backup`: makes backups and lists them.

use std::path::{Path, PathBuf};

use super::{Context, Error, Exit, examples};
use crate::{
    backup::{self, Interrupt, Settings},
    config,
    report::{self, Steps, object},
};

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
    /// Make a backup
    ///
    /// The database is locked for as long as an LVM snapshot takes, at most for its budget; the archive is made from the snapshot,
    /// and gets its name when it is complete and on disk. Where the settings ask for it, it is verified then, here,
    /// and the exit status says what came of that.
    #[command(after_help = examples(&[
        ("glrl backup run", "as /etc/glrl/backup.yml says"),
        ("glrl backup run --quiet", "for cron: says only what went wrong"),
    ]))]
    Run(Common),
    /// List the backups in the target directory
    #[command(after_help = examples(&[("glrl backup list --json", "one JSON object a line")]))]
    List(Common),
    /// Archive the server's binary logs, from which a restore goes on to any later moment
    ///
    /// Logs that are closed are copied to the target, next to the backups; the one that is being written is closed first, unless the
    /// settings say otherwise. What is archived is never overwritten.
    #[command(after_help = examples(&[("glrl backup binlogs --quiet", "for cron, every few minutes")]))]
    Binlogs(Common),
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
        Command::Run(common) => make(common, context),
        Command::List(common) => list(common, context),
        Command::Binlogs(common) => super::binlogs::run(common, context),
    }
}

fn make(common: &Common, context: &mut Context) -> Result<Exit, Error> {
    let settings = common.settings()?;
    let interrupt = Interrupt::on_signals()?;
    let steps = Steps::new(context.output.verbosity());
    let manifest = backup::run(&settings, &interrupt, &mut |step| {
        if common.json {
            context.terminal.out(&(object(&step) + "\n"));
        } else {
            context.terminal.say(&steps.step(&step));
        }
    })?;
    if !common.json {
        context.terminal.out(&steps.complete(&manifest));
    }
    if settings.binlogs.archive {
        super::binlogs::archive(&settings, common.json, &interrupt, context)?;
    }
    if settings.verify.after_backup {
        return super::verify::prove(&settings, Some(&manifest.id), common.json, &interrupt, context);
    }
    Ok(Exit::Done)
}

fn list(common: &Common, context: &mut Context) -> Result<Exit, Error> {
    let backups = backup::list(&common.settings()?)?;
    let text = if common.json {
        backups.iter().map(|backup| object(backup) + "\n").collect()
    } else {
        report::list(&backups)
    };
    context.terminal.out(&text);
    Ok(Exit::Done)
}
