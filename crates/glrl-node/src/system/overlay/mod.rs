//! The node as it will be: a probe with a writable top. Over the real node it is the dry run, in which planning a resource sees
//! the node as the plans before it leave it; over `Bare` it is the tests' node.

mod apply;
mod bare;
mod files;
mod lvm;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use anyhow::Result;

pub use bare::Bare;
pub use view::{Ancestry, View};

use super::{
    BlockDevice, Bytes, Claim, Entry, Export, Group, Lvm, Mount, Op, Package, Probe, Swap, System, Unit, User,
};
use crate::value::{Id, UnitName};

/// A node, and what planned operations will have changed on it.
pub struct Overlay<'a> {
    base: &'a dyn Probe,
    layer: RwLock<Layer>,
}

/// What differs from the base.
#[derive(Debug, Default)]
struct Layer {
    files: BTreeMap<PathBuf, Planned<Option<Node>>>,
    /// Directories and their places, links followed; forgotten when a link may have come or gone.
    places: Mutex<HashMap<PathBuf, PathBuf>>,
    /// Filesystems that planned mounts put in front of what the base has there.
    covers: Vec<(PathBuf, Cover)>,
    users: HashMap<String, Planned<Option<User>>>,
    groups: HashMap<String, Planned<Option<Group>>>,
    packages: HashMap<String, Planned<Option<Package>>>,
    units: HashMap<UnitName, Planned<Option<Unit>>>,
    /// By the kernel's own path, or by the planned name of a device that does not exist yet.
    blocks: HashMap<PathBuf, Planned<BlockDevice>>,
    /// Devices, by the kernel's own path, whose contents the plan makes.
    made: HashSet<PathBuf>,
    /// Devices, by the kernel's own path, that have got what a directory holds.
    moved: HashMap<PathBuf, PathBuf>,
    lvm: Option<Arc<Lvm>>,
    mounts: Option<Arc<Vec<Mount>>>,
    swaps: Option<Arc<Vec<Swap>>>,
    exports: Option<Arc<Vec<Export>>>,
    /// The last resource that installs packages: what is absent now may come with it.
    installs: Option<Id>,
}

/// Predicted, or decided by a resource that is not applied yet.
#[derive(Debug, Clone)]
enum Planned<T> {
    Known(T),
    Unknown(Id),
}

/// What will stand at a path.
#[derive(Debug, Clone)]
struct Node {
    entry: Entry,
    contents: Planned<Option<Bytes>>,
    /// Made by the plan: nothing of the base shines through below it.
    fresh: bool,
}

/// What a planned mount shows below its mount point.
#[derive(Debug, Clone)]
enum Cover {
    /// A filesystem made in this plan: nothing.
    Empty,
    /// A filesystem that nobody has looked into yet.
    Unread(Id),
}

impl<'a> Overlay<'a> {
    /// An overlay that changes nothing yet.
    pub fn new(base: &'a dyn Probe) -> Self {
        Self {
            base,
            layer: RwLock::default(),
        }
    }

    /// The node as a resource with these ancestors will find it.
    pub fn view<'o>(&'o self, ancestry: &'o Ancestry) -> View<'o> {
        View {
            base: self.base,
            layer: self.layer.read().unwrap_or_else(PoisonError::into_inner),
            ancestry,
        }
    }

    /// Makes an operation of `author` true.
    pub fn apply(&self, author: &Id, op: &Op) -> Result<()> {
        apply::Applying {
            base: self.base,
            layer: &mut self.layer.write().unwrap_or_else(PoisonError::into_inner),
            author,
        }
        .op(op)
    }

    /// Notes that nobody can know what `author` will do, but that it decides these claims.
    pub fn mark_unknown(&self, author: &Id, claims: &[Claim]) -> Result<()> {
        apply::Applying {
            base: self.base,
            layer: &mut self.layer.write().unwrap_or_else(PoisonError::into_inner),
            author,
        }
        .mark_unknown(claims)
    }
}

/// The overlay as a node of its own: what is executed is simply true from then on. The laws' tests converge on it.
impl System for Overlay<'_> {
    fn execute(&self, op: &Op) -> Result<()> {
        self.apply(&Id::new("run", "earlier"), op)
    }
}
