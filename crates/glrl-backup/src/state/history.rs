//! How the last runs went: `history.json` beside the run lock, one for backups and one for verifications of each instance. `glrl backup
//! status` and the metrics are made from it. A record and no more: one that cannot be read or written is a warning.

use std::path::Path;

use glrl_node::{
    system::{clock, state::StateDir},
    value::secret::redact,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        error::{Error, Result},
        id::BackupId,
        verdict::Grade,
    },
    settings::Settings,
    volume::process::Process,
};

const FILE: &str = "history.json";

/// What is known of earlier runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The last run, or the one under way.
    pub last: Option<Attempt>,
    /// The last one that succeeded.
    pub success: Option<Attempt>,
    /// Runs since the record began.
    pub runs: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those that have failed since the last success.
    pub failures_in_a_row: u64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The backup that it made, or verified.
    pub id: Option<BackupId>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` for one that is under way, or was killed.
    pub ended: Option<Timestamp>,
    /// Names boot and process, to tell the two apart.
    owner: String,
    /// What its exit status said.
    pub exit_code: Option<u8>,
    /// Why it failed.
    pub error: Option<String>,
    /// What a verification found.
    pub verdict: Option<Grade>,
}

impl Attempt {
    /// One that begins now.
    pub(crate) fn begin() -> Self {
        Self {
            id: None,
            started: clock::now(),
            ended: None,
            owner: Process::this().map(|this| this.to_string()).unwrap_or_default(),
            exit_code: None,
            error: None,
            verdict: None,
        }
    }

    /// Whether it was killed: it has no end, and the process that began it is gone.
    pub fn was_killed(&self) -> bool {
        // One that does not say who it was is gone.
        self.ended.is_none() && !Process::parse(&self.owner).is_ok_and(|owner| owner.is_alive())
    }

    /// Whether it did not end well. One that is under way has not failed.
    pub fn failed(&self) -> bool {
        self.exit_code.is_some_and(|code| code != 0) || self.was_killed()
    }

    /// Why, for eyes.
    pub fn why(&self) -> String {
        match &self.error {
            Some(error) => error.clone(),
            None if self.was_killed() => "it was killed, or the machine went down".to_owned(),
            None => "it did not say why".to_owned(),
        }
    }
}

/// The record of one of the programs, of one instance.
#[derive(Debug)]
pub(crate) struct Records {
    directory: StateDir,
}

impl Records {
    /// `what` is the program, as its lock has it: `backup`, `verify`.
    pub(crate) fn open(settings: &Settings, what: &str) -> anyhow::Result<Self> {
        let path = settings.state_directory.join(what).join(settings.instance.as_str());
        Ok(Self {
            directory: StateDir::open(&path)?,
        })
    }

    /// What there is, where nothing is to be made for it.
    pub(crate) fn glance(settings: &Settings, what: &str) -> anyhow::Result<History> {
        let path = settings.state_directory.join(what).join(settings.instance.as_str());
        let directory = StateDir::if_any(Path::new("/"), &path)?;
        Ok(directory.map_or_else(History::default, |directory| Self { directory }.read()))
    }

    /// What there is; nothing where it cannot be read.
    pub(crate) fn read(&self) -> History {
        let bytes = self.directory.read(FILE).ok().flatten();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Notes that a run has begun. Returns the one before, if it was killed: nobody has been told of that yet.
    pub(crate) fn begin(&self, attempt: &Attempt) -> anyhow::Result<Option<Attempt>> {
        let mut history = self.read();
        let killed = history.last.take().filter(Attempt::was_killed);
        if killed.is_some() {
            history.runs += 1;
            history.failures += 1;
            history.failures_in_a_row += 1;
        }
        history.last = Some(attempt.clone());
        self.write(&history)?;
        Ok(killed)
    }

    /// Notes how it ended.
    pub(crate) fn end(&self, attempt: Attempt) -> anyhow::Result<History> {
        let mut history = self.read();
        history.runs += 1;
        if attempt.failed() {
            history.failures += 1;
            history.failures_in_a_row += 1;
        } else {
            history.failures_in_a_row = 0;
            history.success = Some(attempt.clone());
        }
        history.last = Some(attempt);
        self.write(&history)?;
        Ok(history)
    }

    fn write(&self, history: &History) -> anyhow::Result<()> {
        self.directory.write(FILE, &serde_json::to_vec_pretty(history)?)
    }
}

impl Attempt {
    /// Its end.
    pub(crate) fn ended<T>(mut self, result: &Result<T>) -> Self {
        self.ended = Some(clock::now());
        match result {
            // A verification has said it already.
            Ok(_) => self.exit_code = self.exit_code.or(Some(0)),
            Err(error) => {
                self.exit_code = Some(error.kind.exit_code());
                self.error = Some(said(error));
            }
        }
        self
    }
}

/// An error and its causes on one line, without secrets: it is kept, and sent to others.
pub(crate) fn said(error: &Error) -> String {
    redact(&format!("{error:#}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::Kind;

    fn records(directory: &tempfile::TempDir) -> Records {
        let settings = Settings {
            state_directory: directory.path().to_str().unwrap().parse().unwrap(),
            ..Settings::default()
        };
        Records::open(&settings, "backup").unwrap()
    }

    #[test]
    fn failures_are_counted_until_a_success() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        let failed: Result<()> = Err(Error::new(Kind::Target, "the disk is full"));
        for _ in 0..2 {
            let attempt = Attempt::begin();
            assert_eq!(records.begin(&attempt).unwrap(), None);
            assert!(!records.read().last.unwrap().failed());
            records.end(attempt.ended(&failed)).unwrap();
        }
        let history = records.read();
        assert_eq!((history.runs, history.failures, history.failures_in_a_row), (2, 2, 2));
        let last = history.last.unwrap();
        assert_eq!((last.exit_code, last.why().as_str()), (Some(14), "the disk is full"));
        assert_eq!(history.success, None);
        let history = records.end(Attempt::begin().ended(&Ok(()))).unwrap();
        assert_eq!((history.runs, history.failures, history.failures_in_a_row), (3, 2, 0));
        assert_eq!(history.success, history.last);
    }

    #[test]
    fn a_run_that_was_killed_is_told_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        let mut killed = Attempt::begin();
        killed.owner = Process {
            began: "4194305-1".to_owned(),
            ..Process::this().unwrap()
        }
        .to_string();
        records.begin(&killed).unwrap();
        assert!(records.read().last.unwrap().failed());
        assert_eq!(records.begin(&Attempt::begin()).unwrap(), Some(killed));
        assert_eq!(records.read().failures_in_a_row, 1);
        assert!(!records.read().last.unwrap().was_killed());
    }

    #[test]
    fn a_record_that_is_no_record_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        records.directory.write(FILE, b"{").unwrap();
        assert_eq!(records.read(), History::default());
    }
}
