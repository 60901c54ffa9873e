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
    /// Extents that no volume has; `None` where only LVM will decide that.
    pub free_extents: Option<u64>,
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
    /// How it has its extents.
    pub layout: Layout,
    /// Tags.
    pub tags: Vec<String>,
}

/// How a logical volume has its extents (lvm(8), "lvcreate --type").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One after the other.
    Linear,
    /// In turn on several physical volumes.
    Striped {
        /// On how many.
        stripes: u64,
        /// Bytes on one before the next has its turn.
        stripe_size: u64,
    },
    /// None to be used itself: thin volumes take them from it.
    ThinPool {
        /// Bytes of its metadata.
        metadata: u64,
        /// Bytes of the pieces that are handed out.
        chunk: u64,
    },
    /// Those of a pool, as they are written to.
    Thin {
        /// The pool's name.
        pool: String,
    },
    /// What glrl neither makes nor grows, in words.
    Other(&'static str),
}

impl Layout {
    /// On how many physical volumes it is in parallel.
    pub fn stripes(&self) -> u64 {
        match self {
            Self::Striped { stripes, .. } => *stripes,
            _ => 1,
        }
    }
}

impl LogicalVolume {
    /// Whether it is a snapshot with room of its own in the group; one of a thin volume has its room in the pool.
    pub fn is_cow_snapshot(&self) -> bool {
        self.origin.is_some() && !matches!(self.layout, Layout::Thin { .. })
    }
}

impl Lvm {
    /// The physical volumes of a group.
    pub fn members<'l>(&'l self, group: &'l str) -> impl Iterator<Item = &'l PhysicalVolume> {
        self.physical_volumes
            .iter()
            .filter(move |volume| volume.volume_group.as_deref() == Some(group))
    }

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
