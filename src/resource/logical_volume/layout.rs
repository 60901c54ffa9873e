//! How a declared volume has its extents: what its size is rounded to, what it takes of its group, what lvcreate is told.

use anyhow::{Result, bail};

use super::LogicalVolume;
use crate::{
    resource::PropertyError,
    system::{Layout, LogicalVolume as Volume, Lvm, VolumeGroup},
    value::{Size, VolumeSize},
};

/// What LVM takes if nothing is said (lvm.conf(5), `metadata/stripesize`).
const STRIPE_SIZE: u64 = 64 << 10;
/// The smallest chunk of a pool, and what LVM takes while its metadata stays small (lvmthin(7), "Chunk size").
const CHUNK: u64 = 64 << 10;
/// Chunks are made larger before the metadata are (lvm.conf(5), `allocation/thin_pool_chunk_size`).
const LARGE_METADATA: u64 = 128 << 20;
/// Bytes of metadata for a chunk, and the least there are (lvmthin(7), "Metadata size").
const METADATA_OF_CHUNK: u64 = 64;
const LEAST_METADATA: u64 = 2 << 20;
/// More than this a pool cannot address (lvmthin(7)).
const MOST_METADATA: u64 = 16_192 << 20;

/// What a logical volume is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum VolumeType {
    /// One to be used: linear, striped or thin, as the other properties say.
    #[default]
    Volume,
    /// A pool from which thin volumes take their extents.
    ThinPool,
}

impl LogicalVolume {
    /// What is wrong with the properties that say how it is laid out.
    pub(super) fn check_layout(&self) -> Result<()> {
        let wrong = |property: &str, message: String| Err(PropertyError::of(property, message));
        let pool = self.r#type == VolumeType::ThinPool;
        if pool && self.thin_pool.is_some() {
            return wrong(
                "thin_pool",
                "a pool is not in a pool: leave out `type` for a thin volume".to_owned(),
            );
        }
        if self.thin_pool.is_some() && matches!(self.size, VolumeSize::OfFree(_)) {
            return wrong(
                "size",
                format!(
                    "a thin volume takes nothing of what is free: give bytes or %VG, not {}",
                    self.size
                ),
            );
        }
        match self.stripes {
            Some(0) => return wrong("stripes", "a volume is on one physical volume at least".to_owned()),
            Some(_) if pool || self.thin_pool.is_some() => {
                return wrong("stripes", "neither a pool nor a thin volume is striped".to_owned());
            }
            _ => {}
        }
        if let Some(size) = self.stripe_size {
            if self.stripes.unwrap_or(1) < 2 {
                return wrong("stripe_size", "only a volume of several `stripes` has it".to_owned());
            }
            if !size.get().is_power_of_two() || size.get() < 4 << 10 {
                return wrong("stripe_size", format!("{size} is not a power of two of at least 4KiB"));
            }
        }
        if let Some(size) = self.chunk_size {
            if !pool {
                return wrong("chunk_size", "only a pool has it".to_owned());
            }
            if size.get() % CHUNK != 0 || !(CHUNK..=1 << 30).contains(&size.get()) {
                return wrong("chunk_size", format!("{size} is not a multiple of 64KiB, up to 1GiB"));
            }
        }
        match self.metadata_size {
            Some(_) if !pool => wrong("metadata_size", "only a pool has it".to_owned()),
            Some(size) if !(LEAST_METADATA..=MOST_METADATA).contains(&size.get()) => wrong(
                "metadata_size",
                format!("{size} is not between 2MiB and {}", Size::bytes(MOST_METADATA)),
            ),
            _ => Ok(()),
        }
    }

