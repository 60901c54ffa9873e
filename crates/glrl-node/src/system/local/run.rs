//! Running the programs that operations name.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{accounts::Accounts, explain, tree::Tree};
use crate::system::{
    Command, Effect, limit,
    programs::{Missing, Program},
};

/// Programs that take an offline tree's root by `--prefix` (shadow-utils).
const OFFLINE: [&str; 6] = ["useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel"];

/// An error for a command that cannot run in an offline tree.
pub(super) fn admits_offline(command: &Command) -> Result<()> {
    match command.argv.first() {
        Some(name) if !OFFLINE.contains(&name.as_str()) || command.user.is_some() => {
            bail!("{name} cannot be run in an offline tree (--root)")
        }
        _ => Ok(()),
    }
}

/// Runs a command. In an offline tree (`live` is false) only programs that take the tree's root can run.
pub(super) fn run(command: &Command, tree: &Tree, live: bool, accounts: &Accounts) -> Result<()> {
    let [name, args @ ..] = command.argv.as_slice() else {
        bail!("a command without a program")
    };
    let mut program = match &command.user {
        None => Program::new(name.as_str()),
        Some(user) => as_user(user, accounts)?.args([name.as_str()]),
    };
    if !live {
        program = program.args([Path::new("--prefix"), tree.root()]);
        if name == "userdel" {
            remove_group(command, tree)?;
        }
    }
    program = program.args(args).timeout(limit::or(command.timeout));
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
    Err(explain::explain(command, error))
}

/// Between two tries of a command that has patience.
const PAUSE: Duration = Duration::from_secs(2);

/// With `--prefix`, userdel leaves the account's own group where the tree has no login.defs(5) that says otherwise (shadow 4.13); of a
/// live node it removes it. The group goes first: it is known to be the account's own only as long as there is the account, and a run can be
/// killed in between.
fn remove_group(command: &Command, tree: &Tree) -> Result<()> {
    let left = Accounts::read(tree)?;
    for effect in &command.makes {
        if let Effect::Group(group, None) = effect
            && left.group(group).is_some()
        {
            let program = Program::new("groupdel").args(["--force", "--prefix"]);
            program.args([tree.root(), Path::new(group)]).stdout()?;
        }
    }
    Ok(())
}

/// runuser(1), with the variables that a login would set (environ(7)): a program that looks for its files in root's home finds
/// nothing it may read.
fn as_user(name: &str, accounts: &Accounts) -> Result<Program> {
    let Some(user) = accounts.user(name) else {
        bail!("nothing can be run as {name}: there is no such user")
    };
    Ok(Program::new("runuser")
        .args(["-u", name, "--"])
        .env("HOME", &user.home)
        .env("USER", name)
        .env("LOGNAME", name))
}
