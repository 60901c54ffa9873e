//! The manifest, `ID.json`: what a backup is, and the record that it is complete. Whoever restores needs nothing else to know how.
//! Fields are added without a new `schema`; it grows when one changes or goes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{
    digests::Digests,
    encryption::Encryption,
    id::BackupId,
    layout::{self, path_of},
    server::Server,
};

/// The version of the format.
pub(crate) const SCHEMA: u32 = 1;

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// See `SCHEMA`.
    pub schema: u32,
    /// Names the backup and the run that made it.
    pub id: BackupId,
    /// The node it was made on.
    pub host: String,
    /// The machine's id: a hash of its own (machine-id(5)). Unknown for backups of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// glrl's version.
    pub glrl: String,
    /// When the run began.
    pub started: Timestamp,
    /// When the archive was complete.
    pub ended: Timestamp,
    /// The server.
    pub server: Server,
    /// Its option files by path, without passwords.
    #[serde(default)]
    pub option_files: BTreeMap<String, String>,
    /// Where the server's binary log stood at the moment the snapshot shows.
    pub coordinates: Coordinates,
    /// The lock.
    pub lock: Lock,
    /// The volume.
    pub volume: Volume,
    /// The numbers of the account that the server ran as: what belonged to it belongs to the server's account where it is restored. Unknown
    /// for backups of versions that did not say: the owner of the server's own files in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// To whom archive and list are encrypted; `None` where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The archive, `ID.tar.zst`, or `ID.tar.zst.age` where it is encrypted.
    pub archive: Archive,
    /// The list of its files, `ID.files.zst` or `ID.files.zst.age`.
    pub files: Files,
    /// What the server had, `ID.tables.zst` or `ID.tables.zst.age`; `None` where it could not say, and for backups of versions that did not
    /// ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Tables>,
    /// What belongs to the server and is not in the backup, one line each. No table is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_included: Vec<String>,
}

impl Manifest {
    /// Where the archive is.
    pub(crate) fn archive_in(&self, directory: &Path) -> PathBuf {
        path_of(directory, &self.id, layout::archive(self.encryption.is_some()))
    }

    /// Where the list of its files is.
    pub(crate) fn list_in(&self, directory: &Path) -> PathBuf {
        path_of(directory, &self.id, layout::files(self.encryption.is_some()))
    }

    /// Where the list of what the server had is.
    pub(crate) fn tables_in(&self, directory: &Path) -> PathBuf {
        path_of(directory, &self.id, layout::tables(self.encryption.is_some()))
    }
}

/// An account, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's.
    pub uid: u32,
    /// The group's.
    pub gid: u32,
}

/// Where the server's binary log stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinates {
    /// File and position; `None` for a server that writes no binary log.
    pub binlog: Option<Position>,
    /// MariaDB's `gtid_binlog_pos`, MySQL's `gtid_executed`; `None` where it is empty.
    pub gtid: Option<String>,
    /// MariaDB's `gtid_slave_pos`; `None` where it is empty.
    pub gtid_slave_pos: Option<String>,
    /// For each connection to a source: where its replica stood.
    pub replicas: Vec<BTreeMap<String, String>>,
    /// Up to where `InnoDB`'s redo log was in its files before the lock; MariaDB's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn: Option<u64>,
}

/// A place in a binary log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The file's name, without its directory.
    pub file: String,
    /// Bytes from its beginning.
    pub position: u64,
}

/// How the server was held still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// The statements that did it.
    pub mode: String,
    /// When it was had: the moment that the backup shows. Unknown for backups of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// From asking for it to having it, milliseconds.
    pub wait_ms: f64,
    /// From having it to having given it back, milliseconds.
    pub hold_ms: f64,
    /// What of that the snapshot took, which is the least that it can be; unknown for backups of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_ms: Option<f64>,
    /// The limit of either.
    pub budget_ms: f64,
}

/// The volume that was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its volume group; empty for what is not LVM.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Where it was mounted: absolute paths in the data mean places below this.
    pub mount_point: PathBuf,
    /// The datadir, relative to that.
    pub datadir: PathBuf,
    /// Its filesystem's type.
    pub filesystem: String,
}

/// The snapshot that was archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Bytes set aside for what changes.
    pub bytes: u64,
    /// How full that got.
    pub fill_percent: f64,
}

impl Snapshot {
    /// Bytes that were written into it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a size, of which three digits are known"
    )]
    pub(crate) fn used(&self) -> u64 {
        (self.bytes as f64 * self.fill_percent / 100.0) as u64
    }
}

/// The archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Always `tar+zstd`, inside what encrypts it.
    pub format: String,
    /// zstd's level.
    pub level: i32,
    /// Its bytes and their hashes.
    #[serde(flatten)]
    pub digests: Digests,
}

/// The files in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// How many regular files.
    pub count: u64,
    /// Their bytes, holes counted.
    pub bytes: u64,
    /// Their bytes without holes: what unpacking takes.
    pub stored: u64,
    /// The list's own bytes and hashes.
    pub list: Digests,
    /// What was left out on purpose: a server makes it anew.
    pub left_out: Vec<String>,
    /// What was archived without its setuid or setgid bits, or capabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_privileges: Vec<String>,
}

/// What the server had while no statement could change it: schemas, tables, views, triggers, routines, events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// How many of them.
    pub count: u64,
    /// Whether the account that asked may see all of them.
    pub complete: bool,
    /// The list's own bytes and hashes.
    pub list: Digests,
}
