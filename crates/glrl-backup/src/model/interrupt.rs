//! Being asked to end. A flag, looked at in every loop and between phases, so that each phase cleans up by itself. Who looks at it goes
//! forward, and a supervisor is told so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use glrl_node::system::signals;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::model::{
    error::{Error, Kind, Result},
    heartbeat::Heartbeat,
};

/// Whether the run shall end. Clones are one flag.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    heartbeat: Option<Arc<Heartbeat>>,
}

impl Interrupt {
    /// The flag that SIGTERM, SIGINT and SIGHUP set. They no longer end the process by themselves.
    pub fn on_signals() -> anyhow::Result<Self> {
        let flag = Self::default();
        // Who said nohup means it.
        let hangup = (!signals::is_ignored(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGTERM, SIGINT].into_iter().chain(hangup) {
            signal_hook::flag::register(signal, Arc::clone(&flag.asked)).context("handling signals")?;
        }
        Ok(flag)
    }

    /// The same flag, which tells a supervisor that the run goes forward whenever it is looked at.
    #[must_use]
    pub fn beating(self, heartbeat: Heartbeat) -> Self {
        Self {
            heartbeat: Some(Arc::new(heartbeat)),
            ..self
        }
    }

    /// Ends the supervision: what is left to do may take its time.
    pub(crate) fn end_supervision(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.end();
        }
    }

    /// Asks the run to end.
    pub fn set(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    pub fn is_set(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// An error when the run was asked to end.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
        if self.is_set() {
            return Err(Error::new(Kind::Interrupted, "ended by a signal"));
        }
        Ok(())
    }

    /// Waits so long, or until the run is asked to end, which is an error.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        const LOOK: Duration = Duration::from_millis(20);
        let until = Instant::now() + time;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}
