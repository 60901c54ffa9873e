//! Programs under supervision. An NFS server that is gone holds up whoever reads or writes a hard mount, without end and beyond the reach
//! of all signals but SIGKILL (nfs(5)): it can clean nothing up, and tell nobody. So the work is done by a worker, this program once more,
//! and what is left of one that stands still or dies is cleaned up by the process that started it, which touches the target never.

use std::{
    ffi::OsString,
    io::{ErrorKind, Read},
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::Path,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::Context;
use glrl_node::system::programs::end_programs_of;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    model::{
        error::{Error, Kind, Result},
        heartbeat::LOOK,
        id::BackupId,
        interrupt::Interrupt,
        program::Program,
        server::Server,
        step::{Report, Step},
    },
    operate::{
        job::{self, Find},
        notify::{self, event::Event},
    },
    server::{placement, session::Session},
    settings::Settings,
    state::{
        history::{Attempt, Records},
        run_lock,
    },
    verify::scratch,
    volume::{Volume, lvm::LvmVolume},
};

/// So long a worker may take to end by itself, and so long to end when it is killed.
const LAST: Duration = Duration::from_secs(10);

/// A program whose work is supervised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervised {
    /// `glrl backup run`, with the verification behind it.
    Backup,
    /// `glrl backup binlogs`.
    Binlogs,
    /// `glrl backup prune`.
    Prune,
    /// `glrl verify`.
    Verify,
    /// `glrl restore`.
    Restore,
}

impl Supervised {
    const fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Binlogs => "archive of binary logs",
            Self::Prune => "deletion of old backups",
            Self::Verify => "verification",
            Self::Restore => "restore",
        }
    }
}

/// Starts this program once more, with these arguments, and waits for its end. Returns its exit status; a worker that stands still or dies
/// is an error, of which others have been told.
pub fn supervise(
    settings: &Settings,
    what: Supervised,
    args: impl Iterator<Item = OsString>,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<u8> {
    let volume = |datadir: &Path| Ok(Box::new(LvmVolume::holding(datadir, settings)?) as Box<dyn Volume>);
    #[expect(
        clippy::disallowed_methods,
        reason = "this program once more: it is waited for here, in its own way"
    )]
    let mut worker = Command::new("/proc/self/exe");
    worker.arg0("glrl").args(args);
    let attempt = Attempt::begin();
    let (worker, end) = watch(worker, settings.target.stall_timeout, interrupt)?;
    let error = match end {
        End::Exited(code) => return Ok(code),
        End::Died(signal) => Error::new(
            Kind::Failed,
            format!("the {} was ended by signal {signal}", what.name()),
        ),
        End::StoodStill => Error::new(
            Kind::Target,
            format!(
                "nothing went forward for {} s, so the {} was given up: is the server of {} up, and can it be reached?",
                settings.target.stall_timeout.as_secs(),
                what.name(),
                settings.target.directory
            ),
        ),
    };
    let verifying = attempt_under_way(settings, "verify").is_some_and(|verify| verify.started >= attempt.started);
    match what {
        // It may be the verification behind the backup that came to nothing.
        Supervised::Backup if !verifying => end_backup(settings, &volume, attempt, &error, report),
        Supervised::Backup | Supervised::Verify => end_verification(settings, worker, attempt, &error, report),
        Supervised::Binlogs => drop(job::binlogs_ended(settings, attempt, Err(again(&error)), report)),
        Supervised::Prune => tell_failure(settings, Program::Prune, None, &error, report),
        Supervised::Restore => {
            end_programs_of(worker);
            let message =
                "what may be left of the restore is cleared away by the next one to the same place".to_owned();
            report(Step::Warning { message });
        }
    }
    Err(error)
}

/// How a worker ended.
#[derive(Debug, PartialEq)]
enum End {
    Exited(u8),
    Died(i32),
    StoodStill,
}

