//! What a run tells its caller while it goes on.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use crate::model::{id::BackupId, milliseconds};

/// Something that happened. The caller prints it, or does not.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The target is not mounted, and is waited for.
    Waiting {
        /// Where it is to be mounted.
        path: PathBuf,
        /// What is to be mounted, or who is to do it.
        source: String,
        /// How long.
        #[serde(rename = "at_most_ms", serialize_with = "milliseconds::serialize")]
        at_most: Duration,
    },
    /// It is mounted now.
    Mounted {
        /// Where.
        path: PathBuf,
        /// How long that took.
        #[serde(rename = "took_ms", serialize_with = "milliseconds::serialize")]
        took: Duration,
    },
    /// A backup begins.
    Began {
        /// Its id.
        id: BackupId,
        /// `MariaDB 10.11.19`.
        server: String,
    },
    /// What a run that died had left behind was removed.
    Removed {
        /// A snapshot, a mount, a partial file.
        what: String,
    },
    /// The lock is being asked for.
    Locking {
        /// How, in the server's words.
        mode: &'static str,
    },
    /// The snapshot is made and the lock given back.
    Frozen {
        /// How long it took to get the lock.
        #[serde(rename = "wait_ms", serialize_with = "milliseconds::serialize")]
        wait: Duration,
        /// How long it was kept.
        #[serde(rename = "hold_ms", serialize_with = "milliseconds::serialize")]
        hold: Duration,
    },
    /// The snapshot was filling up and was given more room.
    Grown {
        /// How full it was, in percent.
        fill: f64,
        /// Its room now, in bytes.
        bytes: u64,
    },
    /// Files are being read into the archive, or out of it.
    Copying {
        /// Files done.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
        /// Bytes of the archive so far.
        archived: u64,
        /// Since the first of them.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds::serialize")]
        elapsed: Duration,
    },
    /// A backup is complete: its manifest is on disk.
    Complete {
        /// Its id.
        id: BackupId,
        /// Bytes of the archive.
        bytes: u64,
        /// How long the whole run took.
        #[serde(rename = "took_ms", serialize_with = "milliseconds::serialize")]
        took: Duration,
    },
    /// A backup's verification begins.
    Verifying {
        /// Its id.
        id: BackupId,
    },
    /// One of its checks is done.
    Checked(crate::model::verdict::Check),
    /// What becomes of a backup by the policy for keeping them. One that goes is gone, unless this is a dry run.
    Judged {
        /// Nothing is deleted.
        dry_run: bool,
        /// The backup.
        #[serde(flatten)]
        judged: crate::model::judged::Judged,
    },
    /// An archived binary log that no backup which is kept can be replayed with. It is gone, unless this is a dry run.
    UselessLog {
        /// Nothing is deleted.
        dry_run: bool,
        /// Its name in the archive.
        name: String,
    },
    /// A restore begins.
    Restoring {
        /// The backup.
        id: BackupId,
        /// The directory that becomes what the volume's root was.
        to: PathBuf,
    },
    /// Archived binary logs are being replayed.
    Replaying {
        /// Transactions.
        transactions: u64,
        /// The logs that they are in.
        logs: usize,
    },
    /// A binary log is archived.
    ArchivedLog(Box<crate::model::binlog::Entry>),
    /// All files are there, and are being put to the disk.
    Syncing,
    /// Something the operator should know, which did not stop the run.
    Warning {
        /// What it is.
        message: String,
    },
}

/// Where steps go.
pub(crate) type Report<'a> = dyn FnMut(Step) + 'a;

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn times_are_milliseconds_for_programs() {
        let frozen = Step::Frozen {
            wait: Duration::from_micros(1500),
            hold: Duration::from_nanos(83_000_499),
        };
        assert_eq!(
            to_value(frozen).unwrap(),
            json!({"step": "frozen", "wait_ms": 1.5, "hold_ms": 83.0})
        );
        let complete = Step::Complete {
            id: "mysql-db1-20261101T031500Z".parse().unwrap(),
            bytes: 1,
            took: Duration::from_secs(41),
        };
        assert_eq!(to_value(complete).unwrap()["took_ms"], 41000.0);
    }
}
