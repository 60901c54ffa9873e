//! The room of a volume group that its volumes leave for snapshots.

use anyhow::Result;

use crate::{
    system::{LogicalVolume, Lvm, Refused, VolumeGroup},
    value::{Size, VolumeSize},
};

/// Bytes that a group has for snapshots, and that it is to have. What snapshots have already is used as it is meant.
pub(super) fn room(reserve: VolumeSize, group: &VolumeGroup, lvm: &Lvm) -> (u64, u64) {
    let wanted = match reserve {
        VolumeSize::Bytes(size) => size.get(),
        VolumeSize::OfGroup(percent) | VolumeSize::OfFree(percent) => {
            VolumeSize::share(group.extents, percent) * group.extent_size
        }
    };
    let is_snapshot = |volume: &&LogicalVolume| volume.volume_group == group.name && volume.is_cow_snapshot();
    let taken: u64 = lvm
        .logical_volumes
        .iter()
        .filter(is_snapshot)
        .fold(0, |all, volume| all.saturating_add(volume.size));
    ((group.free_extents * group.extent_size).saturating_add(taken), wanted)
}

/// A refusal where a volume that takes so many more extents would leave less. `has` is how many it has now.
pub(super) fn must_be_left(
    name: &str,
    reserve: Option<VolumeSize>,
    group: &VolumeGroup,
    lvm: &Lvm,
    takes: u64,
    has: u64,
) -> Result<()> {
    let Some(reserve) = reserve.filter(|_| takes > 0) else {
        return Ok(());
    };
    let (left, wanted) = room(reserve, group, lvm);
    if left >= wanted + takes * group.extent_size {
        return Ok(());
    }
    let most = has + left.saturating_sub(wanted) / group.extent_size;
    let percent = most * 100 / group.extents.max(1);
    let hint = if most == 0 {
        format!("give {} another device, or a smaller `snapshot_reserve`", group.name)
    } else {
        format!(
            "a volume never shrinks: the largest size that leaves it is {} (or {percent}%VG); or give {} another device",
            Size::bytes(most * group.extent_size),
            group.name
        )
    };
    Err(Refused::because(
        format!(
            "{name} would take {} more and leave {} of {} for snapshots, less than the {} that are to be left ({reserve})",
            Size::bytes(takes * group.extent_size),
            Size::bytes(left.saturating_sub(takes * group.extent_size)),
            group.name,
            Size::bytes(wanted)
        ),
        hint,
    ))
}
