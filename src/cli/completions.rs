//! `glrl completions`: for the shell.

use clap_complete::Shell;

use super::{Context, Exit, command, examples};

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl completions bash > /etc/bash_completion.d/glrl", "for everybody"),
    ("source <(glrl completions zsh)", "for this shell"),
]))]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "glrl", &mut script);
    context.terminal.out(&String::from_utf8_lossy(&script));
    Exit::Done
}
