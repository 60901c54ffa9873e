//! A sign of life of a worker.

use std::{
    io::stdin,
    net::Shutdown,
    os::fd::{AsFd, AsRawFd},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::{
    prctl::{set_name, set_pdeathsig},
    signal::Signal,
    socket::{MsgFlags, send},
};

/// How often it is looked whether a signal came, and said that the worker goes forward.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// The worker's end: it says that it goes forward.
#[derive(Debug)]
pub struct Heartbeat {
    line: UnixStream,
    began: Instant,
    /// When it was said last, in so many `LOOK`s since then.
    last: AtomicU64,
}

impl Heartbeat {
    /// Of a worker, whose standard input is the line to its supervisor. It is asked to end when the supervisor dies.
    pub fn of_worker() -> anyhow::Result<Self> {
        set_pdeathsig(Signal::SIGTERM).context("asking to end with the supervisor")?;
        // As it was started by another name, ps(1) and pgrep(1) would not find it.
        set_name(c"glrl").context("taking the name of this program")?;
        let line = stdin().as_fd().try_clone_to_owned().context("taking standard input")?;
        Ok(Self {
            line: line.into(),
            began: Instant::now(),
            last: AtomicU64::new(0),
        })
    }

    /// Says that it goes forward; not more often than anybody looks.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis() / LOOK.as_millis()).unwrap_or(u64::MAX);
        if self.last.swap(now, Ordering::Relaxed) == now {
            return;
        }
        // Nobody listens: the supervisor is dead, and a signal comes.
        let _ = send(self.line.as_raw_fd(), &[0], MsgFlags::MSG_NOSIGNAL);
    }

    /// From here on it may take its time.
    pub(crate) fn end(&self) {
        let _ = self.line.shutdown(Shutdown::Both);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end();
    }
}
