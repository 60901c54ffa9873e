//! Ctrl-C, SIGTERM, and SIGHUP, which comes when the terminal goes away: the first asks the run to stop after the operation under
//! way, the second stops at once. Either is safe: a run may die at any instruction, and the next one finishes the job.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::exit::Exit;
use crate::system::signals;

static WANTED: AtomicBool = AtomicBool::new(false);

/// Whether the run is to stop.
pub(super) fn wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Listens for signals from now on.
pub(super) fn listen() -> Result<()> {
    // Who said nohup means it.
    let hangup = (!signals::is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup)).context("listening for signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if WANTED.swap(true, Ordering::Relaxed) {
                std::process::exit(Exit::Signal.code().into());
            }
            // In place of the progress line and of the ^C that the terminal echoes. A message that cannot be written is lost.
            let line = if io::stderr().is_terminal() { "\r\x1b[2K" } else { "" };
            let _ = writeln!(
                io::stderr(),
                "{line}stopping after the operation under way; once more stops at once"
            );
        }
    });
    Ok(())
}
