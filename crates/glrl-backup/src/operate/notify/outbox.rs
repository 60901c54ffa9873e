//! What has not been delivered yet: a file each in `notify` of the state directory. It is written before the first try and removed after
//! the one that succeeds, so that a run that is killed in between loses nothing. Its name begins with the time, so names sort by age.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use glrl_node::system::{
    clock,
    state::{RunLock, StateDir},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    operate::notify::{deliver::Receiver, event::Event},
    settings::Settings,
};

/// In the state directory.
const DIRECTORY: &str = "notify";
/// So many are kept; of more, the oldest go.
const MOST: usize = 100;
/// So old they are no news any more.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An instance's own: others are told by other settings.
fn directory(settings: &Settings) -> PathBuf {
    settings
        .state_directory
        .join(DIRECTORY)
        .join(settings.instance.as_str())
}

/// An event and who has not been told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) receiver: Receiver,
    pub(crate) event: Event,
}

/// The directory.
#[derive(Debug)]
pub(crate) struct Outbox {
    directory: StateDir,
    path: PathBuf,
}

impl Outbox {
    pub(crate) fn open(settings: &Settings) -> Result<Self> {
        let path = directory(settings);
        Ok(Self {
            directory: StateDir::open(&path)?,
            path,
        })
    }

    /// Keeps a letter. Returns its name.
    pub(crate) fn put(&self, letter: &Letter) -> Result<String> {
        let at = letter.event.at.strftime("%Y%m%dT%H%M%S.%6f");
        let receiver = serde_json::to_value(letter.receiver)?;
        let receiver = receiver.as_str().unwrap_or_default();
        let name = format!("{at}-{}-{receiver}.json", std::process::id());
        if letter.receiver.is_state() {
            for earlier in self
                .names()?
                .iter()
                .filter(|name| name.ends_with(&format!("-{receiver}.json")))
            {
                self.remove(earlier)?;
            }
        }
        self.directory.write(&name, &serde_json::to_vec(letter)?)?;
        Ok(name)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", self.path.join(name).display()))
            }
            _ => Ok(()),
        }
    }

    /// What is there, the newest first. What is too old or too much goes; returns how many those were.
    pub(crate) fn letters(&self, now: Timestamp) -> Result<(Vec<(String, Letter)>, usize)> {
        let (mut letters, mut dropped) = (Vec::new(), 0);
        for name in self.names()?.into_iter().rev() {
            let letter = self.directory.read(&name)?;
            let letter = letter.and_then(|bytes| serde_json::from_slice::<Letter>(&bytes).ok());
            match letter {
                Some(letter) if letters.len() < MOST && now.duration_since(letter.event.at) < OLDEST => {
                    letters.push((name, letter));
                }
                _ => {
                    self.remove(&name)?;
                    dropped += 1;
                }
            }
        }
        Ok((letters, dropped))
    }

    /// Keeps other runs from delivering the same letters; `None` while one does.
    pub(crate) fn lock(&self) -> Option<RunLock> {
        self.directory.lock(std::time::Duration::ZERO, |_| ()).ok()
    }

    /// Names of letters, the oldest first.
    fn names(&self) -> Result<Vec<String>> {
        names(&self.path)
    }
}

/// Not the lock, and not the temporary file of one that is being written: their names begin otherwise than with a year.
fn names(path: &Path) -> Result<Vec<String>> {
    let doing = || format!("looking into {}", path.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(path).with_context(doing)? {
        let name = entry.with_context(doing)?.file_name().into_string().ok();
        names.extend(name.filter(|name| name.starts_with(|first: char| first.is_ascii_digit())));
    }
    names.sort_unstable();
    Ok(names)
}

/// How many wait.
pub(crate) fn waiting(settings: &Settings) -> usize {
    names(&directory(settings)).map_or(0, |names| names.len())
}

/// Now, as letters are dated.
pub(crate) fn now() -> Timestamp {
    clock::now()
}
