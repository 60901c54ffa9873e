//! What is larger than the device that it is on: the disk has shrunk, or a volume was cut. Writing would make the loss final, so all of
//! it is refused.

use std::fmt::Display;

use anyhow::Result;

use crate::{
    system::{BlockDevice, Contents, Lvm, PhysicalVolume, Refused, VolumeGroup},
    value::Size,
};

/// A refusal if what is on the device spans more than the device has.
pub(super) fn check(device: &dyn Display, block: &BlockDevice) -> Result<()> {
    let Contents::Known(signature) = &block.contents else {
        return Ok(());
    };
    match signature.geometry {
        Some(geometry) if geometry.size() > block.size => Err(Refused::because(
            format!(
                "the {signature} on {device} spans {}, but its device has only {}: a part of it is cut off",
                Size::bytes(geometry.size()),
                Size::bytes(block.size)
            ),
            "give the device its size back before anything is written to it",
        )),
        _ => Ok(()),
    }
}

/// A refusal if this physical volume, of the group and by this name, has more extents than its device has room for.
pub(super) fn member_must_not_be(name: &dyn Display, member: &PhysicalVolume, group: &VolumeGroup) -> Result<()> {
    let extent_size = group.extent_size;
    let (now, possible) = (member.size / extent_size, member.room / extent_size);
    if member.missing || possible >= now {
        return Ok(());
    }
    Err(Refused::because(
        format!(
            "{name} has room for {} of data, but as a part of {} it holds {}: the disk has shrunk, or a part of it is cut off",
            Size::bytes(possible * extent_size),
            group.name,
            Size::bytes(now * extent_size)
        ),
        "give the disk its size back before anything is written to it",
    ))
}

/// A refusal if one of the group's physical volumes is missing: LVM changes nothing in it, then.
pub(super) fn must_be_whole<'m>(group: &str, mut members: impl Iterator<Item = &'m PhysicalVolume>) -> Result<()> {
    if members.all(|member| !member.missing) {
        return Ok(());
    }
    Err(Refused::because(
        format!("a physical volume of {group} is missing, and LVM changes nothing in such a group"),
        format!("bring the disk back; or, if what was on it is lost, take it out: vgreduce --removemissing {group}"),
    ))
}

/// A refusal if that is so of any physical volume of the group: its free extents may not be there.
pub(super) fn group_must_not_be(group: &VolumeGroup, lvm: &Lvm) -> Result<()> {
    must_be_whole(&group.name, lvm.members(&group.name))?;
    lvm.members(&group.name)
        .try_for_each(|member| member_must_not_be(&member.device.display(), member, group))
}
