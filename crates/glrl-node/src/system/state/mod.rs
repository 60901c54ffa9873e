//! The state directory, `/var/lib/glrl`: records of runs, pending notifications, what is protected, the run lock. A record,
//! not a source of truth: deleting it loses history, and the protection of what no role declares any more.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::{
    Bytes,
    local::tree::{Numbers, Tree},
    survivors,
};
use crate::value::Mode;

/// The directory and what is in it. It is reached as resources are: no link leads out of its tree.
#[derive(Debug)]
pub struct StateDir {
    tree: Tree,
    /// Where it is in the tree, absolute.
    path: PathBuf,
}

/// The state directory of the machine, and that of a tree of files (`--root`).
pub const OF_MACHINE: &str = "/var/lib/glrl";
/// See `OF_MACHINE`, and docs/decisions/0016.
pub const OF_TREE: &str = "/.glrl";

/// The record of a run, in a directory of its own.
const EVENTS: &str = "events.ndjson";

/// More than any run writes into its lock.
const LONGEST_OWNER: u64 = 4 << 10;

/// Nobody but root may look into it.
const PRIVATE: Mode = Mode::of(0o700);

/// Another run holds the lock. Exit code 11.
#[derive(Debug, thiserror::Error)]
#[error("another run is under way: {owner}")]
pub struct Locked {
    /// What the other run wrote about itself.
    pub owner: String,
}

/// The run lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock(Flock<File>);

impl Drop for RunLock {
    /// A run that names itself no longer has left no program behind.
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

/// What the lock's owner wrote about itself. It is for a message: whatever else is in the file stops no run.
fn owner_in(file: &mut File) -> io::Result<String> {
    let mut owner = Vec::new();
    file.rewind()?;
    Read::take(file, LONGEST_OWNER).read_to_end(&mut owner)?;
    Ok(String::from_utf8_lossy(&owner).into_owned())
}

impl StateDir {
    /// Opens a directory of this machine, making it (root only) where it is missing.
    pub fn open(path: &Path) -> Result<Self> {
        Self::inside(Path::new("/"), path)
    }

    /// The same in the tree of files below `root`, where `path` is an absolute path.
    pub fn inside(root: &Path, path: &Path) -> Result<Self> {
        let tree = Tree::open(root)?;
        tree.make_directories(path, PRIVATE)
            .with_context(|| format!("opening the state directory {}", path.display()))?;
        let path = path.to_owned();
        Ok(Self { tree, path })
    }

    /// The same, if it is there.
    pub fn if_any(root: &Path, path: &Path) -> Result<Option<Self>> {
        let tree = Tree::open(root)?;
        let there = tree.has_directory(path)?;
        let path = path.to_owned();
        Ok(there.then_some(Self { tree, path }))
    }

    /// Takes the run lock, waiting at most so long; a `Locked` error names the owner.
    pub fn lock(&self, wait: Duration, mut waiting: impl FnMut(&str)) -> Result<RunLock> {
        let path = self.path.join("lock");
        let doing = || format!("taking the run lock {}", path.display());
        let deadline = Instant::now() + wait;
        let mut told = false;
        let mut file = self.tree.open_file(&path, OFlag::O_RDWR).with_context(doing)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut held) => {
                    let before = owner_in(&mut held).with_context(doing)?;
                    if !before.is_empty() {
                        // Its drop would have taken it out.
                        survivors::wait_for(&before);
                    }
                    // It is held whether or not its owner can be named: a full disk stops no run.
                    let named = held
                        .set_len(0)
                        .and_then(|()| held.rewind())
                        .and_then(|()| held.write_all(survivors::OWN.as_bytes()));
                    if let Err(error) = named {
                        tracing::warn!("the run lock {} names no owner: {error}", path.display());
                    }
                    return Ok(RunLock(held));
                }
                Err((unlocked, nix::errno::Errno::EWOULDBLOCK)) => {
                    file = unlocked;
                    let owner = owner_in(&mut file).with_context(doing)?;
                    if Instant::now() >= deadline {
                        return Err(Locked { owner }.into());
                    }
                    if !std::mem::replace(&mut told, true) {
                        waiting(&owner);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err((_, errno)) => return Err(errno).with_context(doing),
            }
        }
    }

    /// A small file's contents; `None` where there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.tree.contents(&self.path.join(name))?.map(|bytes| bytes.to_vec()))
    }

    /// Replaces a small file, atomically and durably.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let numbers = Numbers {
            mode: Some(Mode::of(0o600)),
            ..Numbers::default()
        };
        self.tree.write(&self.path.join(name), contents, &numbers, None)
    }

    /// The same, for everybody to read: what another program collects.
    pub fn publish(&self, name: &str, contents: &[u8]) -> Result<()> {
        let numbers = Numbers {
            mode: Some(Mode::FILE),
            ..Numbers::default()
        };
        self.tree.write(&self.path.join(name), contents, &numbers, None)
    }

    /// Removes a small file that is there.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.tree.remove(&self.path.join(name))
    }

    /// The runs that there are records of, the oldest first.
    pub fn runs(&self) -> Result<Vec<String>> {
        let names = self.tree.list(&self.path.join("runs"))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// The record of a run; `None` where there is none.
    pub fn record(&self, run: &str) -> Result<Option<Bytes>> {
        self.tree.contents(&self.path.join("runs").join(run).join(EVENTS))
    }

    /// Removes the record of a run.
    pub fn forget(&self, run: &str) -> Result<()> {
        self.tree.discard_directory(&self.path.join("runs").join(run))
    }

    /// Begins the record of a run: `runs/RUN/events.ndjson`.
    pub fn journal(&self, run: &str) -> Result<File> {
        let runs = self.path.join("runs");
        let directory = runs.join(run);
        let begin = || {
            self.tree.make_directories(&runs, PRIVATE)?;
            self.tree.make_passing_directory(&directory, PRIVATE)?;
            self.tree
                .open_file(&directory.join(EVENTS), OFlag::O_APPEND | OFlag::O_WRONLY)
        };
        begin().with_context(|| format!("beginning the record of the run in {}", directory.display()))
    }
}

#[cfg(test)]
mod tests;
