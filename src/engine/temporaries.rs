//! Temporary files of a run that was killed. A file is written without a name where the filesystem can do that, and has another one for a moment
//! before it replaces what is there; a home has another one until it is whole; SIGKILL in between leaves it, maybe with a secret in it, and nobody can guess its name. So those names
//! are on disk before the first is used, until each is known to be gone.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::system::{FileType, Op, Reading, System, state::StateDir};

const FILE: &str = "temporaries.json";

/// The names of temporary files.
pub(super) struct Temporaries<'a> {
    state: &'a StateDir,
    node: &'a dyn System,
    names: BTreeSet<PathBuf>,
    /// As many of them as are on disk.
    noted: usize,
}

impl<'a> Temporaries<'a> {
    /// Removes what runs before have left. What cannot be removed is said, and tried again by the next run.
    pub(super) fn reclaim(state: &'a StateDir, node: &'a dyn System) -> Self {
        let names = load(state).unwrap_or_else(|error| {
            tracing::warn!("temporary files of an earlier run may be left: {error:#}");
            BTreeSet::new()
        });
        let mut temporaries = Self {
            state,
            node,
            noted: names.len(),
            names,
        };
        temporaries.remove();
        temporaries
    }

    /// Notes, durably, that these are about to be carried out. A full disk does not stop a run here: it may be about to make room.
    pub(super) fn expect<'o>(&mut self, ops: impl Iterator<Item = &'o Op>) {
        let before = self.names.len();
        let node = self.node;
        self.names
            .extend(ops.flat_map(Op::replaces).filter_map(|path| node.temporary(&path)));
        if self.names.len() > before {
            self.note();
        }
    }

    /// The run is over. Those that are left stay noted.
    pub(super) fn done(mut self) {
        self.remove();
        if self.names.len() != self.noted {
            self.note();
        }
    }

    /// Removes those that are there, and forgets those that are not.
    fn remove(&mut self) {
        let node = self.node;
        self.names.retain(|path| match remove(node, path) {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!("a temporary file is left, and is tried again by the next run: {error:#}");
                true
            }
        });
    }

    fn note(&mut self) {
        let noted = if self.names.is_empty() {
            self.state.remove(FILE)
        } else {
            serde_json::to_vec(&self.names)
                .map_err(Into::into)
                .and_then(|text| self.state.write(FILE, &text))
        };
        match noted {
            Ok(()) => self.noted = self.names.len(),
            Err(error) => tracing::warn!("noting which temporary files there may be: {error:#}"),
        }
    }
}

fn load(state: &StateDir) -> Result<BTreeSet<PathBuf>> {
    match state.read(FILE)? {
        Some(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {FILE} in the state directory")),
        None => Ok(BTreeSet::new()),
    }
}

/// Removes something temporary, if it is there.
fn remove(node: &dyn System, path: &Path) -> Result<()> {
    match node.entry(path)? {
        Reading::Known(Some(entry)) if matches!(entry.file_type, FileType::File { .. } | FileType::Link { .. }) => {
            let path = path.to_string_lossy().parse().map_err(anyhow::Error::msg)?;
            node.execute(&Op::Remove { path })
        }
        Reading::Known(Some(entry)) if entry.file_type == FileType::Directory => node.discard(path),
        _ => Ok(()),
    }
}
