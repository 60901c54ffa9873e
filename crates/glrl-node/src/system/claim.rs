//! What resources bring about and rely on, and what operations make true.

use std::path::PathBuf;

use super::{Contents, Entry, Export, Group, Layout, Mount, Package, Swap, Unit, User};
use crate::value::{AbsPath, DevicePath, UnitName};

/// Something that one resource provides and another requires: the key of an implied edge of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Claim {
    /// A file, directory or link of this path.
    Path(AbsPath),
    /// A program makes something at this path where nothing stands. It does not own the path: whoever does comes after it.
    Made(AbsPath),
    /// Nothing stands at this path.
    Absent(AbsPath),
    /// All that the file of this path holds.
    Whole(AbsPath),
    /// A part of what the file of this path holds; others may provide other parts, but nobody the whole.
    Part(AbsPath),
    /// A filesystem is mounted here.
    Mounted(AbsPath),
    /// A block device of this path.
    Device(DevicePath),
    /// The device of this path carries a filesystem.
    Filesystem(DevicePath),
    /// A volume group.
    VolumeGroup(String),
    /// A thin pool, `GROUP/NAME`.
    ThinPool(String),
    /// A unit.
    Unit(UnitName),
    /// A user.
    User(String),
    /// A group.
    Group(String),
    /// A number that a user or a group is to have.
    Number(u32),
    /// A package.
    Package(String),
}

/// What a program that glrl runs will have made true. The overlay applies it, so that `lvcreate`, `mkfs` and `mount` plan
/// as exactly as a file does.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Something stands at a path, or nothing does any more. A file made this way has contents that nobody knows.
    Entry(PathBuf, Option<Entry>),
    /// Something stands at a path, of a type and with contents that nobody knows yet.
    Unsure(PathBuf),
    /// A user.
    User(String, Option<User>),
    /// A group.
    Group(String, Option<Group>),
    /// A package.
    Package(String, Option<Package>),
    /// A unit.
    Unit(UnitName, Option<Unit>),
    /// A block device has these contents now.
    Contents(DevicePath, Contents),
    /// A device is a physical volume of this group, which is made with extents of so many bytes if it is new.
    PhysicalVolume {
        /// The device.
        device: DevicePath,
        /// The group.
        volume_group: String,
        /// Bytes of an extent.
        extent_size: u64,
        /// How many extents the device adds, or has in all where it was in the group already.
        extents: u64,
    },
    /// A logical volume has this size in bytes, and the device `/dev/GROUP/NAME` exists, unless it is a pool.
    LogicalVolume {
        /// Its volume group.
        volume_group: String,
        /// Its name.
        name: String,
        /// Bytes.
        size: u64,
        /// How it has its extents.
        layout: Layout,
        /// How many more of its group's extents it has than before, its metadata's included.
        takes: u64,
    },
    /// A filesystem is mounted. If the plan made it, it holds nothing yet; otherwise what lies below its mount point becomes
    /// unknown.
    Mounted(Mount),
    /// The filesystem at this mount point is gone.
    Unmounted(PathBuf),
    /// The filesystem on this device fills it.
    Grown(DevicePath),
    /// The kernel swaps to this device, by its own path, or to this file; or does so no longer.
    Swap(PathBuf, Option<Swap>),
    /// `exportfs -ra` has run: what the exports files say is exported.
    Exported(Vec<Export>),
    /// Anything may have changed: a program of the user's that says nothing of what it makes.
    Anything,
}
