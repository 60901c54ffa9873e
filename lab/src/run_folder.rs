//! The folder of a running lab: its disks and sockets.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cache::{self, Cache};

/// A Unix socket's path has 107 bytes at most; a name and ssh's own temporary suffix come on top.
const LONGEST_PATH: usize = 60;

/// Removed with all it holds when dropped; after a kill, by the next lab.
#[derive(Debug)]
pub(crate) struct RunFolder {
    folder: TempDir,
    _lock: File,
}

impl RunFolder {
    /// Makes one, and removes those whose lab is gone.
    pub(crate) fn new(cache: &Cache) -> Result<Self> {
        let parent = cache.path("run");
        fs::create_dir_all(&parent)?;
        // Held over both: a folder that is new but not locked yet must not look abandoned.
        let guard = File::create(cache.path("run.lock"))?;
        guard.lock().context("locking the folder of running labs")?;
        sweep(&parent)?;
        let folder = tempfile::Builder::new().prefix("").rand_bytes(6).tempdir_in(&parent)?;
        if folder.path().as_os_str().len() > LONGEST_PATH {
            bail!(
                "{} is too long a path for ssh's sockets: set GLRL_LAB_CACHE to a shorter one",
                folder.path().display()
            );
        }
        let lock = File::create(lock_file(folder.path()))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn lock_file(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// The kernel drops a dead process's locks: a folder whose lock is free has no lab any more.
fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let folder = entry?.path();
        let abandoned = match File::open(lock_file(&folder)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => true,
        };
        if abandoned {
            cache::remove_folder(&folder)?;
        }
    }
    Ok(())
}
