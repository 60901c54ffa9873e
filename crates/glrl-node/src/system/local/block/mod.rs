//! What is on a block device: three answers, and nothing in doubt counts as empty.

mod direct;
mod disk;
mod signatures;
mod xfs;

use std::{
    io::ErrorKind,
    os::unix::fs::{FileTypeExt, MetadataExt},
};

use anyhow::{Context, Result, bail};

pub(super) use self::disk::path_of_number;
use self::{disk::Disk, signatures::Found};
use crate::{
    system::{
        BlockDevice, Contents, Mount, Refused, Signature,
        programs::{Missing, Program},
        superblock,
    },
    value::DevicePath,
};

/// The device and what is on it; `None` where there is none of that name.
pub(super) fn read(device: &DevicePath, mounts: &[Mount]) -> Result<Option<BlockDevice>> {
    let mut stat = device.metadata();
    // These names are udev's, which may not have seen yet what the last program made.
    if device.starts_with("/dev/disk") && stat.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        let _ = Program::new("udevadm").args(["settle", "--timeout=10"]).output();
        stat = device.metadata();
    }
    let stat = match stat {
        Ok(stat) => stat,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("looking at {device}")),
    };
    if !stat.file_type().is_block_device() {
        bail!("{device} is not a block device");
    }
    let disk = Disk::of_number(stat.rdev()).with_context(|| format!("asking the kernel about {device}"))?;
    let in_use = disk.user(mounts)?;
    let contents = contents(&disk, in_use.as_deref(), mounts)?;
    Ok(Some(BlockDevice {
        path: disk.path,
        size: disk.size,
        read_only: disk.read_only,
        in_use,
        contents,
    }))
}

/// Whether a device is a physical volume of LVM, by its head alone; `None` if it has no size or no medium.
pub(super) fn is_physical_volume(name: &str) -> Result<Option<bool>> {
    let disk = Disk::named(name)?;
    if disk.size == 0 {
        return Ok(None);
    }
    match direct::head(&disk) {
        Ok(head) => Ok(Some(
            superblock::identify(&head).is_some_and(|signature| signature.what == "LVM2_member"),
        )),
        Err(_) if disk.removable => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every block device that the kernel has.
pub(super) fn names() -> Result<Vec<String>> {
    disk::names()
}

fn contents(disk: &Disk, in_use: Option<&str>, mounts: &[Mount]) -> Result<Contents> {
    match look(disk, in_use, mounts) {
        // A package may bring it, and who waits for that waits for the answer.
        Err(error) if error.is::<Missing>() => {
            let what = format!("nobody can tell what is on {}: {error:#}", disk.path.display());
            Err(error.context(Refused {
                what,
                hint: "install the package that has the program, and run again".to_owned(),
            }))
        }
        Err(error) => Ok(Contents::Unsure {
            why: format!("{error:#}"),
        }),
        known => known,
    }
}

fn look(disk: &Disk, in_use: Option<&str>, mounts: &[Mount]) -> Result<Contents> {
    if disk.size == 0 {
        bail!(
            "{} has no size: there is no medium in it, or nothing is set up behind it",
            disk.path.display()
        );
    }
    let head = direct::head(disk)?;
    direct::tail(disk)?;
    let own = superblock::identify(&head);
    // What the kernel itself has open as this will not be formatted whatever blkid says of it, so it need not be asked.
    if let (Some(signature), Some(_)) = (&own, in_use) {
        let mut signature = signature.clone();
        if let Some(mount) = mounts.iter().find(|mount| disk.carries(mount)) {
            now(disk, mount, &mut signature);
        }
        return Ok(Contents::Known(signature));
    }
    match signatures::read(&disk.path)? {
        Found::Nothing => {
            if let Some(user) = in_use {
                bail!("it is in use ({user}), but no signature is on it");
            }
            if let Some(partition) = disk.partitions.first() {
                bail!("the kernel has a partition of it, {partition}, but no partition table is on it");
            }
            if let Some(signature) = own {
                bail!("blkid and wipefs find nothing, but its head looks like {signature}");
            }
            Ok(Contents::Empty)
        }
        Found::Signature(signature) => Ok(Contents::Known(Signature {
            geometry: own
                .filter(|own| own.what == signature.what)
                .and_then(|own| own.geometry),
            ..signature
        })),
        Found::Unclear(why) => Ok(Contents::Unsure { why }),
    }
}

/// Puts in how far a mounted filesystem reaches now: its superblock on the disk may lag behind, the kernel's does not.
fn now(disk: &Disk, mount: &Mount, signature: &mut Signature) {
    let fresh = match signature.what.as_str() {
        "xfs" => xfs::geometry(&mount.target).ok(),
        // These keep their superblock in the device's page cache, which a plain read sees.
        _ => direct::cached_head(disk)
            .ok()
            .and_then(|head| superblock::identify(&head))
            .and_then(|signature| signature.geometry),
    };
    signature.geometry = fresh.or(signature.geometry);
}
