//! dpkg's status file, read once, and apt-get.

use anyhow::{Result, bail};

use super::tree::Tree;
use crate::system::Package;

/// All installed packages.
#[derive(Debug, Default)]
pub(super) struct Packages;

impl Packages {
    pub(super) fn read(_tree: &Tree) -> Result<Self> {
        bail!("not built yet")
    }

    pub(super) fn get(&self, _name: &str) -> Option<Package> {
        None
    }
}

/// Installs in one transaction.
pub(super) fn install(_packages: &[String]) -> Result<()> {
    bail!("not built yet")
}

/// Removes in one transaction.
pub(super) fn remove(_packages: &[String]) -> Result<()> {
    bail!("not built yet")
}
