//! What earlier runs left in the state directory.

use anyhow::{Context, Result};

use super::{ledger::Ledger, owed::Owed};
use crate::system::state::StateDir;

/// What a run goes on from. The default is that of a node that has seen no run.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Notifications that an earlier run did not live to deliver.
    pub(super) owed: Owed,
    /// What earlier runs made and protect.
    pub(super) ledger: Ledger,
}

impl Earlier {
    /// Reads it.
    pub fn load(state: &StateDir) -> Result<Self> {
        Ok(Self {
            owed: Owed::load(state).context("reading which notifications are still owed")?,
            ledger: Ledger::load(state).context("reading what is protected")?,
        })
    }
}
