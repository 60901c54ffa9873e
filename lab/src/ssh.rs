//! ssh to a node, over one connection: a new one costs seconds in a node without KVM.

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    path::{Path, PathBuf},
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{host, image::Image};

/// The name under which ssh looks up the host key that all nodes share.
pub(crate) const HOST_ALIAS: &str = "glrl-lab-node";

/// How a command on a node ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 255 also when the connection broke (the node lost power), 128 + N when ssh
    /// itself was ended by signal N.
    pub status: i32,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// Whether it exited 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }
}

/// How to reach one node.
#[derive(Debug, Clone)]
pub(crate) struct Ssh {
    /// `-F`, `-o` and `-p` options, without the host.
    options: Vec<String>,
    control: PathBuf,
}

impl Ssh {
    /// `control` is where the shared connection's socket will be; at most 80 bytes of path.
    pub(crate) fn new(image: &Image, port: u16, control: PathBuf) -> Self {
        let settings = [
            format!("IdentityFile={}", image.key_file().display()),
            "IdentitiesOnly=yes".to_owned(),
            format!("UserKnownHostsFile={}", image.known_hosts().display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("HostKeyAlias={HOST_ALIAS}"),
            "StrictHostKeyChecking=yes".to_owned(),
            "HostKeyAlgorithms=ssh-ed25519".to_owned(),
            "KexAlgorithms=curve25519-sha256".to_owned(),
            "Compression=no".to_owned(),
            "LogLevel=ERROR".to_owned(),
            format!("ControlPath={}", control.display()),
        ];
        let mut options = vec!["-F/dev/null".to_owned(), format!("-p{port}")];
        options.extend(settings.into_iter().map(|setting| format!("-o{setting}")));
        Self { options, control }
    }

    /// Arguments for ssh itself up to the host, for a human's own session.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = self.options.clone();
        arguments.push("root@127.0.0.1".to_owned());
        arguments
    }

    /// Opens the shared connection to a node whose sshd answers.
    pub(crate) fn connect(&self) -> Result<()> {
        self.forget();
        let mut arguments: Vec<String> = ["-M", "-N", "-f", "-oControlPersist=yes", "-oBatchMode=yes"]
            .map(String::from)
            .to_vec();
        arguments.extend(self.arguments());
        host::wait(&duct::cmd("ssh", arguments).stdin_null(), Duration::from_mins(5))
            .and_then(|output| {
                if !output.status.success() {
                    bail!("{}", host::tail(&output.stderr));
                }
                Ok(())
            })
            .context("connecting to the node by ssh")
    }

    /// Drops the shared connection, which the machine at the other end does not know any more.
    pub(crate) fn forget(&self) {
        if self.control.exists() {
            let mut arguments = vec!["-Oexit".to_owned()];
            arguments.extend(self.arguments());
            // One that is dead already says so; then its socket is all that is left.
            let _ = host::wait(&duct::cmd("ssh", arguments), Duration::from_secs(5));
            let _ = fs::remove_file(&self.control);
        }
    }

    /// Runs a shell command line on the node.
    pub(crate) fn run(&self, command: &str, limit: Duration) -> Result<Output> {
        let output = host::wait(&self.expression(command).stdin_null(), limit)
            .with_context(|| format!("running on the node: {command}"))?;
        Ok(Output {
            status: status(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// `ssh … command`, to be given its standard input.
    pub(crate) fn expression(&self, command: &str) -> duct::Expression {
        let mut arguments = vec!["-oBatchMode=yes".to_owned()];
        arguments.extend(self.arguments());
        arguments.push(command.to_owned());
        duct::cmd("ssh", arguments)
    }
}

fn status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Waits until an ssh server answers on `port` of the loopback. `alive` is asked between tries and
/// ends the wait with its error.
pub(crate) fn wait_for_server(port: u16, limit: Duration, mut alive: impl FnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    while !answers(port) {
        alive()?;
        if started.elapsed() > limit {
            bail!("no ssh server answered within {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// QEMU itself accepts connections before there is a server: only its greeting counts.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(3))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == *b"SSH-"
}

/// Quotes a word for the node's shell.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A path of the node, quoted for its shell.
pub(crate) fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_comes_back_from_a_shell() {
        let word = "it's \"$HOME\" \\ `x`\n*";
        let echoed = duct::cmd("sh", ["-c", &format!("printf %s {}", quote(word))])
            .read()
            .unwrap();
        assert_eq!(echoed, word);
    }
}
