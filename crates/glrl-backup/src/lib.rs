//! The backup programs, subcommands of glrl's binary: `run` (lock, LVM snapshot, unlock, archive), `list`, `verify` (start a server on what was
//! archived, and read everything) and `restore`. MariaDB 10.6+ and MySQL 8.0+ alike.
//!
//! Nothing is printed here: what happens goes to the caller as `Step`s, what came of it is returned, and `Kind` says the exit code of what went
//! wrong.
//!
//! A folder imports only those above it in this list:
//!
//! - `model`: what is written and said;
//! - `settings`: what the operator says;
//! - `volume`: what can be frozen;
//! - `server`: talking to MariaDB and MySQL;
//! - `state`: what this node remembers of its runs;
//! - `store`: what lies on the target;
//! - `scratch`: a server that is started on a copy, which cannot reach the original;
//! - `make`, `verify`, `restore`, `binlogs`, `retention`: the programs;
//! - `operate`: a run as others see it: its record, its supervisor, its notifications.
//!
//! A backup is four files in the target directory, `ID` being `mysql-INSTANCE-20261101T031500Z`:
//!
//! - `ID.tar.zst`: all files of the volume, as the snapshot held them;
//! - `ID.files.zst`: path, size and BLAKE3 of each, one JSON object a line;
//! - `ID.tables.zst`: what the server had, schemas, tables, triggers and so on (`model::inventory`), in the same way;
//! - `ID.json`: the manifest. It is written last and is the commit record: without it there is no backup.
//!
//! Where backups are encrypted the first three end in `.age` (`store::encryption`). While they are written they end in `.partial`
//! (`store::partial`). A verdict adds `ID.verified.json`. Archived binary logs lie in a directory beside them (`store::binlog`).
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests start programs, and ask the environment")
)]

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
pub(crate) mod binlogs;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod make;
pub(crate) mod model;
pub(crate) mod operate;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod scratch;
pub(crate) mod server;
pub mod settings;
pub(crate) mod state;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod verify;
pub(crate) mod volume;

pub use binlogs::{Archived, keep::reap as reap_binlogs};
pub use model::{
    binlog::Entry as ArchivedLog,
    encryption::Encryption,
    error::{Error, Kind},
    heartbeat::Heartbeat,
    id::{BackupId, Instance},
    interrupt::Interrupt,
    judged::Judged,
    manifest::Manifest,
    recipient::Recipient,
    step::Step,
    verdict::{Check, Grade, Outcome, Verdict},
};
pub use operate::{
    job::{archive_binlogs, prune, run, verify},
    status::{Health, Status, status},
    supervise::{Supervised, supervise},
};
pub use restore::{Destination, Request, Restored, replay::Replayed, restore, until::Until};
pub use retention::prune::Pruned;
pub use settings::{Settings, encryption::EncryptionSettings, keep::Keep, notify::NotifySettings};
pub use state::history::{Attempt, History};
pub use store::list::{Listed, list};
