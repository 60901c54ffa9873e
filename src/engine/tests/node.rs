//! A tree of files on which a test has its hand in what is done, and in the time.

use std::{ffi::OsString, path::Path, sync::Arc};

use anyhow::Result;

use crate::{
    system::{
        BlockDevice, Bytes, Entry, Export, Group, Guard, LocalNode, Lvm, Mount, Op, Package, Probe, Reading, Swap,
        System, Unit, Usage, User, clock,
    },
    value::{DevicePath, UnitName},
};

pub(super) struct Node<'n> {
    tree: &'n LocalNode,
    beside: &'n (dyn Fn() + Sync),
    clock: &'n (dyn Fn() -> jiff::Zoned + Sync),
}

impl<'n> Node<'n> {
    pub(super) fn around(tree: &'n LocalNode) -> Self {
        Self {
            tree,
            beside: &|| (),
            clock: &clock::local,
        }
    }

    /// With this happening before each operation, and after it.
    pub(super) fn beside(self, beside: &'n (dyn Fn() + Sync)) -> Self {
        Self { beside, ..self }
    }

    /// With this time.
    pub(super) fn clock(self, clock: &'n (dyn Fn() -> jiff::Zoned + Sync)) -> Self {
        Self { clock, ..self }
    }
}

impl System for Node<'_> {
    fn execute(&self, op: &Op) -> Result<()> {
        (self.beside)();
        self.tree.execute(op)?;
        (self.beside)();
        Ok(())
    }
}

macro_rules! by_its_node {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl Probe for Node<'_> {
            $(fn $name(&self, $($arg: $type),*) -> Result<Reading<$answer>> {
                self.tree.$name($($arg),*)
            })+

            fn now(&self) -> jiff::Zoned {
                (self.clock)()
            }
        }
    };
}

by_its_node! {
    entry(path: &Path) -> Option<Entry>;
    contents(path: &Path) -> Option<Bytes>;
    list(path: &Path) -> Vec<OsString>;
    user(name: &str) -> Option<User>;
    group(name: &str) -> Option<Group>;
    package(name: &str) -> Option<Package>;
    unit(name: &UnitName) -> Option<Unit>;
    mounts() -> Arc<Vec<Mount>>;
    usage(mount_point: &Path) -> Usage;
    block(device: &DevicePath) -> Option<BlockDevice>;
    lvm() -> Arc<Lvm>;
    swaps() -> Arc<Vec<Swap>>;
    exports() -> Arc<Vec<Export>>;
    guard(guard: &Guard) -> bool;
}
