//! Volume groups and logical volumes of a case.

use std::collections::BTreeMap;

use glrl::{
    system::{Effect, Layout, Probe},
    value::{DevicePath, Size},
};
use serde::Deserialize;

use super::state::{known, same};

/// A volume group. Its devices share its extents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    devices: Vec<DevicePath>,
    extents: u64,
    /// Extents that no volume has; only compared.
    free: Option<u64>,
    #[serde(default = "four_mib")]
    extent_size: Size,
}

/// A logical volume: its size, or more.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Volume {
    Linear(Size),
    Other {
        size: Size,
        /// Stripes of 64 KiB.
        stripes: Option<u64>,
        /// Of a pool with chunks of 64 KiB.
        metadata: Option<Size>,
        thin_pool: Option<String>,
    },
}

impl Volume {
    fn size(&self) -> u64 {
        match self {
            Self::Linear(size) | Self::Other { size, .. } => size.get(),
        }
    }

    fn layout(&self) -> Layout {
        match self {
            Self::Other {
                thin_pool: Some(pool), ..
            } => Layout::Thin { pool: pool.clone() },
            Self::Other {
                metadata: Some(metadata),
                ..
            } => Layout::ThinPool {
                metadata: metadata.get(),
                chunk: 64 << 10,
            },
            Self::Other {
                stripes: Some(stripes), ..
            } => Layout::Striped {
                stripes: *stripes,
                stripe_size: 64 << 10,
            },
            _ => Layout::Linear,
        }
    }

    /// Bytes that it has of its group; the spare metadata are taken to be its own.
    fn takes(&self) -> u64 {
        match self.layout() {
            Layout::Thin { .. } => 0,
            Layout::ThinPool { metadata, .. } => self.size() + 2 * metadata,
            _ => self.size(),
        }
    }
}

fn four_mib() -> Size {
    Size::mib(4)
}

/// What makes them.
pub(super) fn effects(groups: &BTreeMap<String, Group>, volumes: &BTreeMap<String, Volume>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (name, group) in groups {
        effects.extend(group.devices.iter().map(|device| Effect::PhysicalVolume {
            device: device.clone(),
            volume_group: name.clone(),
            extent_size: group.extent_size.get(),
            extents: group.extents / group.devices.len() as u64,
        }));
    }
    for (name, volume) in volumes {
        let (volume_group, name) = name.split_once('/').expect("group/volume");
        let extent_size = groups
            .get(volume_group)
            .map_or_else(four_mib, |group| group.extent_size);
        effects.push(Effect::LogicalVolume {
            volume_group: volume_group.to_owned(),
            name: name.to_owned(),
            size: volume.size(),
            layout: volume.layout(),
            takes: volume.takes() / extent_size.get(),
        });
    }
    effects
}

/// An error says in what the node differs from them.
pub(super) fn compare(
    groups: &BTreeMap<String, Group>,
    volumes: &BTreeMap<String, Volume>,
    node: &dyn Probe,
) -> Result<(), String> {
    if groups.is_empty() && volumes.is_empty() {
        return Ok(());
    }
    let lvm = known(node.lvm())?;
    for (name, group) in groups {
        let found = lvm
            .volume_group(name)
            .ok_or_else(|| format!("volume group {name} is missing"))?;
        same(name, "extents", &found.extents, &group.extents)?;
        if let Some(free) = group.free {
            same(name, "free extents", &found.free_extents, &free)?;
        }
    }
    for (name, wanted) in volumes {
        let (group, volume) = name.split_once('/').expect("group/volume");
        let found = lvm
            .logical_volume(group, volume)
            .map(|volume| (volume.size, &volume.layout));
        same(
            name,
            "size and layout",
            &found,
            &Some((wanted.size(), &wanted.layout())),
        )?;
    }
    Ok(())
}
