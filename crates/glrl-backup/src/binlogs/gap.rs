//! Gaps: what a restore of the newest backup cannot go on to, since binary logs behind it are not archived and never will be. The server has
//! purged them, or begun anew (RESET MASTER, a restore), or one cannot be read. Until the next backup it stays so, and `glrl backup status` says
//! it; that it has come to be is told once, as a failure.

use std::path::PathBuf;

use anyhow::Context;
use glrl_node::system::state::StateDir;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::{
    model::{binlog::Entry, id::BackupId, maker::Maker, manifest::Manifest},
    settings::Settings,
};

const FILE: &str = "gap.json";

/// What a restore lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// The backup that it would begin with.
    pub(crate) backup: BackupId,
    /// What it can and cannot go on to, and why.
    pub(crate) message: String,
}

/// What the log that was being written at the last run goes on from. The server may have purged that when the log is archived in its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Follows {
    /// The log's name on the server.
    pub(crate) file: String,
    /// When it was begun.
    pub(crate) begun: jiff::Timestamp,
    /// The entry of the one before it.
    pub(crate) previous: Option<String>,
}

impl Follows {
    const FILE: &str = "follows.json";

    /// Returns what the last run has noted.
    pub(crate) fn read(settings: &Settings) -> Option<Self> {
        let state = StateDir::if_any("/".as_ref(), &state_of(settings)).ok()??;
        serde_json::from_slice(&state.read(Self::FILE).ok().flatten()?).ok()
    }

    /// Notes it for the next run.
    pub(crate) fn keep(&self, settings: &Settings) -> anyhow::Result<()> {
        if Self::read(settings).as_ref() == Some(self) {
            return Ok(());
        }
        StateDir::open(&state_of(settings))?.write(Self::FILE, &serde_json::to_vec(self)?)
    }
}

fn state_of(settings: &Settings) -> PathBuf {
    settings
        .state_directory
        .join("binlogs")
        .join(settings.instance.as_str())
}

/// The server's logs, as a run has found them.
pub(crate) struct Series<'a> {
    /// All that is archived.
    pub(crate) known: &'a [Entry],
    /// The entry of the last log that is closed, where that is archived.
    pub(crate) last: Option<&'a str>,
    /// The log that is being written, and when it was begun.
    pub(crate) open: (&'a str, jiff::Timestamp),
    /// Those that cannot be read, and why.
    pub(crate) unread: &'a [String],
}

impl Gap {
    /// Looks for a gap behind a backup.
    pub(crate) fn behind(backup: &Manifest, series: &Series<'_>) -> Option<Self> {
        let stood = backup.coordinates.binlog.as_ref();
        let at = backup.lock.at.unwrap_or(backup.started);
        let at = at.checked_add(SignedDuration::from_secs(1)).unwrap_or(at);
        // After RESET MASTER, and a restore, another log has the name.
        let is_its = |file: &str, begun| stood.is_some_and(|stood| stood.file == file) && begun <= at;
        if is_its(series.open.0, series.open.1) {
            return None;
        }
        let position = stood.map_or(0, |stood| stood.position);
        let is_start = |entry: &Entry| is_its(&entry.file, entry.begun) && entry.log.bytes >= position;
        let named = |name: &str| series.known.iter().find(|entry| entry.name == name);
        let (mut next, mut head) = (series.last, None);
        while let Some(entry) = next.and_then(named) {
            if is_start(entry) {
                return None;
            }
            head = Some(entry);
            next = entry.previous.as_deref();
        }
        let maker = Maker::of(backup);
        let own = || series.known.iter().filter(|entry| entry.is_of(&maker));
        let mut reached = own().rfind(|entry| is_start(entry));
        while let Some(entry) = reached {
            match own().rfind(|next| next.previous.as_ref() == Some(&entry.name)) {
                Some(next) => reached = Some(next),
                None => break,
            }
        }
        let up_to = match (reached, stood) {
            (Some(entry), _) => entry.last.as_ref().map_or_else(
                || format!("the end of {}", entry.name),
                |gtid| format!("{gtid}, the end of {}", entry.name),
            ),
            (None, Some(stood)) => format!(
                "the backup itself, which stands at {} of {}",
                stood.position, stood.file
            ),
            (None, None) => "the backup itself, of a server that wrote no binary log".to_owned(),
        };
        let goes_on = head.map_or_else(
            || format!("{}, which is being written", series.open.0),
            |head| match &head.first {
                Some(gtid) => format!("{}, with {gtid}", head.name),
                None => head.name.clone(),
            },
        );
        let why = if series.unread.is_empty() {
            "the server has purged what was between, or has begun anew".to_owned()
        } else {
            series.unread.join("; ")
        };
        Some(Self {
            backup: backup.id.clone(),
            message: format!(
                "binary logs are missing: a restore of {} goes on to {up_to}, and no further; the next log is {goes_on}; {why}; make a \
                 backup, with which this ends: glrl backup run",
                backup.id
            ),
        })
    }

    /// Returns what the last run has found.
    pub(crate) fn read(settings: &Settings) -> Option<Self> {
        let state = StateDir::if_any("/".as_ref(), &state_of(settings)).ok()??;
        serde_json::from_slice(&state.read(FILE).ok().flatten()?).ok()
    }

    /// Keeps what was found. Returns what was known before.
    pub(crate) fn keep(settings: &Settings, gap: Option<&Self>) -> anyhow::Result<Option<Self>> {
        let before = Self::read(settings);
        if before.as_ref() != gap {
            let text = serde_json::to_vec(&gap).context("writing the record of a gap")?;
            StateDir::open(&state_of(settings))?.write(FILE, &text)?;
        }
        Ok(before)
    }
}