    /// What it is to be, with so many extents.
    pub(super) fn layout(&self, group: &VolumeGroup, extents: u64) -> Layout {
        if let Some(pool) = &self.thin_pool {
            return Layout::Thin {
                pool: pool.as_str().to_owned(),
            };
        }
        if self.r#type == VolumeType::ThinPool {
            let data = extents * group.extent_size;
            let mut chunk = CHUNK;
            while data / chunk * METADATA_OF_CHUNK > LARGE_METADATA {
                chunk *= 2;
            }
            let chunk = self.chunk_size.map_or(chunk, Size::get);
            return Layout::ThinPool {
                metadata: self.metadata(group, data, chunk),
                chunk,
            };
        }
        match self.stripes.unwrap_or(1) {
            1 => Layout::Linear,
            stripes => Layout::Striped {
                stripes,
                stripe_size: self.stripe_size.map_or(STRIPE_SIZE, Size::get),
            },
        }
    }

    /// Bytes of metadata, whole extents, that a pool with so many bytes needs.
    fn metadata(&self, group: &VolumeGroup, data: u64, chunk: u64) -> u64 {
        let needed = (data / chunk * METADATA_OF_CHUNK).clamp(LEAST_METADATA, MOST_METADATA);
        self.metadata_size.map_or(needed, Size::get).div_ceil(group.extent_size) * group.extent_size
    }

    /// What it is to be with so many extents. What it was made with stays, but for a pool's metadata, which grow with it, and as the role
    /// says.
    pub(super) fn grown(&self, group: &VolumeGroup, volume: &Volume, extents: u64) -> Layout {
        match volume.layout {
            Layout::ThinPool { metadata, chunk } => {
                let data = extents * group.extent_size;
                let grows = data > volume.size || self.metadata_size.is_some();
                let wanted = if grows { self.metadata(group, data, chunk) } else { 0 };
                Layout::ThinPool {
                    metadata: metadata.max(wanted),
                    chunk,
                }
            }
            ref layout => layout.clone(),
        }
    }

    /// So many extents it has to have; `now` are those it has.
    pub(super) fn wanted(&self, group: &VolumeGroup, lvm: &Lvm, now: Option<&Volume>) -> u64 {
        let stripes = now.map_or(self.stripes.unwrap_or(1), |volume| volume.layout.stripes());
        match (self.size, now) {
            (VolumeSize::Bytes(size), _) => size.get().div_ceil(group.extent_size).next_multiple_of(stripes),
            (VolumeSize::OfGroup(percent), _) => VolumeSize::share(group.extents, percent) / stripes * stripes,
            (VolumeSize::OfFree(_), Some(volume)) => volume.size / group.extent_size,
            (VolumeSize::OfFree(percent), None) => {
                let share = VolumeSize::share(group.free_extents, percent);
                // A pool's metadata are a part of the share.
                let mut extents = share / stripes * stripes;
                while extents > 0 && takes(group, lvm, &self.layout(group, extents), extents, None) > share {
                    let over = takes(group, lvm, &self.layout(group, extents), extents, None) - share;
                    extents = extents.saturating_sub(over);
                }
                extents
            }
        }
    }
}

/// How many more extents of its group a volume takes to have so many and be laid out like this.
pub(super) fn takes(group: &VolumeGroup, lvm: &Lvm, layout: &Layout, extents: u64, now: Option<&Volume>) -> u64 {
    let before = now.map_or(0, |volume| volume.size / group.extent_size);
    match layout {
        Layout::Thin { .. } => 0,
        Layout::ThinPool { metadata, .. } => {
            let metadata_of = |volume: &Volume| match volume.layout {
                Layout::ThinPool { metadata, .. } if volume.volume_group == group.name => Some(metadata),
                _ => None,
            };
            // LVM keeps a spare as large as the largest metadata of the group's pools, to repair one with.
            let spare = lvm.logical_volumes.iter().filter_map(metadata_of).max().unwrap_or(0);
            let own = now.and_then(metadata_of).unwrap_or(0);
            let bytes = metadata.saturating_sub(own) + metadata.saturating_sub(spare);
            extents.saturating_sub(before) + bytes / group.extent_size
        }
        _ => extents.saturating_sub(before),
    }
}

/// An error unless so many extents can be had in parallel: each stripe is on a physical volume of its own.
pub(super) fn must_stripe(name: &str, group: &VolumeGroup, lvm: &Lvm, stripes: u64, extents: u64) -> Result<()> {
    let members: Vec<_> = lvm.members(&group.name).filter(|volume| !volume.missing).collect();
    if stripes > members.len() as u64 {
        bail!(
            "{name} is to have {stripes} stripes, but {} has only {} physical volumes: give it another device, or the volume fewer stripes",
            group.name,
            members.len()
        );
    }
    // Where only LVM will decide what is free on which, nobody can say more.
    let Some(free) = members
        .iter()
        .map(|volume| volume.free_extents)
        .collect::<Option<Vec<u64>>>()
    else {
        return Ok(());
    };
    let most = in_parallel(free, stripes);
    if most < extents {
        bail!(
            "{name} needs {} more in {stripes} stripes, but the physical volumes of {} have only {} free side by side: give the group another \
             device, or the volume a smaller size or fewer stripes",
            Size::bytes(extents * group.extent_size),
            group.name,
            Size::bytes(most * group.extent_size)
        );
    }
    Ok(())
}

/// How many extents there are for so many stripes. As LVM does it, the volumes with the most free are filled up first, which is not
/// always the best (lvm2 2.03, `_find_some_parallel_space`).
fn in_parallel(mut free: Vec<u64>, stripes: u64) -> u64 {
    let Some(last) = usize::try_from(stripes).ok().and_then(|stripes| stripes.checked_sub(1)) else {
        return 0;
    };
    let mut extents = 0;
    loop {
        free.sort_unstable_by(|a, b| b.cmp(a));
        let each = free.get(last).copied().unwrap_or(0);
        if each == 0 {
            return extents;
        }
        free.iter_mut().take(last + 1).for_each(|free| *free -= each);
        extents += each * stripes;
    }
}
