//! What operations make of the volume groups in the overlay.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::{Planned, apply::Applying};
use crate::{
    system::{BlockDevice, Contents, Layout, LogicalVolume, Lvm, PhysicalVolume, Reading, Signature, VolumeGroup},
    value::DevicePath,
};

impl Applying<'_> {
    pub(super) fn lvm(&mut self) -> Result<&mut Lvm> {
        if self.layer.lvm.is_none() {
            let Reading::Known(lvm) = self.base.lvm()? else {
                anyhow::bail!("the base of an overlay knows no LVM")
            };
            self.layer.lvm = Some(lvm);
        }
        Ok(Arc::make_mut(self.layer.lvm.as_mut().context("just set")?))
    }

    pub(super) fn physical_volume(
        &mut self,
        device: &DevicePath,
        group: &str,
        extent_size: u64,
        extents: u64,
    ) -> Result<()> {
        let Reading::Known(block) = self.layer.block(self.base, device)? else {
            return Ok(());
        };
        let path = block
            .as_ref()
            .map_or_else(|| device.to_path_buf(), |block| block.path.clone());
        let lvm = self.lvm()?;
        let size = extents * extent_size;
        let before = if let Some(volume) = lvm.physical_volumes.iter_mut().find(|volume| volume.device == path) {
            let before = if volume.volume_group.is_some() {
                volume.size / extent_size.max(1)
            } else {
                0
            };
            (volume.volume_group, volume.size, volume.room) = (Some(group.to_owned()), size, size);
            volume.free_extents = volume.free_extents.map(|free| free + extents.saturating_sub(before));
            before
        } else {
            lvm.physical_volumes.push(PhysicalVolume {
                device: path,
                volume_group: Some(group.to_owned()),
                size,
                room: size,
                free_extents: Some(extents),
                missing: false,
            });
            0
        };
        let more = extents.saturating_sub(before);
        match lvm.volume_groups.iter_mut().find(|known| known.name == group) {
            Some(known) => {
                known.extents += more;
                known.free_extents += more;
            }
            None => lvm.volume_groups.push(VolumeGroup {
                name: group.to_owned(),
                extent_size,
                extents: more,
                free_extents: more,
            }),
        }
        let signature = Signature {
            what: "LVM2_member".to_owned(),
            ..Signature::default()
        };
        self.change_block(device, |block| block.contents = Contents::Known(signature))?;
        Ok(())
    }

    pub(super) fn logical_volume(
        &mut self,
        group: &str,
        name: &str,
        size: u64,
        layout: &Layout,
        takes: u64,
    ) -> Result<()> {
        let lvm = self.lvm()?;
        let before = if let Some(volume) = lvm
            .logical_volumes
            .iter_mut()
            .find(|volume| volume.volume_group == group && volume.name == name)
        {
            volume.layout = layout.clone();
            std::mem::replace(&mut volume.size, size)
        } else {
            lvm.logical_volumes.push(LogicalVolume {
                volume_group: group.to_owned(),
                name: name.to_owned(),
                size,
                attributes: String::new(),
                origin: None,
                layout: layout.clone(),
                tags: Vec::new(),
            });
            0
        };
        take(lvm, group, layout.stripes(), takes);
        if matches!(layout, Layout::ThinPool { .. }) {
            return Ok(());
        }
        let device = DevicePath::of_volume(group, name);
        let block = match self.layer.block(self.base, &device)? {
            Reading::Known(Some(block)) => Planned::Known(BlockDevice { size, ..block }),
            // A volume that was there and had no device yet was not active: nobody has looked at it.
            _ if before > 0 => Planned::Unknown(self.author.clone()),
            _ => Planned::Known(BlockDevice {
                path: device.to_path_buf(),
                size,
                read_only: false,
                in_use: None,
                contents: Contents::Empty,
            }),
        };
        let path = match &block {
            Planned::Known(block) => block.path.clone(),
            Planned::Unknown(_) => device.to_path_buf(),
        };
        self.layer.blocks.insert(path, block);
        Ok(())
    }
}

/// Takes extents out of a group. From which of its physical volumes is known where all have to give.
fn take(lvm: &mut Lvm, group: &str, stripes: u64, extents: u64) {
    if let Some(known) = lvm.volume_groups.iter_mut().find(|known| known.name == group) {
        known.free_extents = known.free_extents.saturating_sub(extents);
    }
    let all = lvm.members(group).count() as u64 == stripes;
    let members = lvm
        .physical_volumes
        .iter_mut()
        .filter(|volume| volume.volume_group.as_deref() == Some(group));
    for volume in members.filter(|_| extents > 0) {
        volume.free_extents = volume
            .free_extents
            .filter(|_| all)
            .map(|free| free.saturating_sub(extents / stripes));
    }
}
