//! Paths in the overlay: what a planned operation put there, what a planned mount shows or hides, or what the base has.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Cover, Layer, Node, Planned};
use crate::{
    system::{Entry, FileType, Probe, Reading},
    value::{Id, Mode, Owner},
};

/// What the layer says of a path.
pub(super) enum Found<'l> {
    /// The plan put this there.
    Node(&'l Node),
    /// Nothing is there, because of the plan.
    Absent,
    /// A resource that is not applied yet decides it.
    Unknown(Id),
    /// The root of a filesystem that the plan makes and mounts.
    Root,
    /// The plan does not touch it: ask the base, for this path.
    Base(PathBuf),
}

/// As many links in a path as the kernel follows (`path_resolution(7)`).
const LINKS: usize = 40;

impl Layer {
    /// What the plan leaves at a path; links that the plan makes on the way are followed, the path's last part is not.
    pub(super) fn find(&self, path: &Path) -> Result<Found<'_>> {
        let mut path = path.to_owned();
        'links: for _ in 0..LINKS {
            if self.files.is_empty() && self.covers.is_empty() {
                return Ok(Found::Base(path));
            }
            match self.files.get(&path) {
                Some(Planned::Known(Some(node))) => return Ok(Found::Node(node)),
                Some(Planned::Known(None)) => return Ok(Found::Absent),
                Some(Planned::Unknown(after)) => return Ok(Found::Unknown(after.clone())),
                None => {}
            }
            if let Some(cover) = self.cover(&path) {
                return Ok(match cover {
                    Cover::Empty => Found::Root,
                    Cover::Unseen(after) => Found::Unknown(after.clone()),
                });
            }
            for above in path.ancestors().skip(1) {
                match self.files.get(above) {
                    Some(Planned::Known(Some(node))) => match &node.entry.file_type {
                        FileType::Link { target } => {
                            let rest = path.strip_prefix(above)?;
                            path = above.parent().unwrap_or(above).join(target).join(rest);
                            continue 'links;
                        }
                        _ if node.fresh => return Ok(Found::Absent),
                        _ => {}
                    },
                    Some(Planned::Known(None)) => return Ok(Found::Absent),
                    Some(Planned::Unknown(after)) => return Ok(Found::Unknown(after.clone())),
                    None => {}
                }
                match self.cover(above) {
                    Some(Cover::Empty) => return Ok(Found::Absent),
                    Some(Cover::Unseen(after)) => return Ok(Found::Unknown(after.clone())),
                    None => {}
                }
            }
            return Ok(Found::Base(path));
        }
        bail!("too many links in {}", path.display())
    }

    fn cover(&self, target: &Path) -> Option<&Cover> {
        self.covers
            .iter()
            .rev()
            .find(|(covered, _)| covered == target)
            .map(|(_, cover)| cover)
    }

    /// What stands at a path, by the layer and the base together.
    pub(super) fn entry(&self, base: &dyn Probe, path: &Path) -> Result<Reading<Option<Entry>>> {
        Ok(match self.find(path)? {
            Found::Node(node) => Reading::Known(Some(node.entry.clone())),
            Found::Absent => Reading::Known(None),
            Found::Unknown(after) => Reading::Unknown { after },
            Found::Root => Reading::Known(Some(fresh_root())),
            Found::Base(path) => base.entry(&path)?,
        })
    }
}

/// What mkfs leaves at the root of a filesystem.
pub(super) fn fresh_root() -> Entry {
    Entry {
        file_type: FileType::Directory,
        mode: Mode::DIRECTORY,
        owner: Owner::ROOT,
        group: Owner::ROOT,
    }
}
