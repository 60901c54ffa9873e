//! Notifications that are owed. They are on disk before the change that causes them is made, so that neither a failure nor SIGKILL
//! loses one: the next run delivers it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{system::state::StateDir, value::Id};

const FILE: &str = "pending.json";

/// Who is owed a notification, and by whom.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Owed(BTreeMap<Id, BTreeSet<Id>>);

impl Owed {
    /// What earlier runs left.
    pub(super) fn load(state: &StateDir) -> Result<Self> {
        match state.read(FILE)? {
            Some(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{FILE} in the state directory cannot be read: remove it to forget what is owed")
            }),
            None => Ok(Self::default()),
        }
    }

    /// Whether this one is.
    pub(super) fn is_owed(&self, id: &Id) -> bool {
        self.0.contains_key(id)
    }

    /// Notes, durably, that `by` is about to change and that these will have to be told.
    pub(super) fn owe<'a>(&mut self, state: &StateDir, by: &Id, targets: impl Iterator<Item = &'a Id>) -> Result<()> {
        let mut news = false;
        for target in targets {
            news |= self.0.entry(target.clone()).or_default().insert(by.clone());
        }
        if news { self.save(state) } else { Ok(()) }
    }

    /// Notes, durably, that this one has been told.
    pub(super) fn settle(&mut self, state: &StateDir, id: &Id) -> Result<()> {
        if self.0.remove(id).is_some() {
            self.save(state)
        } else {
            Ok(())
        }
    }

    fn save(&self, state: &StateDir) -> Result<()> {
        state.write(FILE, &serde_json::to_vec_pretty(self)?)
    }
}
