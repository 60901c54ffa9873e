//! The command line: one file a command. It is the only layer that knows streams, the environment and exit codes.

use std::fmt::Write as _;

mod backup;
mod check;
mod completions;
mod converge;
mod environment;
mod error;
mod exit;
mod explain;
mod facts;
mod graph;
mod job;
mod log;
mod man;
mod node;
mod options;
mod plan;
mod reference;
mod restore;
mod roles;
mod schema;
mod stop;
mod supervised;
mod verify;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use nix::sys::stat::{Mode, umask};

use self::{error::Error, exit::Exit, options::Output};
use crate::report::{
    Terminal,
    style::{self, STRONG, paint},
};

/// Converge a Linux node to what YAML role files declare.
///
/// A role says how a node should be. 'glrl plan' shows what would change and changes nothing; 'glrl converge' makes it so, and a
/// second converge changes nothing.
#[derive(Debug, Parser)]
#[command(name = "glrl", version, styles = style::CLAP, max_term_width = 100, arg_required_else_help = true)]
#[command(subcommand_required = true, disable_help_subcommand = true, infer_long_args = false)]
#[command(after_help = after_help(), after_long_help = format!("{}{}", after_help(), environment()))]
struct Cli {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Plan(plan::Args),
    Converge(converge::Args),
    Explain(explain::Args),
    Facts(facts::Args),
    Graph(graph::Args),
    Schema(schema::Args),
    Backup(backup::Args),
    Verify(verify::Args),
    Restore(restore::Args),
    Completions(completions::Args),
    Man(man::Args),
    Reference(reference::Args),
}

/// What a command works with.
struct Context {
    terminal: Terminal,
    output: Output,
}

/// Does what the arguments say. The first one is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // What a run makes depends on its role, not on who starts it. A directory has its mode from the first moment, also where the run is
    // killed right behind it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let mut context = Context {
        terminal: Terminal::new(cli.output.wants_progress()),
        output: cli.output,
    };
    let result = log::begin(context.output.debug, environment::log().as_deref())
        .map_err(|message| Error::Usage { message, hint: None })
        .and_then(|()| cli.command.run(&mut context));
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            let width = context.terminal.width();
            context.terminal.err(&error.render(width));
            Exit::of(&error)
        }
    };
    match exit {
        Exit::Done if !context.terminal.finish() => Exit::Failed.into(),
        exit => exit.into(),
    }
}

impl Command {
    fn run(self, context: &mut Context) -> Result<Exit, Error> {
        match self {
            Self::Check(args) => check::run(&args, context),
            Self::Plan(args) => plan::run(&args, context),
            Self::Converge(args) => converge::run(&args, context),
            Self::Explain(args) => explain::run(&args, context),
            Self::Facts(args) => facts::run(&args, context),
            Self::Graph(args) => graph::run(&args, context),
            Self::Backup(args) => backup::run(&args, context),
            Self::Verify(args) => verify::run(&args, context),
            Self::Restore(args) => restore::run(&args, context),
            Self::Schema(args) => schema::run(&args, context),
            Self::Completions(args) => Ok(completions::run(&args, context)),
            Self::Man(args) => man::run(&args, context),
            Self::Reference(args) => reference::run(&args, context),
        }
    }
}

/// Help and version were asked for; anything else is a mistake.
fn usage(error: &clap::Error) -> Exit {
    // A reader that has gone is no error.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

/// The command line as data, for completions, the man page and the reference.
fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Examples and the table of exit codes, below `glrl --help`.
fn after_help() -> String {
    let mut text = examples(&[
        ("glrl check roles/mysql.yml", "is the role right?"),
        (
            "glrl plan --role mysql --set data_device=/dev/sdb",
            "what would change?",
        ),
        ("glrl converge --role mysql --set data_device=/dev/sdb", "make it so"),
    ]);
    let _ = writeln!(text, "\n\n{}", paint(STRONG, "Exit codes:"));
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    text
}

/// What is read from the environment, below `glrl --help`.
fn environment() -> String {
    let title = paint(STRONG, "Environment:");
    format!(
        "\n{title}\n  GLRL_VAR_NAME  the value of the input NAME\n  GLRL_LOG       a filter of the log, as in glrl::engine=trace\n  \
         NO_COLOR       no colours, if it is set\n"
    )
}

/// Examples, as they stand below the help of a command.
fn examples(lines: &[(&str, &str)]) -> String {
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
    let mut text = paint(STRONG, "Examples:");
    for (line, comment) in lines {
        let _ = write!(text, "\n  {}", format_args!("{line:width$}  # {comment}"));
    }
    text
}
