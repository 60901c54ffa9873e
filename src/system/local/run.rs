//! Running the programs that operations name.

use std::path::Path;

use anyhow::{Result, bail};

use crate::system::{Command, programs::Program};

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
    program.stdout().map(drop)
}
