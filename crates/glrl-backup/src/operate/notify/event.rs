//! What others are told: one event, the same for everybody, as JSON and as text.

use glrl_node::{
    system::clock,
    value::{
        secret::redact,
        text::{bytes, count, duration},
    },
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    binlogs::Archived,
    model::{
        error::Error,
        id::{BackupId, Instance},
        manifest::Manifest,
        notice::EventKind,
        program::Program,
        verdict::{Grade, Verdict},
    },
    retention::prune::Pruned,
    state::history::{Attempt, said},
};

/// An event. Fields are added without a new `schema`; it grows when one changes or goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    schema: u32,
    #[serde(rename = "event")]
    pub(crate) kind: EventKind,
    pub(crate) program: Program,
    instance: Instance,
    host: String,
    pub(crate) at: Timestamp,
    id: Option<BackupId>,
    message: String,
    exit_code: Option<u8>,
    bytes: Option<u64>,
    lock_ms: Option<f64>,
    took_ms: Option<f64>,
    verdict: Option<Grade>,
}

impl Event {
    fn new(kind: EventKind, program: Program, instance: &Instance, message: impl Into<String>) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default();
        Self {
            schema: 1,
            kind,
            program,
            instance: instance.clone(),
            host: host.to_string_lossy().into_owned(),
            at: clock::now(),
            id: None,
            message: redact(&message.into()).into_owned(),
            exit_code: None,
            bytes: None,
            lock_ms: None,
            took_ms: None,
            verdict: None,
        }
    }

    /// A run begins.
    pub(crate) fn start(program: Program, instance: &Instance) -> Self {
        Self::new(EventKind::Start, program, instance, "begun")
    }

    /// A run failed.
    pub(crate) fn fail(program: Program, instance: &Instance, id: Option<BackupId>, error: &Error) -> Self {
        Self {
            id,
            exit_code: Some(error.kind.exit_code()),
            ..Self::new(EventKind::Fail, program, instance, said(error))
        }
    }

    /// An earlier run was killed, and could say nothing itself.
    pub(crate) fn killed(program: Program, instance: &Instance, attempt: &Attempt) -> Self {
        let message = format!(
            "the run of {} has no end: {}",
            clock::stamp(attempt.started),
            attempt.why()
        );
        Self {
            id: attempt.id.clone(),
            ..Self::new(EventKind::Fail, program, instance, message)
        }
    }

    /// A backup is complete.
    pub(crate) fn backed_up(manifest: &Manifest) -> Self {
        let took = manifest.ended.duration_since(manifest.started);
        let message = format!(
            "{} of {} archived in {}, the database locked for {:.0} ms",
            bytes(manifest.archive.digests.bytes),
            count(usize::try_from(manifest.files.count).unwrap_or(usize::MAX), "file"),
            duration(u64::try_from(took.as_millis()).unwrap_or(0)),
            manifest.lock.hold_ms
        );
        Self {
            id: Some(manifest.id.clone()),
            exit_code: Some(0),
            bytes: Some(manifest.archive.digests.bytes),
            lock_ms: Some(manifest.lock.hold_ms),
            took_ms: Some(took.as_secs_f64() * 1000.0),
            ..Self::new(EventKind::Success, Program::Backup, manifest.id.instance(), message)
        }
    }

    /// Old backups are gone.
    pub(crate) fn pruned(instance: &Instance, pruned: &Pruned) -> Self {
        let message = format!("{} deleted, {} kept", pruned.gone(), pruned.kept());
        Self::new(EventKind::Success, Program::Prune, instance, message)
    }

    /// Binary logs are archived again.
    pub(crate) fn archived(instance: &Instance, archived: &Archived) -> Self {
        let message = format!("{} archived, after a failure", count(archived.logs.len(), "binary log"));
        Self {
            exit_code: Some(0),
            ..Self::new(EventKind::Success, Program::Binlogs, instance, message)
        }
    }

    /// There is a verdict.
    pub(crate) fn verified(instance: &Instance, verdict: &Verdict) -> Self {
        let (kind, message) = match verdict.verdict {
            Grade::Ok => {
                let warnings = verdict.warnings().map(|said| format!("; {said}")).unwrap_or_default();
                (EventKind::Success, format!("it restores{warnings}"))
            }
            Grade::Stale => (EventKind::Stale, verdict.why().unwrap_or_default()),
            Grade::Corrupt => (
                EventKind::Fail,
                format!("it does not restore: {}", verdict.why().unwrap_or_default()),
            ),
            Grade::Unverified => (
                EventKind::Fail,
                format!("it was not verified: {}", verdict.why().unwrap_or_default()),
            ),
        };
        Self {
            id: verdict.id.clone(),
            exit_code: Some(verdict.exit_code()),
            took_ms: Some(verdict.took.as_secs_f64() * 1000.0),
            verdict: Some(verdict.verdict),
            ..Self::new(kind, Program::Verify, instance, message)
        }
    }

    /// As JSON, on one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A line that says it all, as the subject of a mail.
    pub(crate) fn subject(&self) -> String {
        let program = match self.program {
            Program::Backup => "backup",
            Program::Prune => "deletion of old backups",
            Program::Verify => "verification",
            Program::Binlogs => "archive of binary logs",
        };
        let how = match self.kind {
            EventKind::Start => "begun",
            EventKind::Success => "ok",
            EventKind::Fail => "FAILED",
            EventKind::Stale => "STALE",
        };
        format!("{how}: {program} of {} on {}", self.instance, self.host)
    }

    /// The rest.
    pub(crate) fn text(&self) -> String {
        let id = self
            .id
            .as_ref()
            .map(|id| format!("backup   {id}\n"))
            .unwrap_or_default();
        let exit = self
            .exit_code
            .map(|code| format!("status   {code}\n"))
            .unwrap_or_default();
        format!("{}\n\nat       {}\n{id}{exit}", self.message, clock::stamp(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::Kind;

    #[test]
    fn an_event_says_it_all() {
        let error = Error::new(Kind::Target, "the disk is full");
        let event = Event {
            host: "mysql".to_owned(),
            at: "2026-11-01T03:15:41Z".parse().unwrap(),
            ..Event::fail(
                Program::Backup,
                &"db1".parse().unwrap(),
                Some("mysql-db1-20261101T031500Z".parse().unwrap()),
                &error,
            )
        };
        insta::assert_snapshot!(event.json(), @r#"{"schema":1,"event":"fail","program":"backup","instance":"db1","host":"mysql","at":"2026-11-01T03:15:41Z","id":"mysql-db1-20261101T031500Z","message":"the disk is full","exit_code":14,"bytes":null,"lock_ms":null,"took_ms":null,"verdict":null}"#);
        insta::assert_snapshot!(format!("{}\n\n{}", event.subject(), event.text()), @"
        FAILED: backup of db1 on mysql

        the disk is full

        at       2026-11-01T03:15:41Z
        backup   mysql-db1-20261101T031500Z
        status   14
        ");
        assert_eq!(serde_json::from_str::<Event>(&event.json()).unwrap(), event);
    }
}
