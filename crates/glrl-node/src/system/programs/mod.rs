//! The one way to run a program: no shell, a fixed environment, a timeout, the tail of its stderr in the error.

mod heard;

use std::{
    cell::RefCell,
    ffi::OsString,
    fmt,
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

use self::heard::Heard;
pub use super::survivors::end_programs_of;
use super::{limit, own_pids, survivors};
use crate::value::secret::redact_pieces;

/// Where programs are looked up, whatever the caller's own `PATH` is: cron's has no `/usr/sbin`.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program is not on this node.
#[derive(Debug, thiserror::Error)]
#[error("the program {0} is not installed")]
pub struct Missing(pub String);

/// The program did not end in time, and was killed.
#[derive(Debug, thiserror::Error)]
#[error("{program} took longer than {} s and {then}", timeout.as_secs_f32())]
pub struct TookTooLong {
    /// The program and its arguments.
    pub program: String,
    /// How long it had.
    pub timeout: Duration,
    /// What became of it.
    then: &'static str,
}

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
    survives: bool,
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
            timeout: limit::or(Duration::from_mins(2)),
            confine: None,
            survives: false,
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

    /// Lets it come to its own end, whatever ends this process, its terminal or its time: it has a session of its own, and says what it
    /// says to memory, where no pipe breaks. The next run waits for it.
    #[must_use]
    pub(super) fn survives(mut self) -> Self {
        self.survives = true;
        self
    }

    /// Runs it and waits. Any exit status is an answer; not being there, dying by a signal and taking too long are errors.
    pub fn output(&self) -> Result<Output> {
        let Some(output) = self.start()?.wait(self.timeout)? else {
            return Err(TookTooLong {
                program: self.shown(),
                timeout: self.timeout,
                then: if self.survives {
                    "goes on: the next run waits for it"
                } else {
                    "was killed"
                },
            }
            .into());
        };
        if output.status.code().is_none() {
            bail!("{} ended with {}", self.shown(), output.status);
        }
        SAID.with_borrow_mut(|said| {
            if let Some(said) = said {
                *said = Said {
                    name: self.name.clone(),
                    bytes: stream(&output).to_vec(),
                };
            }
        });
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
            .unchecked();
        command = match from {
            Some(pipe) => command.stdin_file(pipe),
            None if self.stdin.is_empty() => command.stdin_null(),
            None => command.stdin_bytes(self.stdin.clone()),
        };
        let hear = || if self.survives { Heard::memory() } else { Heard::pipe() };
        let (stderr, said) = hear().context("making a pipe")?;
        command = command.stderr_file(said);
        let mut stdout = None;
        command = if let Some(pipe) = to {
            command.stdout_file(pipe)
        } else {
            let (heard, said) = hear().context("making a pipe")?;
            stdout = Some(heard);
            command.stdout_file(said)
        };
        let handle = command
            .before_spawn({
                let (confine, survives) = (self.confine, self.survives);
                move |command| {
                    if survives {
                        #[expect(unsafe_code, reason = "setsid(2) is a system call only")]
                        unsafe {
                            command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from));
                        }
                    } else {
                        command.process_group(0);
                    }
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
            stdout,
            stderr,
            survives: self.survives,
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
        anyhow!("{} failed ({}){}", self.shown(), output.status, excerpt(stream(output)))
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

thread_local! {
    /// What the last program of this thread said; nothing while nobody wants to know.
    static SAID: RefCell<Option<Said>> = const { RefCell::new(None) };
}

/// What a program said, in its own words: it may have said why it did nothing. Shown, it is an excerpt without secrets.
#[derive(Default)]
pub struct Said {
    name: String,
    bytes: Vec<u8>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match excerpt(&self.bytes).as_str() {
            "" => Ok(()),
            said => write!(f, "\n{} said{said}", self.name),
        }
    }
}

/// Runs this, and hands back besides what the last program that ended meanwhile in this thread has said.
pub fn heard<T>(run: impl FnOnce() -> T) -> (T, Said) {
    let outer = SAID.replace(Some(Said::default()));
    let result = run();
    (result, SAID.replace(outer).unwrap_or_default())
}

/// A program that was started. Dropping it kills it, with all that it started.
#[derive(Debug)]
pub struct Running {
    name: String,
    handle: duct::Handle,
    stdout: Option<Heard>,
    stderr: Heard,
    survives: bool,
}

impl Running {
    /// Waits so long for its end; `None` while it goes on. What it has left in the background does not count: that may go on, and keep
    /// its output.
    pub fn wait(&self, time: Duration) -> Result<Option<Output>> {
        let ended = self.handle.wait_timeout(time);
        let ended = ended.with_context(|| format!("waiting for {}", self.name))?;
        Ok(ended.map(|ended| Output {
            status: ended.status,
            stdout: self.stdout.as_ref().map(Heard::all).unwrap_or_default(),
            stderr: self.stderr.all(),
        }))
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
        if !self.survives {
            self.kill();
        }
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

/// Where a program says what matters.
fn stream(output: &Output) -> &[u8] {
    if output.stderr.trim_ascii().is_empty() {
        &output.stdout
    } else {
        &output.stderr
    }
}

/// The first and the last lines of what a program said, as the end of a message: some say first what is wrong, and then at length how
/// they are used. Its secrets are hidden while it is whole: half a secret is known to nobody.
fn excerpt(said: &[u8]) -> String {
    const LONGEST: usize = 4 << 10;
    const SHOWN: usize = 8;
    let text = redact_pieces(said);
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
    fn what_is_said_is_kept_while_somebody_listens() {
        let say = |what: &str| Program::new("echo").args([what]).output().unwrap();
        let ((), said) = heard(|| {
            say("first");
            say("last");
        });
        assert_eq!(said.to_string(), "\necho said: last");
        say("to nobody");
        assert!(SAID.take().is_none());
        assert_eq!(heard(|| ()).1.to_string() + &heard(|| say("")).1.to_string(), "");
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
    fn one_that_survives_comes_to_its_own_end() {
        let directory = tempfile::tempdir().unwrap();
        let script = "sleep 0.5; echo said; echo said >&2; ps -o sid= $$ > sid; mv sid done; exit 7";
        let program = || {
            let program = Program::new("sh").args(["-c", script]).cwd(directory.path()).survives();
            program.timeout(Duration::from_millis(20))
        };
        let error = program().output().unwrap_err();
        assert!(error.to_string().contains("goes on"), "{error}");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while !directory.path().join("done").exists() {
            assert!(std::time::Instant::now() < until, "it was ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = program().timeout(Duration::from_secs(20)).output().unwrap();
        assert_eq!(
            (output.status.code(), &*output.stdout, &*output.stderr),
            (Some(7), &b"said\n"[..], &b"said\n"[..])
        );
    }

    /// As a daemon does that keeps the output of who started it.
    #[test]
    fn a_programs_end_is_its_end_whatever_it_leaves_in_the_background() {
        let program = Program::new("sh")
            .args([
                "-c",
                "sleep 60 & echo $!; echo warned >&2; head -c 300000 /dev/zero; exit 3",
            ])
            .timeout(Duration::from_secs(20));
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stderr, b"warned\n");
        let (pid, rest) = output
            .stdout
            .split_at(output.stdout.iter().position(|&b| b == b'\n').unwrap() + 1);
        assert_eq!(rest.len(), 300_000, "all that it said itself is there");
        let pid = Pid::from_raw(String::from_utf8_lossy(pid).trim().parse().unwrap());
        assert!(nix::sys::signal::kill(pid, None).is_ok(), "it goes on");
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn of_endless_output_the_ends_are_kept() {
        let program = Program::new("sh").args(["-c", "echo first; head -c 100000000 /dev/zero; echo last"]);
        let output = program.output().unwrap().stdout;
        assert!(output.len() < 80_000_000, "{}", output.len());
        assert!(output.starts_with(b"first\n") && output.ends_with(b"last\n"));
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
