//! Running the programs that operations name.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::mounts;
use crate::system::{
    Command, Effect,
    programs::{Missing, Program},
};

/// Runs a command on the live node. In an offline tree only programs that take the tree's root can run: shadow-utils, by `--prefix`.
pub(super) fn run(command: &Command, root: &Path, live: bool) -> Result<()> {
    let [name, args @ ..] = command.argv.as_slice() else {
        bail!("a command without a program")
    };
    let mut program = match &command.user {
        None => Program::new(name.as_str()),
        Some(user) => Program::new("runuser").args(["-u", user.as_str(), "--", name.as_str()]),
    };
    if !live {
        const OFFLINE: [&str; 6] = ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"];
        if !OFFLINE.contains(&name.as_str()) {
            bail!("{name} cannot be run in an offline tree (--root)");
        }
        program = program.args([Path::new("--prefix"), root]);
    }
    program = program.args(args).timeout(command.timeout);
    for (name, value) in &command.env {
        program = program.env(name, value);
    }
    if let Some(cwd) = &command.cwd {
        program = program.cwd(cwd.to_path_buf());
    }
    if let Some(stdin) = &command.stdin {
        program = program.stdin(stdin.to_vec());
    }
    let until = Instant::now() + command.patience;
    let error = loop {
        match program.stdout() {
            Ok(_) => return Ok(()),
            Err(error) if error.is::<Missing>() || Instant::now() >= until => break error,
            Err(error) => tracing::info!("{name} is run again in {} s: {error:#}", PAUSE.as_secs()),
        }
        thread::sleep(PAUSE);
    };
    let error = if command.patience.is_zero() {
        error
    } else {
        error.context(format!("it did not work for {} s", command.patience.as_secs()))
    };
    // What cannot be unmounted is in use by somebody, whose name is what the operator needs.
    let busy: Vec<String> = command
        .makes
        .iter()
        .filter_map(|effect| match effect {
            Effect::Unmounted(target) => Some(mounts::users(target)),
            _ => None,
        })
        .flatten()
        .collect();
    if busy.is_empty() {
        return Err(error);
    }
    Err(error.context(format!("it is in use: {}", busy.join("; "))))
}

/// Between two tries of a command that has patience.
const PAUSE: Duration = Duration::from_secs(2);
