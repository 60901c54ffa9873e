//! How far a move has come, on the filesystem that gets the data.

use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    system::{
        MoveData,
        local::tree::{Numbers, Tree},
    },
    value::{AbsPath, Mode, UnitName},
};

/// What the marker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    /// For whoever finds it.
    about: String,
    /// What is copied.
    pub(super) from: AbsPath,
    /// Units that ran, and are started when all is done.
    pub(super) units: Vec<UnitName>,
    /// When the copy was whole and compared; nothing while it is made.
    pub(super) copied: Option<Timestamp>,
}

impl Marker {
    pub(super) fn new(moved: &MoveData, units: &[UnitName], copied: Option<Timestamp>) -> Self {
        Self {
            about: "glrl moves data to this filesystem, and removes this file when it is done; run glrl converge again if it is not".to_owned(),
            from: moved.from.clone(),
            units: units.to_vec(),
            copied,
        }
    }

    /// What is there; nothing where there is no marker.
    pub(super) fn read(tree: &Tree, path: &Path) -> Result<Option<Self>> {
        let Some(text) = tree.contents(path)? else {
            return Ok(None);
        };
        let marker = serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
        Ok(Some(marker))
    }

    /// Puts it there, durably.
    pub(super) fn write(&self, tree: &Tree, path: &Path) -> Result<()> {
        let numbers = Numbers {
            mode: Some(Mode::of(0o600)),
            uid: Some(0),
            gid: Some(0),
        };
        tree.write(path, &serde_json::to_vec_pretty(self)?, &numbers, None)
    }
}
