//! A backup under supervision. An NFS server that is gone holds up whoever writes to a hard mount, without end and beyond the reach of all
//! signals but SIGKILL (nfs(5)): it can clean nothing up, and tell nobody. So the backup is made by a worker, this program once more, and
//! what is left of one that stands still or dies is cleaned up by the process that started it, which touches the target never.

use std::{
    ffi::OsString,
    io::{ErrorKind, Read, stdin},
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
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
use nix::{
    sys::{
        prctl::{set_name, set_pdeathsig},
        signal::{Signal, kill},
        socket::{MsgFlags, send},
    },
    unistd::Pid,
};

use super::{
    alone::alone,
    config::Settings,
    error::{Error, Kind, Result},
    history::Records,
    interrupt::Interrupt,
    job::Find,
    lvm::LvmVolume,
    notify::{self, Event, Program},
    placement,
    server::Server,
    session::Session,
    step::{Report, Step},
    volume::Volume,
};

/// How often it is looked whether a signal came.
const LOOK: Duration = Duration::from_millis(200);
/// So long a worker may take to end by itself, and so long to end when it is killed.
const LAST: Duration = Duration::from_secs(10);

/// The worker's end: it says that it goes forward.
#[derive(Debug)]
pub struct Heartbeat(UnixStream);

impl Heartbeat {
    /// Of a worker, whose standard input is the line to its supervisor. It is asked to end when the supervisor dies.
    pub fn of_worker() -> anyhow::Result<Self> {
        set_pdeathsig(Signal::SIGTERM).context("asking to end with the supervisor")?;
        // As it was started by another name, ps(1) and pgrep(1) would not find it.
        set_name(c"glrl").context("taking the name of this program")?;
        let line = stdin().as_fd().try_clone_to_owned().context("taking standard input")?;
        Ok(Self(line.into()))
    }

    /// It goes forward.
    pub fn beat(&self) {
        // Nobody listens: the supervisor is dead, and a signal comes.
        let _ = send(self.0.as_raw_fd(), &[0], MsgFlags::MSG_NOSIGNAL);
    }
}

impl Drop for Heartbeat {
    /// From here on it may take its time.
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Starts this program once more, with these arguments, and waits for its end. Returns its exit status; a worker that stands still or dies
/// is an error, of which others have been told.
pub fn supervise(
    settings: &Settings,
    args: impl Iterator<Item = OsString>,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<u8> {
    let volume = |datadir: &Path| Ok(Box::new(LvmVolume::holding(datadir, settings)?) as Box<dyn Volume>);
    let mut worker = Command::new("/proc/self/exe");
    worker.arg0("glrl").args(args);
    let error = match watch(worker, settings.target.stall_timeout, interrupt)? {
        End::Exited(code) => return Ok(code),
        End::Died(signal) => Error::new(Kind::Failed, format!("the backup was ended by signal {signal}")),
        End::StoodStill => Error::new(
            Kind::Target,
            format!(
                "nothing went forward for {} s, so the run was given up: is the server of {} up, and can it be reached?",
                settings.target.stall_timeout.as_secs(),
                settings.target.directory
            ),
        ),
    };
    clean_up(settings, &volume, &error, report);
    Err(error)
}

/// How a worker ended.
#[derive(Debug, PartialEq)]
enum End {
    Exited(u8),
    Died(i32),
    StoodStill,
}

fn watch(mut worker: Command, patience: Duration, interrupt: &Interrupt) -> Result<End> {
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
            return Ok(End::StoodStill);
        }
    }
    loop {
        if let Some(status) = child.try_wait().context("waiting for the worker")? {
            return Ok(end(status));
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
    // The thread that writes to the target waits for it still, which not even SIGKILL ends. All else is given back (`apart`).
    Ok(())
}

fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// What the worker could not do any more: its end is recorded and told, its snapshot removed. Its partial files are left to the next run:
/// the target may be what holds everybody up.
fn clean_up(settings: &Settings, volume: &Find<'_>, error: &Error, report: &mut Report<'_>) {
    let recorded = Records::open(settings, "backup").and_then(|records| {
        let Some(last) = records.read().last.filter(super::Attempt::was_killed) else {
            return Ok(None);
        };
        let id = last.id.clone();
        records.end(last.ended::<()>(&Err(Error::new(error.kind, error.to_string()))))?;
        Ok(id)
    });
    let id = recorded.unwrap_or_else(|error| {
        let message = format!("{error:#}");
        report(Step::Warning { message });
        None
    });
    notify::tell(
        settings,
        &Event::fail(Program::Backup, &settings.instance, id, error),
        report,
    );
    let reaped = || -> Result<Vec<String>> {
        let _alone = alone(settings, "backup")?;
        let mut session = Session::open(&settings.server)?;
        let server = Server::of(&mut session)?;
        volume(&placement::datadir(&server)?)?.reap()
    };
    match reaped() {
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
        watch(worker, patience, &Interrupt::default()).unwrap()
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
        let end = watch(worker, Duration::from_mins(1), &interrupt).unwrap();
        assert!(matches!(end, End::Exited(130) | End::Died(15)), "{end:?}");
    }
}
