//! Where a lab's logs are while it runs, and whether they stay.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use anyhow::{Context, Result};

use crate::cache::say;

/// The folder of one lab's logs. Removed with the lab, unless something failed.
#[derive(Debug)]
pub(crate) struct Logs {
    folder: PathBuf,
    keep: AtomicBool,
}

impl Logs {
    /// A folder named after the test (the thread's name) and the process, in `$GLRL_LAB_LOGS`, else
    /// in `lab-logs` of the cargo target folder that the program is in, else of the temporary folder.
    pub(crate) fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var_os("GLRL_LAB_LOGS")
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
            .or_else(|| Some(target_folder()?.join("lab-logs")))
            .unwrap_or_else(|| std::env::temp_dir().join("lab-logs"));
        let test = thread::current()
            .name()
            .unwrap_or("lab")
            .replace(|c: char| !c.is_alphanumeric(), "-");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = base.join(format!("{test}.{}.{count}", std::process::id()));
        let folder = std::path::absolute(folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self {
            folder,
            keep: AtomicBool::new(false),
        })
    }

    /// The file for one kind of output of a node.
    pub(crate) fn file(&self, node: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{node}.{kind}.log"))
    }

    /// Something failed: the logs stay. Returns their folder.
    pub(crate) fn keep(&self) -> &Path {
        self.keep.store(true, Ordering::Relaxed);
        &self.folder
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if self.keep.load(Ordering::Relaxed) || thread::panicking() {
            say(&format!("logs kept in {}", self.folder.display()));
        } else {
            // At worst a log too many.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Cargo marks its target folder as a cache (<https://bford.info/cachedir/>).
fn target_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())?;
    Some(folder.to_owned())
}
