//! Starts processes that end with this one, even when this one is killed.
//!
//! Linux's parent-death signal (prctl(2), `PR_SET_PDEATHSIG`) fires when the *thread* that forked
//! ends, and a test's thread ends long before the test process. So all are forked by one thread
//! that never ends. `setpriv --pdeathsig` sets the signal and becomes the program: same pid.

use std::{
    io,
    process::{Child, Command},
    sync::{LazyLock, mpsc},
    thread,
};

use anyhow::{Context, Result};

type Job = (Command, mpsc::Sender<io::Result<Child>>);

static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::spawn(move || {
        for (mut command, answer) in jobs {
            // An asker that is gone wants no answer.
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

/// A command that is killed when this process ends, however it ends.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Starts a command made by [`command`].
pub(crate) fn spawn(command: Command) -> Result<Child> {
    let (answer, child) = mpsc::channel();
    SPAWNER.send((command, answer)).context("the spawning thread is gone")?;
    Ok(child.recv().context("the spawning thread is gone")??)
}
