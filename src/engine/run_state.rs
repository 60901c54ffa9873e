//! What earlier runs left in the state directory.

use anyhow::{Context, Result};

use super::{ledger::Ledger, pending::Pending};
use crate::system::state::StateDir;

/// What a run goes on from. The default is that of a node that has seen no run.
#[derive(Debug, Default)]
pub struct RunState {
    /// Notifications that an earlier run did not live to deliver.
    pub(super) pending: Pending,
    /// What earlier runs made and protect.
    pub(super) ledger: Ledger,
}

impl RunState {
    /// Reads it.
    pub fn load(state: &StateDir) -> Result<Self> {
        Ok(Self {
            pending: Pending::load(state).context("reading the pending notifications")?,
            ledger: Ledger::load(state).context("reading what is protected")?,
        })
    }
}
