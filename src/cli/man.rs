//! `glrl man`: the manual pages, in roff.

use anyhow::Context as _;

use super::{Context, Error, Exit, command, examples};

/// Print a manual page
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl man | man -l -", "read the page of glrl"),
    ("glrl man plan > glrl-plan.1", "the page of one command"),
]))]
pub(super) struct Args {
    /// The command it is about; glrl itself where none is named
    command: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let all = command();
    let of = match &args.command {
        None => all,
        Some(name) => find(&all, name)?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(of.disable_help_flag(true))
        .manual("glrl")
        .source(concat!("glrl ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .context("writing the manual page")?;
    context.terminal.out(&String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}

fn find(all: &clap::Command, name: &str) -> Result<clap::Command, Error> {
    let commands = || all.get_subcommands().filter(|command| !command.is_hide_set());
    match commands().find(|command| command.get_name() == name) {
        Some(found) => Ok(found.clone().name(format!("glrl-{name}"))),
        None => Err(Error::unknown(
            "command",
            name,
            &commands().map(clap::Command::get_name).collect::<Vec<_>>(),
        )),
    }
}
