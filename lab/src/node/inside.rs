//! A node from inside, over ssh: commands and files.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};

use super::Node;
use crate::{
    host,
    ssh::{Output, Ssh, quote},
};

/// How long a command may take that was given no other limit.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_mins(20);

impl Node {
    /// Arguments for a human's own `ssh` to the node, up to the host.
    ///
    /// # Errors
    /// When the node is off.
    pub fn ssh_arguments(&self) -> Result<Vec<String>> {
        Ok(self.connection()?.arguments())
    }

    /// Runs a shell command line as root, within twenty minutes. How it ends is the caller's to judge.
    ///
    /// # Errors
    /// When the node is off, or the time is over.
    pub fn ssh(&self, command: &str) -> Result<Output> {
        self.ssh_within(command, COMMAND_LIMIT)
    }

    /// As [`Self::ssh`], with another limit.
    ///
    /// # Errors
    /// When the node is off, or the time is over; the command may then still run on the node.
    pub fn ssh_within(&self, command: &str, limit: Duration) -> Result<Output> {
        let ssh = self.connection()?;
        self.told(ssh.run(command, limit))
    }

    /// Runs a shell command line that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.ssh(command)?;
        if output.success() {
            return Ok(output.stdout);
        }
        let said = format!("{}\n{}", output.stdout, output.stderr);
        let tail = host::tail(said.as_bytes());
        self.told(Err(anyhow::anyhow!("`{command}` exited {}: {tail}", output.status)))
    }

    /// Copies a file to the node, with its mode; missing folders are made. Of a folder, all it holds
    /// is put into the folder `remote`, root's: glrl takes roles from nobody else.
    ///
    /// # Errors
    /// When it cannot be read here or written there.
    pub fn put(&self, local: &Path, remote: &str) -> Result<()> {
        let metadata = fs::metadata(local).with_context(|| format!("reading {}", local.display()))?;
        let target = quote(remote);
        if metadata.is_dir() {
            let ssh = self.connection()?;
            let unpack = ssh.expression(&format!(
                "mkdir -p {target} && tar --no-same-owner --no-same-permissions -xf - -C {target}"
            ));
            let pack = duct::cmd!("tar", "-cf", "-", "-C", local, ".");
            return self.transfer(&format!("putting {}", local.display()), &pack.pipe(unpack));
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let command = format!("install -D -m {mode:04o} /dev/stdin {target}");
        let expression = self.connection()?.expression(&command).stdin_file(File::open(local)?);
        self.transfer(&format!("putting {}", local.display()), &expression)
    }

    /// Copies a file of the node here.
    ///
    /// # Errors
    /// When it cannot be read there or written here.
    pub fn get(&self, remote: &str, local: &Path) -> Result<()> {
        let command = format!("cat {}", quote(remote));
        let file = File::create(local).with_context(|| format!("making {}", local.display()))?;
        let expression = self.connection()?.expression(&command).stdin_null().stdout_file(file);
        self.transfer(&format!("getting {remote}"), &expression)
    }

    fn transfer(&self, what: &str, expression: &duct::Expression) -> Result<()> {
        let output = host::wait(expression, COMMAND_LIMIT).with_context(|| what.to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        let said = host::tail(&output.stderr);
        self.told(Err(anyhow::anyhow!("{what} failed: {said}")))
    }

    fn connection(&self) -> Result<Ssh> {
        self.inner()
            .ssh
            .clone()
            .with_context(|| format!("node {} is off", self.name))
    }
}
