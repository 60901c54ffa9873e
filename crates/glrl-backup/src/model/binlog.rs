//! The record of an archived binary log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{digests::Digests, encryption::Encryption};

/// The version of the format.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) const LOG: &str = ".zst";

pub(crate) const SEALED_LOG: &str = ".zst.age";

pub(crate) const RECORD: &str = ".json";

/// What `NAME.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// See `SCHEMA`.
    pub schema: u32,
    /// `NAME`: the entry's own, unique in the directory.
    pub name: String,
    /// The log's name on the server.
    pub file: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// When its last event was written.
    pub ended: Timestamp,
    /// The entry of the log before it, of the same series; `None` where that was not archived.
    pub previous: Option<String>,
    /// MySQL's `server_uuid`, MariaDB's `server_uid`.
    pub server: Option<String>,
    /// The host that it was archived on. Unknown for logs of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// That machine's id, as a manifest has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The server's datadir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datadir: Option<String>,
    /// Transactions in it.
    pub transactions: u64,
    /// The first one's GTID, where it has one.
    pub first: Option<String>,
    /// The last one's.
    pub last: Option<String>,
    /// The log's own length, and its hashes, unless it is encrypted: see `tail`.
    pub log: Digests,
    /// BLAKE3 of its last 64 KiB, keyed where it is encrypted: tells it from another log of the same name, time and length.
    pub tail: String,
    /// To whom it is encrypted; `None` where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Length and hashes of `NAME.zst` or `NAME.zst.age`.
    pub archive: Digests,
    /// When it was archived.
    pub archived: Timestamp,
}

/// What a log's name ends in.
pub(crate) const fn log(encrypted: bool) -> &'static str {
    if encrypted { SEALED_LOG } else { LOG }
}
