//! Options that commands share.

use clap::Args;

use crate::report::Verbosity;

/// How much is said, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Say more: whole texts, and what is as declared
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Log what is done, on standard error
    #[arg(
        long,
        global = true,
        long_help = "Log what is done, on standard error; GLRL_LOG takes a finer filter, as in glrl::engine=trace"
    )]
    pub(super) debug: bool,
}

impl Output {
    pub(super) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    /// A progress line and a log get in each other's way.
    pub(super) fn wants_progress(&self) -> bool {
        !self.debug && !self.quiet
    }
}
