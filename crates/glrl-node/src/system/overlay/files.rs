//! Paths in the overlay: what a planned operation put there, what a planned mount shows or hides, or what the base has.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{MutexGuard, PoisonError},
};

use anyhow::Result;

use super::{Cover, Layer, Node, Planned};
use crate::{
    system::{Entry, FileType, Probe, Reading, place::step},
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
    /// The plan does not touch it: ask the base.
    Base,
}

impl Layer {
    /// The path with every link above its last part followed, so that each place has one name in the layer.
    pub(super) fn place(&self, base: &dyn Probe, path: &Path) -> Result<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.to_owned());
        };
        Ok(self.directory(base, parent)?.join(name))
    }

    /// A directory's place.
    pub(super) fn directory(&self, base: &dyn Probe, path: &Path) -> Result<PathBuf> {
        if let Some(place) = self.places().get(path) {
            return Ok(place.clone());
        }
        let place = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => step(
                &|place| self.entry_at(base, place),
                &self.directory(base, parent)?,
                name,
            )?,
            _ => path.to_owned(),
        };
        self.places().insert(path.to_owned(), place.clone());
        Ok(place)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<PathBuf, PathBuf>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the plan leaves at a place.
    pub(super) fn find(&self, place: &Path) -> Found<'_> {
        match self.files.get(place) {
            Some(Planned::Known(Some(node))) => return Found::Node(node),
            Some(Planned::Known(None)) => return Found::Absent,
            Some(Planned::Unknown(after)) => return Found::Unknown(after.clone()),
            None => {}
        }
        if let Some(cover) = self.cover(place) {
            return match cover {
                Cover::Empty => Found::Root,
                Cover::Unread(after) => Found::Unknown(after.clone()),
            };
        }
        for above in place.ancestors().skip(1) {
            match self.files.get(above) {
                Some(Planned::Known(Some(node))) if node.fresh => return Found::Absent,
                Some(Planned::Known(None)) => return Found::Absent,
                Some(Planned::Unknown(after)) => return Found::Unknown(after.clone()),
                _ => {}
            }
            match self.cover(above) {
                Some(Cover::Empty) => return Found::Absent,
                Some(Cover::Unread(after)) => return Found::Unknown(after.clone()),
                None => {}
            }
        }
        Found::Base
    }

    fn cover(&self, target: &Path) -> Option<&Cover> {
        self.covers
            .iter()
            .rev()
            .find(|(covered, _)| covered == target)
            .map(|(_, cover)| cover)
    }

    /// Whether the plan has touched no path yet: then the base is asked as it is.
    pub(super) fn untouched(&self) -> bool {
        self.files.is_empty() && self.covers.is_empty()
    }

    /// Whether the plan has touched something below a place.
    pub(super) fn touches_below(&self, place: &Path) -> bool {
        let is_below = |path: &PathBuf| path.starts_with(place) && path != place;
        self.files.keys().any(is_below) || self.covers.iter().any(|(covered, _)| is_below(covered))
    }

    /// What stands at a path, by the layer and the base together.
    pub(super) fn entry(&self, base: &dyn Probe, path: &Path) -> Result<Reading<Option<Entry>>> {
        if self.untouched() {
            return base.entry(path);
        }
        self.entry_at(base, &self.place(base, path)?)
    }

    fn entry_at(&self, base: &dyn Probe, place: &Path) -> Result<Reading<Option<Entry>>> {
        Ok(match self.find(place) {
            Found::Node(node) => Reading::Known(Some(node.entry.clone())),
            Found::Absent => Reading::Known(None),
            Found::Unknown(after) => Reading::Unknown { after },
            Found::Root => Reading::Known(Some(fresh_root())),
            Found::Base => base.entry(place)?,
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
