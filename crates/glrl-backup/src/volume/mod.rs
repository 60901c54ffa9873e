//! What can be frozen: the volume that holds the database, and a snapshot of it. LVM is the one way (`lvm`); the tests, on
//! machines without it, copy a directory while the lock is held.

pub(crate) mod links;
pub(crate) mod lvm;
pub(crate) mod mounts;
pub(crate) mod process;
pub(crate) mod watch;

use std::path::{Path, PathBuf};

use crate::model::{error::Result, id::BackupId, manifest};

/// The volume that holds the datadir.
pub(crate) trait Volume: Sync {
    /// Where it is mounted.
    fn mount_point(&self) -> &Path;
    /// What the manifest says about it. The datadir is relative to its root.
    fn record(&self, datadir: PathBuf) -> manifest::Volume;
    /// Whether a path, its links resolved, lies in the volume.
    fn holds(&self, path: &Path) -> Result<bool>;
    /// Removes what runs that are dead have left, and nothing else. Says what it was.
    fn reap(&self) -> Result<Vec<String>>;
    /// Everything that a snapshot needs and that can be done before the lock. `used`: what was written into the one before it, bytes.
    fn prepare(&self, id: &BackupId, used: Option<u64>) -> Result<Box<dyn Snapshot>>;
}

/// A snapshot: planned, then taken, opened, and removed. Dropping it removes it too.
pub(crate) trait Snapshot: Send + Sync {
    /// Freezes the volume's contents. Nothing else happens while the server is locked.
    fn take(&mut self) -> Result<()>;
    /// Makes its files visible, read-only. Returns the volume's root directory in it.
    fn open(&mut self) -> Result<PathBuf>;
    /// How full its space is, in percent; an error of kind `Snapshot` once it has lost contents.
    fn fill(&self) -> Result<f64>;
    /// Gives it more room. Returns how many bytes it has then; `None` where there is no more to be had.
    fn grow(&self) -> Result<Option<u64>>;
    /// What the manifest says about it.
    fn record(&self) -> manifest::Snapshot;
    /// Removes it.
    fn remove(&mut self) -> Result<()>;
}
