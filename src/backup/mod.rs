//! The backup programs, subcommands of the same binary: `run` (lock, LVM snapshot, unlock, archive), `list`, `verify`
//! (start a server on what was archived, and read everything) and `restore`. MariaDB 10.6+ and MySQL 8.0+ alike.
//!
//! They stand beside the engine and share only `system` and `value` with it. Nothing is printed here: what happens goes to the
//! caller as `Step`s, what came of it is returned, and `Kind` says the exit code of what went wrong.
//!
//! A backup is four files in the target directory, `ID` being `mysql-INSTANCE-20261101T031500Z`:
//!
//! - `ID.tar.zst`: all files of the volume, as the snapshot held them;
//! - `ID.files.zst`: path, size and BLAKE3 of each, one JSON object a line;
//! - `ID.tables.zst`: what the server had, schemas, tables, triggers and so on (`inventory`), in the same way;
//! - `ID.json`: the manifest. It is written last and is the commit record: without it there is no backup.
//!
//! Where backups are encrypted the first three end in `.age` (`encryption`). While they are written they end in `.partial` (`partial`). A verdict adds `ID.verified.json`. Archived binary logs lie in a directory beside them
//! (`binlogs`).
#![expect(
    clippy::disallowed_methods,
    reason = "an application of its own beside the engine: it touches the node directly, not through a provider"
)]

mod alone;
mod apart;
mod archive;
mod behind;
#[doc(hidden)]
pub mod bench;
mod binlogs;
pub mod config;
mod draft;
mod encryption;
mod error;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gtid;
mod hash;
mod history;
mod interrupt;
mod inventory;
mod job;
mod lines;
mod list;
mod lock;
mod lvm;
mod machine;
mod made;
#[cfg(test)]
mod made_up;
pub mod manifest;
mod milliseconds;
mod mounts;
mod name;
mod notify;
mod option_file;
mod option_files;
mod options;
mod partial;
mod placement;
mod process;
mod restore;
mod retention;
mod run;
mod server;
mod session;
mod status;
mod step;
mod supervise;
mod target;
mod verdicts;
mod verify;
mod volume;
mod wait_for_mount;
mod watch;
mod whose;

pub use binlogs::{Archived, Entry as ArchivedLog, reap as reap_binlogs};
pub use config::Settings;
pub use encryption::{Encryption, EncryptionSettings, Recipient};
pub use error::{Error, Kind};
pub use history::{Attempt, History};
pub use interrupt::Interrupt;
pub use job::{archive_binlogs, prune, run, verify};
pub use list::{Listed, list};
pub use manifest::Manifest;
pub use name::{BackupId, Instance};
pub use notify::NotifySettings;
pub use restore::{Destination, Replayed, Request, Restored, Until, restore};
pub use retention::{Judged, Keep, Pruned};
pub use status::{Health, Status, status};
pub use step::Step;
pub use supervise::{Heartbeat, Supervised, supervise};
pub use verify::{Check, Outcome, Verdict, Word};

#[cfg(test)]
mod tests;
