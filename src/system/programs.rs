//! The one way to run a program: no shell, a fixed environment, a timeout, the tail of its stderr in the error.

use std::{
    ffi::OsString,
    io::{self, PipeReader, PipeWriter},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

pub use super::survivors::end_programs_of;
use super::{own_pids, survivors};
use crate::value::secret::redact_pieces;

/// Where programs are looked up, whatever the caller's own `PATH` is: cron's has no `/usr/sbin`.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program is not on this node.
#[derive(Debug, thiserror::Error)]
#[error("the program {0} is not installed")]
pub struct Missing(pub String);

/// A program about to be run.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    cwd: PathBuf,
    stdin: Vec<u8>,
    timeout: Duration,
    confine: Option<fn() -> io::Result<()>>,
}

impl Program {
    /// A program by its name, found on `PATH`, or by its path.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            stdin: Vec::new(),
            timeout: Duration::from_mins(2),
            confine: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the fixed environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs it in this directory instead of `/`.
    #[must_use]
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cwd = directory.into();
        self
    }

    /// Gives it these bytes to read instead of nothing.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Kills it, with all that it started, when it takes longer than this instead of two minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Has the child call this just before it becomes the program, to give up what it must not have. Only system calls are safe
    /// there (signal-safety(7)): no allocation, no lock.
    #[must_use]
    pub(super) fn confined(mut self, confine: fn() -> io::Result<()>) -> Self {
        self.confine = Some(confine);
        self
    }

    /// Lets it see no process but those that it starts itself; takes root.
    #[must_use]
    pub fn with_own_pids(self) -> Self {
        self.confined(own_pids::enter)
    }

    /// Runs it and waits. Any exit status is an answer; not being there, dying by a signal and taking too long are errors.
    pub fn output(&self) -> Result<Output> {
        let Some(output) = self.start()?.wait(self.timeout)? else {
            bail!(
                "{} took longer than {} s and was killed",
                self.shown(),
                self.timeout.as_secs()
            );
        };
        if output.status.code().is_none() {
            bail!("{} ended with {}", self.shown(), output.status);
        }
        Ok(output)
    }

    /// Starts it and does not wait: for a program that is to run while something else happens. Its timeout does not apply.
    pub fn start(&self) -> Result<Running> {
        self.start_between(None, None)
    }

    /// The same with a pipe that it reads instead of its bytes, or one that it writes to instead of what is kept of its output.
    pub fn start_between(&self, from: Option<PipeReader>, to: Option<PipeWriter>) -> Result<Running> {
        let path = find(&self.name)?;
        let mut command = duct::cmd(&path, &self.args)
            .dir(&self.cwd)
            .full_env(
                [
                    ("PATH", PATH),
                    ("LC_ALL", "C.UTF-8"),
                    ("HOME", "/root"),
                    (survivors::VARIABLE, &survivors::OWN),
                ]
                .into_iter()
                .chain(self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            )
            .stderr_capture()
            .unchecked();
        command = match from {
            Some(pipe) => command.stdin_file(pipe),
            None => command.stdin_bytes(self.stdin.clone()),
        };
        command = match to {
            Some(pipe) => command.stdout_file(pipe),
            None => command.stdout_capture(),
        };
        let handle = command
            .before_spawn({
                let confine = self.confine;
                move |command| {
                    command.process_group(0);
                    if let Some(confine) = confine {
                        #[expect(unsafe_code, reason = "`confined` demands that it makes system calls only")]
                        unsafe {
                            command.pre_exec(confine);
                        }
                    }
                    Ok(())
                }
            })
            .start()
            .with_context(|| format!("starting {}", path.display()))?;
        Ok(Running {
            name: self.name.clone(),
            handle,
        })
    }

    /// Runs it, waits, and takes any exit status but 0 for an error. Returns its standard output.
    pub fn stdout(&self) -> Result<Vec<u8>> {
        let output = self.output()?;
        if !output.status.success() {
            return Err(self.failed(&output));
        }
        Ok(output.stdout)
    }

    /// The error that says which program failed, with what status, and the last lines it wrote.
    pub fn failed(&self, output: &Output) -> anyhow::Error {
        // Whole, and only then cut: half a secret is known to nobody.
        let said = if output.stderr.trim_ascii().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        anyhow!(
            "{} failed ({}){}",
            self.shown(),
            output.status,
            excerpt(&redact_pieces(said))
        )
    }

    fn shown(&self) -> String {
        let mut text = self.name.clone();
        for arg in &self.args {
            text.push(' ');
            text.push_str(&arg.to_string_lossy());
        }
        text
    }
}

/// A program that was started. Dropping it kills it, with all that it started.
#[derive(Debug)]
pub struct Running {
    name: String,
    handle: duct::Handle,
}

impl Running {
    /// Waits so long for its end; `None` while it goes on.
    pub fn wait(&self, time: Duration) -> Result<Option<Output>> {
        let output = self.handle.wait_timeout(time);
        Ok(output.with_context(|| format!("waiting for {}", self.name))?.cloned())
    }

