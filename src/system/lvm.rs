//! LVM as a probe sees it (lvm(8), lvmreport(7)). Sizes are bytes.

use std::path::PathBuf;

/// All of a node's LVM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lvm {
    /// Physical volumes.
    pub physical_volumes: Vec<PhysicalVolume>,
    /// Volume groups.
    pub volume_groups: Vec<VolumeGroup>,
    /// Logical volumes.
    pub logical_volumes: Vec<LogicalVolume>,
}

/// A physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// The kernel's own path of the device, links resolved.
    pub device: PathBuf,
    /// Its volume group; `None` while it belongs to none. `[unknown]`, as LVM writes it, if its label says that it belongs to
    /// a group that cannot be found.
    pub volume_group: Option<String>,
    /// Usable size: that of all its extents.
    pub size: u64,
    /// What the device below has room for, behind the metadata; an extent or more above `size` after a disk has grown.
    pub room: u64,
    /// Whether the device is missing.
    pub missing: bool,
}

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// Bytes of one extent.
    pub extent_size: u64,
    /// Extents in all.
    pub extents: u64,
    /// Extents free.
    pub free_extents: u64,
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Its volume group's name.
    pub volume_group: String,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The attribute string of lvs(8), ten characters; empty for one that is planned.
    pub attributes: String,
    /// The origin, if it is a snapshot.
    pub origin: Option<String>,
    /// The pool, if it is thin.
    pub pool: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
}

impl LogicalVolume {
    /// Whether it is a snapshot with room of its own in the group; one of a thin volume has its room in the pool.
    pub fn is_cow_snapshot(&self) -> bool {
        self.origin.is_some() && self.pool.is_none()
    }
}

impl Lvm {
    /// The volume group of this name.
    pub fn volume_group(&self, name: &str) -> Option<&VolumeGroup> {
        self.volume_groups.iter().find(|group| group.name == name)
    }

    /// The logical volume of this name.
    pub fn logical_volume(&self, group: &str, name: &str) -> Option<&LogicalVolume> {
        self.logical_volumes
            .iter()
            .find(|volume| volume.volume_group == group && volume.name == name)
    }
}
