//! Packages as a probe sees them.

use anyhow::{Result, bail};

use super::Refused;

/// An installed package (dpkg-query(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The version, as dpkg writes it.
    pub version: String,
    /// Whether it is on hold (apt-mark(8)).
    pub hold: bool,
    /// False when unpacking, configuring or removing was interrupted: dpkg has yet to finish it, or apt to install it again.
    pub configured: bool,
}

/// What apt says of a transaction without carrying it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foretold {
    /// Nobody can say yet: the lists are old, or a repository, or dpkg's own repair, comes first.
    Unknown,
    /// It can be done, and does what is asked for.
    Possible,
    /// It cannot be done.
    Impossible {
        /// Why, and what to do.
        why: String,
    },
    /// It would do what nobody has asked for.
    More {
        /// What it would do besides: `remove git`.
        what: String,
        /// What to declare, then.
        hint: &'static str,
    },
}

impl Foretold {
    /// An error where it cannot or must not be done. `doing`: installing, removing.
    pub fn check(self, doing: &str, packages: &[String]) -> Result<()> {
        match self {
            Self::Unknown | Self::Possible => Ok(()),
            Self::Impossible { why } => bail!("{why}"),
            Self::More { what, hint } => Err(Refused::because(
                format!("{doing} {} would also {what}", packages.join(" ")),
                hint,
            )),
        }
    }
}