    /// Sends it a signal, and all that it started.
    pub fn signal(&self, signal: Signal) {
        if matches!(self.handle.try_wait(), Ok(Some(_))) {
            return;
        }
        for leader in self.handle.pids() {
            if let Ok(pid) = i32::try_from(leader) {
                let _ = killpg(Pid::from_raw(pid), signal);
            }
        }
    }

    /// Kills it and waits for its end, which the kernel may put off for as long as a disk or a server does not answer: not longer than
    /// a few seconds.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        let _ = self.handle.wait_timeout(UNTIL_KILLED);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

const UNTIL_KILLED: Duration = Duration::from_secs(5);

/// Where a program is, by name on `PATH`.
pub fn find(name: &str) -> Result<PathBuf> {
    let there = |path: &Path| nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    if name.contains('/') {
        let path = PathBuf::from(name);
        return if there(&path) {
            Ok(path)
        } else {
            Err(Missing(name.to_owned()).into())
        };
    }
    PATH.split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|path| there(path))
        .ok_or_else(|| Missing(name.to_owned()).into())
}

/// The first and the last lines of what a program said, as the end of a message: some say first what is wrong, and then at length how
/// they are used.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 4 << 10;
    const SHOWN: usize = 8;
    let end = lines(&text[text.ceil_char_boundary(text.len().saturating_sub(LONGEST))..]);
    let shown = if end.len() > SHOWN || text.len() > LONGEST {
        let first = lines(&text[..text.floor_char_boundary(LONGEST / SHOWN)])
            .into_iter()
            .take(1);
        let rest = end.len().saturating_sub(SHOWN - 2);
        first
            .chain(["…".to_owned()])
            .chain(end.into_iter().skip(rest))
            .collect()
    } else {
        end
    };
    if shown.is_empty() {
        String::new()
    } else {
        format!(": {}", shown.join("\n"))
    }
}

/// Lines that are not blank. A progress bar goes back to the beginning of its line.
fn lines(text: &str) -> Vec<String> {
    let lines = text.split(['\n', '\r']).filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = Program::new("sh")
            .args(["-c", "echo broken pipe wrench >&2; exit 7"])
            .stdout()
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 7") && text.contains("broken pipe wrench"),
            "{text}"
        );
    }

    #[test]
    fn what_is_said_before_the_usage_is_kept() {
        for lines in [20, 2000] {
            let script = format!("echo the disk is too small; seq -f 'usage %g' {lines}; exit 1");
            let text = Program::new("sh")
                .args(["-c", &script])
                .stdout()
                .unwrap_err()
                .to_string();
            assert!(text.contains(": the disk is too small\n…\n"), "{text}");
            assert!(text.ends_with(&format!("usage {lines}")) && text.len() < 300, "{text}");
        }
    }

    #[test]
    fn of_much_only_the_ends_are_said() {
        let error = Program::new("sh")
            .args([
                "-c",
                "head -c 1000000 /dev/zero | tr '\\0' x; printf '\\r10 %%\\r20 %%'; exit 7",
            ])
            .stdout()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.len() < 10_000 && text.ends_with("10 %\n20 %"), "{}", text.len());
    }

    /// Case 11: the cut went through a secret, and the half that was left was known to nobody.
    #[test]
    fn a_secret_is_hidden_before_the_rest_is_cut() {
        let secret: String = (0..900_u32)
            .map(|n| char::from(b'a' + u8::try_from(n * n % 23).unwrap()))
            .collect();
        crate::value::secret::register(&secret);
        for script in [
            "printf %s \"$1\"; seq 2000; exit 1",
            "head -c 4000 /dev/zero | tr '\\0' x; printf %s \"$1\"; head -c 3500 /dev/zero | tr '\\0' y; exit 1",
            "printf %s \"$1\" | fold -w 20; exit 1",
            "printf %s \"$1\" | base64; exit 1",
            "printf %s \"$1\" | head -c 450; exit 1",
            "printf %s \"$1\" | tail -c 450 >&2; exit 1",
        ] {
            let said = Program::new("sh")
                .args(["-c", script, "sh"])
                .args([&secret])
                .stdout()
                .unwrap_err()
                .to_string();
            let said = crate::value::secret::redact(&said).into_owned();
            let found = (0..secret.len() - 8).find(|at| said.contains(&secret[*at..at + 8]));
            assert_eq!(found, None, "{script}: {said}");
            assert!(said.contains("‹secret›"), "{script}: {said}");
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::new("no-such-program").output().unwrap_err();
        assert!(error.downcast_ref::<Missing>().is_some());
    }

    #[test]
    fn a_slow_program_is_killed_with_its_children() {
        let error = Program::new("sh")
            .args(["-c", "sleep 60 & sleep 60"])
            .timeout(Duration::from_millis(50))
            .output()
            .unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
    }

    #[test]
    fn the_environment_is_fixed() {
        let output = Program::new("env").env("ONE", "1").stdout().unwrap();
        let text = String::from_utf8(output).unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["GLRL_RUN", "HOME", "LC_ALL", "ONE", "PATH"]);
    }
}
