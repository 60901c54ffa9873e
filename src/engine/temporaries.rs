//! Temporary files of a run that was killed. A file is written beside its place and renamed; SIGKILL in between leaves it there, maybe
//! with a secret in it, and nobody would look for it once the role writes that file no longer. So which files a run is about to
//! replace is on disk before the first is, and the next run removes what is left beside them.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::{
    system::{FileType, Op, Reading, System, state::StateDir, temporary},
    value::AbsPath,
};

const FILE: &str = "replacing.json";

/// The files that a run replaces.
#[derive(Debug)]
pub(super) struct Temporaries<'a> {
    state: &'a StateDir,
    replaced: BTreeSet<AbsPath>,
    /// Whether they stand on disk.
    noted: bool,
}

impl<'a> Temporaries<'a> {
    /// Removes what runs before have left. What cannot be removed is said, and tried again by the next run.
    pub(super) fn reclaim(state: &'a StateDir, node: &dyn System) -> Self {
        let mut replaced = load(state).unwrap_or_else(|error| {
            tracing::warn!("temporary files of an earlier run may be left: {error:#}");
            BTreeSet::new()
        });
        let noted = !replaced.is_empty();
        replaced.retain(|path| match remove(node, path) {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!("a temporary file of an earlier run is left: {error:#}");
                true
            }
        });
        Self { state, replaced, noted }
    }

    /// Notes, durably, that these are about to be carried out. A full disk does not stop a run here: it may be about to make room.
    pub(super) fn expect<'o>(&mut self, ops: impl Iterator<Item = &'o Op>) {
        let before = self.replaced.len();
        self.replaced.extend(ops.flat_map(Op::replaces));
        if self.replaced.len() > before {
            let noted = serde_json::to_vec(&self.replaced)
                .map_err(Into::into)
                .and_then(|text| self.state.write(FILE, &text));
            match noted {
                Ok(()) => self.noted = true,
                Err(error) => tracing::warn!("noting which files are about to be replaced: {error:#}"),
            }
        }
    }

    /// The run is over, and has left none.
    pub(super) fn done(self) {
        if self.noted
            && let Err(error) = self.state.remove(FILE)
        {
            tracing::warn!("{error:#}");
        }
    }
}

fn load(state: &StateDir) -> Result<BTreeSet<AbsPath>> {
    match state.read(FILE)? {
        Some(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("reading {FILE} in the state directory")),
        None => Ok(BTreeSet::new()),
    }
}

/// Removes the temporary file beside a path, if there is one.
fn remove(node: &dyn System, path: &AbsPath) -> Result<()> {
    let Some(left) = temporary(path) else { return Ok(()) };
    match node.entry(&left)? {
        Reading::Known(Some(entry)) if matches!(entry.file_type, FileType::File { .. } | FileType::Link { .. }) => {
            let path = left.to_string_lossy().parse().map_err(anyhow::Error::msg)?;
            node.execute(&Op::Remove { path })
        }
        _ => Ok(()),
    }
}
