//! The state directory, `/var/lib/glrl`: records of runs, notifications that are still owed, what is protected, the run lock. A record,
//! not a source of truth: deleting it loses history, and the protection of what no role declares any more.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use super::{
    clock,
    local::tree::{Numbers, Tree},
};
use crate::value::Mode;

/// The directory and what is in it.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    tree: Tree,
}

/// Another run holds the lock. Exit code 11.
#[derive(Debug, thiserror::Error)]
#[error("another run is under way: {owner}")]
pub struct Locked {
    /// What the other run wrote about itself.
    pub owner: String,
}

/// The run lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

impl StateDir {
    /// Opens the directory, making it (root only) where it is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let doing = || format!("opening the state directory {}", path.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(doing)?;
        let path = path.canonicalize().with_context(doing)?;
        let tree = Tree::open(&path)?;
        Ok(Self { path, tree })
    }

    /// Takes the run lock, waiting at most so long; a `Locked` error names the owner.
    pub fn lock(&self, wait: Duration, mut waiting: impl FnMut(&str)) -> Result<RunLock> {
        let path = self.path.join("lock");
        let doing = || format!("taking the run lock {}", path.display());
        let deadline = Instant::now() + wait;
        let mut told = false;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(doing)?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut held) => {
                    held.set_len(0).with_context(doing)?;
                    held.rewind().with_context(doing)?;
                    let owner = format!("process {}, since {}", std::process::id(), clock::stamp(clock::now()));
                    held.write_all(owner.as_bytes()).with_context(doing)?;
                    return Ok(RunLock(held));
                }
                Err((unlocked, nix::errno::Errno::EWOULDBLOCK)) => {
                    file = unlocked;
                    let mut owner = String::new();
                    file.rewind().with_context(doing)?;
                    file.read_to_string(&mut owner).with_context(doing)?;
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
        Ok(self
            .tree
            .contents(Path::new("/").join(name).as_path())?
            .map(|bytes| bytes.to_vec()))
    }

    /// Replaces a small file, atomically and durably.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        let numbers = Numbers {
            mode: Some(Mode::of(0o600)),
            ..Numbers::default()
        };
        self.tree.write(&Path::new("/").join(name), contents, &numbers, None)
    }

    /// Begins the record of a run: `runs/RUN/events.ndjson`.
    pub fn journal(&self, run: &str) -> Result<File> {
        let directory = self.path.join("runs").join(run);
        let doing = || format!("beginning the record of the run in {}", directory.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .with_context(doing)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.open(directory.join("events.ndjson")).with_context(doing)
    }
}
