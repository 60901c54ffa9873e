//! Which backups this node has made: `made.json` beside the run lock. A machine that was copied has all else in common with its copy.

use glrl_node::system::{clock, state::StateDir};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        id::BackupId,
        layout::{self, MANIFEST, path_of},
    },
    settings::Settings,
    state::history::Records,
};

const FILE: &str = "made.json";

/// The record of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Since when it is kept: of those that are older, it knows some at most.
    since: Timestamp,
    /// Backups that were begun.
    ids: Vec<BackupId>,
}

impl Made {
    /// Returns what this node has made; `None` where it has made no backup of the instance.
    pub(crate) fn read(settings: &Settings) -> Option<Self> {
        let path = settings.state_directory.join("backup").join(settings.instance.as_str());
        let state = StateDir::if_any("/".as_ref(), &path).ok()??;
        let made: Option<Self> = state
            .read(FILE)
            .ok()
            .flatten()
            .and_then(|text| serde_json::from_slice(&text).ok());
        // Versions before kept no such record, but that of their last runs.
        let success = Records::glance(settings, "backup")
            .ok()
            .and_then(|history| history.success);
        let ids = made.iter().flat_map(|made| made.ids.clone());
        let ids: Vec<_> = ids.chain(success.and_then(|run| run.id)).collect();
        (!ids.is_empty()).then(|| Self {
            since: made.map_or(Timestamp::MAX, |made| made.since),
            ids,
        })
    }

    /// Notes a backup before it is made. Those that are gone are forgotten. The caller holds the run lock.
    pub(crate) fn note(settings: &Settings, id: &BackupId) -> anyhow::Result<()> {
        let path = settings.state_directory.join("backup").join(settings.instance.as_str());
        let state = StateDir::open(&path)?;
        let mut made = Self::read(settings).unwrap_or(Self {
            since: Timestamp::MAX,
            ids: Vec::new(),
        });
        // One that has lost its manifest is there still.
        let is_there = |id: &BackupId| {
            let mut of = [MANIFEST, layout::archive(false), layout::archive(true)].into_iter();
            of.any(|suffix| path_of(&settings.target.directory, id, suffix).exists())
        };
        made.ids.retain(is_there);
        made.ids.push(id.clone());
        made.since = made.since.min(id.at()).min(clock::now());
        state.write(FILE, &serde_json::to_vec(&made)?)
    }

    #[cfg(test)]
    pub(crate) fn of(since: Timestamp, ids: Vec<BackupId>) -> Self {
        Self { since, ids }
    }

    /// Whether this node has made it.
    pub(crate) fn has(&self, id: &BackupId) -> bool {
        self.ids.contains(id)
    }

    /// Whether it was made by somebody else, as far as this record reaches.
    pub(crate) fn lacks(&self, id: &BackupId) -> bool {
        id.at() >= self.since && !self.has(id)
    }
}