/// Starts a worker and waits for its end. Returns its process number with that.
fn watch(mut worker: Command, patience: Duration, interrupt: &Interrupt) -> Result<(u32, End)> {
    let (mut ours, theirs) = UnixStream::pair().context("making a line to the worker")?;
    ours.set_read_timeout(Some(LOOK))
        .context("making a line to the worker")?;
    let mut child = worker
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .context("starting the worker")?;
    // Its end of the line is the worker's alone.
    drop(worker);
    let mut last = Instant::now();
    let mut asked = false;
    let mut beats = [0; 64];
    loop {
        if interrupt.is_set() && !std::mem::replace(&mut asked, true) {
            signal(&child, Signal::SIGTERM);
        }
        match ours.read(&mut beats) {
            Ok(0) => break,
            Ok(_) => last = Instant::now(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
        if last.elapsed() >= patience {
            give_up(&mut child)?;
            return Ok((child.id(), End::StoodStill));
        }
    }
    loop {
        if let Some(status) = child.try_wait().context("waiting for the worker")? {
            return Ok((child.id(), end(status)));
        }
        if interrupt.is_set() && !std::mem::replace(&mut asked, true) {
            signal(&child, Signal::SIGTERM);
        }
        std::thread::sleep(LOOK / 10);
    }
}

fn end(status: ExitStatus) -> End {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or_else(|| End::Died(status.signal().unwrap_or(0)), End::Exited)
}

/// One that is only slow can clean up by itself.
fn give_up(child: &mut Child) -> Result<()> {
    for with in [Signal::SIGTERM, Signal::SIGKILL] {
        signal(child, with);
        let deadline = Instant::now() + LAST;
        while Instant::now() < deadline {
            if child.try_wait().context("waiting for the worker")?.is_some() {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }
    // The thread that writes to the target waits for it still, which not even SIGKILL ends. All else is given back (`store::writer`).
    Ok(())
}

fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The run of a program that has begun and not ended, and whose process is gone.
fn attempt_under_way(settings: &Settings, what: &str) -> Option<Attempt> {
    let history = Records::glance(settings, what).ok()?;
    history.last.filter(Attempt::was_killed)
}

/// Records the end of the run that has none, which may not have come to its own record, and tells it.
fn end_attempt(
    settings: &Settings,
    (what, program): (&str, Program),
    attempt: Attempt,
    error: &Error,
    report: &mut Report<'_>,
) {
    let last = attempt_under_way(settings, what).unwrap_or(attempt);
    let id = last.id.clone();
    let recorded = Records::open(settings, what).and_then(|records| records.end(last.ended::<()>(&Err(again(error)))));
    if let Err(error) = recorded {
        let message = format!("{error:#}");
        report(Step::Warning { message });
    }
    tell_failure(settings, program, id, error, report);
}

fn tell_failure(settings: &Settings, program: Program, id: Option<BackupId>, error: &Error, report: &mut Report<'_>) {
    notify::tell(settings, &Event::fail(program, &settings.instance, id, error), report);
}

fn again(error: &Error) -> Error {
    Error::new(error.kind, error.to_string())
}

/// What the worker could not do any more: the end of its backup is recorded and told, its snapshot removed. Its partial files are left to
/// the next run: the target may be what holds everybody up.
fn end_backup(settings: &Settings, volume: &Find<'_>, attempt: Attempt, error: &Error, report: &mut Report<'_>) {
    end_attempt(settings, ("backup", Program::Backup), attempt, error, report);
    let reaped = || -> Result<Vec<String>> {
        let _alone = run_lock::take(settings, "backup")?;
        let mut session = Session::open(&settings.server)?;
        let server = Server::of(&mut session)?;
        volume(&placement::datadir(&server)?)?.reap()
    };
    removed(reaped(), report);
}

/// The same of a verification: its server is ended, and what it has unpacked is removed.
fn end_verification(settings: &Settings, worker: u32, attempt: Attempt, error: &Error, report: &mut Report<'_>) {
    end_attempt(settings, ("verify", Program::Verify), attempt, error, report);
    end_programs_of(worker);
    let cleared = || -> Result<Vec<String>> {
        let _alone = run_lock::take(settings, "verify")?;
        let cleared = scratch::clear(&settings.verify, &settings.instance)?;
        Ok(cleared.into_iter().collect())
    };
    removed(cleared(), report);
}

fn removed(what: Result<Vec<String>>, report: &mut Report<'_>) {
    match what {
        Ok(removed) => removed.into_iter().for_each(|what| report(Step::Removed { what })),
        Err(error) => report(Step::Warning {
            message: format!("what is left of the run is removed by the next one: {error:#}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(script: &str, patience: Duration) -> End {
        let mut worker = Command::new("sh");
        worker.args(["-c", script]);
        watch(worker, patience, &Interrupt::default()).unwrap().1
    }

    /// The worker's standard input is a socket, which a shell can write to.
    #[test]
    fn a_worker_that_goes_forward_is_left_alone() {
        let beats = "for i in 1 2 3 4 5 6 7 8; do echo >&0; sleep 0.5; done; exit 7";
        assert_eq!(ended(beats, Duration::from_secs(3)), End::Exited(7));
        let silent_after_the_end = "exec <&-; sleep 1; exit 14";
        assert_eq!(ended(silent_after_the_end, Duration::from_millis(300)), End::Exited(14));
    }

    #[test]
    fn one_that_stands_still_is_ended() {
        assert_eq!(ended("exec sleep 600", Duration::from_millis(300)), End::StoodStill);
    }

    #[test]
    fn one_that_dies_is_known_to_have_died() {
        assert_eq!(ended("kill -KILL $$", Duration::from_mins(1)), End::Died(9));
    }

    #[test]
    fn a_signal_is_handed_on() {
        let mut worker = Command::new("sh");
        worker.args(["-c", "trap 'exit 130' TERM; while :; do sleep 0.1; done"]);
        let interrupt = Interrupt::default();
        interrupt.set();
        // The shell may not have set its trap yet, and then dies of the signal.
        let end = watch(worker, Duration::from_mins(1), &interrupt).unwrap().1;
        assert!(matches!(end, End::Exited(130) | End::Died(15)), "{end:?}");
    }
}
