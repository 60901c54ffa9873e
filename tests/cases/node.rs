//! The node of a case: an overlay over a bare node with disks, on which installing a package or running a program brings what the
//! case says it brings.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use glrl::{
    system::{
        BlockDevice, Bytes, Entry, Export, Group, Guard, Lvm, Mount, Op, Package, Probe, Reading, Swap, System, Unit,
        Usage, User,
        overlay::{Bare, Overlay},
    },
    value::{DevicePath, UnitName},
};

use super::state::State;

/// A bare node with these disks.
#[derive(Debug)]
pub(crate) struct Disks(pub(crate) BTreeMap<PathBuf, BlockDevice>);

/// The node of a case.
pub(super) struct CaseNode<'a> {
    overlay: Overlay<'a>,
    brings: &'a BTreeMap<String, State>,
    /// Programs that succeed as guards.
    passes: Mutex<BTreeSet<String>>,
}

impl<'a> CaseNode<'a> {
    pub(super) fn new(base: &'a Disks, before: &State, brings: &'a BTreeMap<String, State>) -> Self {
        let node = Self {
            overlay: Overlay::new(base),
            brings,
            passes: Mutex::default(),
        };
        node.establish(before);
        node
    }

    fn establish(&self, state: &State) {
        state.establish(&self.overlay);
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        passes.extend(state.passes.iter().cloned());
        passes.retain(|program| !state.fails.contains(program));
    }
}

impl System for CaseNode<'_> {
    fn execute(&self, op: &Op) -> Result<()> {
        self.overlay.execute(op)?;
        let causes = match op {
            Op::Install { packages } => packages.clone(),
            Op::Run(command) => vec![command.argv.join(" ")],
            _ => Vec::new(),
        };
        for brought in causes.iter().filter_map(|cause| self.brings.get(cause)) {
            self.establish(brought);
            brought.fill_devices(&self.overlay);
        }
        Ok(())
    }
}

/// All methods of `Probe` by another probe's, but those written out.
macro_rules! probe_by {
    ($type:ty, $self:ident => $inner:expr) => {
        impl Probe for $type {
            fn entry(&$self, path: &Path) -> Result<Reading<Option<Entry>>> { $inner.entry(path) }
            fn contents(&$self, path: &Path) -> Result<Reading<Option<Bytes>>> { $inner.contents(path) }
            fn list(&$self, path: &Path) -> Result<Reading<Vec<std::ffi::OsString>>> { $inner.list(path) }
            fn user(&$self, name: &str) -> Result<Reading<Option<User>>> { $inner.user(name) }
            fn group(&$self, name: &str) -> Result<Reading<Option<Group>>> { $inner.group(name) }
            fn users(&$self) -> Result<Reading<Vec<User>>> { $inner.users() }
            fn groups(&$self) -> Result<Reading<Vec<Group>>> { $inner.groups() }
            fn package(&$self, name: &str) -> Result<Reading<Option<Package>>> { $inner.package(name) }
            fn unit(&$self, name: &UnitName) -> Result<Reading<Option<Unit>>> { $inner.unit(name) }
            fn mounts(&$self) -> Result<Reading<Arc<Vec<Mount>>>> { $inner.mounts() }
            fn usage(&$self, mount_point: &Path) -> Result<Reading<Usage>> { $inner.usage(mount_point) }
            fn block(&$self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> { $self.disk(device) }
            fn lvm(&$self) -> Result<Reading<Arc<Lvm>>> { $inner.lvm() }
            fn swaps(&$self) -> Result<Reading<Arc<Vec<Swap>>>> { $inner.swaps() }
            fn exports(&$self) -> Result<Reading<Arc<Vec<Export>>>> { $inner.exports() }
            fn guard(&$self, guard: &Guard) -> Result<Reading<bool>> { $self.passes(guard) }
        }
    };
}

probe_by!(Disks, self => Bare);
probe_by!(CaseNode<'_>, self => self.overlay);

impl Disks {
    #[expect(clippy::unnecessary_wraps, reason = "as the trait has it")]
    fn disk(&self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        Ok(Reading::Known(self.0.get(&**device).cloned()))
    }

    #[expect(clippy::unused_self, reason = "as the node of a case has it")]
    fn passes(&self, guard: &Guard) -> Result<Reading<bool>> {
        Bare.guard(guard)
    }
}

impl CaseNode<'_> {
    fn disk(&self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        self.overlay.block(device)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the trait has it")]
    fn passes(&self, guard: &Guard) -> Result<Reading<bool>> {
        let passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Reading::Known(passes.contains(&guard.argv.join(" "))))
    }
}
