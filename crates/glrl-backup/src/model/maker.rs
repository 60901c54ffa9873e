//! Who has made a backup or a log.

use std::{fmt, path::Path};

use crate::model::{machine, manifest::Manifest, server::Server};

/// Characters of a UUID of MySQL's.
pub(crate) const UUID: usize = 36;

/// Who has made something, as far as that is known: nothing is, where a manifest cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Maker {
    /// The host's name.
    pub(crate) host: Option<String>,
    /// The machine's id.
    pub(crate) machine: Option<String>,
    /// MySQL's `server_uuid`, MariaDB's `server_uid`.
    pub(crate) uuid: Option<String>,
    /// The server's datadir.
    pub(crate) datadir: Option<String>,
}

impl Maker {
    /// Returns who has made a backup.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            host: Some(manifest.host.clone()),
            machine: manifest.machine.clone(),
            uuid: manifest.server.uuid.clone(),
            datadir: manifest.server.variable("datadir").map(str::to_owned),
        }
    }

    /// Returns this node, with this server if one is named.
    pub(crate) fn here(server: Option<&Server>) -> Self {
        let datadir = server.and_then(|server| server.variable("datadir"));
        let datadir = datadir.map(|path| Path::new(path).canonicalize().unwrap_or_else(|_| path.into()));
        Self {
            host: Some(machine::host()),
            machine: machine::id(),
            uuid: server.and_then(|server| server.uuid.clone()),
            datadir: datadir.map(|path| path.to_string_lossy().into_owned()),
        }
    }

    /// Whether both may be one server: nothing that both know differs. MySQL's UUID is the server's own. MariaDB's is that of the machine's
    /// network card: where the machine is known, what tells its servers apart is where their data is.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let agree =
            |of: fn(&Self) -> &Option<String>| of(self).is_none() || of(other).is_none() || of(self) == of(other);
        let is_own = |uuid: &Option<String>| uuid.as_ref().is_some_and(|uuid| uuid.len() == UUID);
        let one_machine = self.machine.is_some() && self.machine == other.machine;
        let one_server = if one_machine && !(is_own(&self.uuid) && is_own(&other.uuid)) {
            agree(|maker| &maker.datadir)
        } else {
            agree(|maker| &maker.uuid)
        };
        agree(|maker| &maker.host) && agree(|maker| &maker.machine) && one_server
    }
}

impl fmt::Display for Maker {
    /// `UUID on HOST`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.uuid {
            Some(uuid) => f.write_str(uuid)?,
            None => f.write_str("that")?,
        }
        write!(f, " on {}", self.host.as_deref().unwrap_or("an unknown host"))
    }
}
