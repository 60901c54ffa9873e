//! What the kernel says of a block device (sysfs): its name and size, and who uses it.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{errno::Errno, fcntl::OFlag, sys::stat};

use super::super::{kernel::text, swaps};
use crate::system::Mount;

/// A block device as the kernel knows it.
#[derive(Debug)]
pub(super) struct Disk {
    /// `/dev/vdb`, `/dev/dm-0`.
    pub(super) path: PathBuf,
    /// `major:minor`.
    pub(super) number: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) read_only: bool,
    pub(super) removable: bool,
    /// Devices that are made of it: `dm-0`, `md0`.
    holders: Vec<String>,
    /// Its partitions: `vdb1`.
    pub(super) partitions: Vec<String>,
}

const CLASS: &str = "/sys/class/block";

/// Every block device of the kernel.
pub(super) fn names() -> Result<Vec<String>> {
    children(Path::new(CLASS))
}

/// The path of the device of this `major:minor`; `None` where no block device has it.
pub(in crate::system::local) fn path_of_number(number: &str) -> Result<Option<PathBuf>> {
    Ok(text(&Path::new("/sys/dev/block").join(number).join("uevent"))?
        .as_deref()
        .and_then(device_name))
}

/// `DEVNAME=vdb` of a uevent.
fn device_name(uevent: &str) -> Option<PathBuf> {
    let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(Path::new("/dev").join(name))
}

fn children(directory: &Path) -> Result<Vec<String>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", directory.display())),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("reading {}", directory.display()))?;
    names.sort_unstable();
    Ok(names)
}

impl Disk {
    /// The device with this `st_rdev`.
    pub(super) fn of_number(number: u64) -> Result<Self> {
        let number = format!("{}:{}", stat::major(number), stat::minor(number));
        Self::at(&Path::new("/sys/dev/block").join(&number))
    }

    /// The device of this name in sysfs.
    pub(super) fn named(name: &str) -> Result<Self> {
        Self::at(&Path::new(CLASS).join(name))
    }

    fn at(sys: &Path) -> Result<Self> {
        let attribute = |name: &str| -> Result<String> {
            let value = text(&sys.join(name))?.with_context(|| format!("there is no {}/{name}", sys.display()))?;
            Ok(value.trim().to_owned())
        };
        let sectors: u64 = attribute("size")?.parse().context("its size is not a number")?;
        let partitions = children(sys)?
            .into_iter()
            .filter(|child| sys.join(child).join("partition").exists())
            .collect();
        Ok(Self {
            path: device_name(&attribute("uevent")?).context("the kernel gives it no name")?,
            number: attribute("dev")?,
            // sysfs counts in 512 bytes, whatever the device's own sectors are.
            size: sectors * 512,
            read_only: attribute("ro")? != "0",
            // A partition has no such attribute.
            removable: text(&sys.join("removable"))?.is_some_and(|value| value.trim() == "1"),
            holders: children(&sys.join("holders"))?,
            partitions,
        })
    }

    /// Whether this is the device below a mount.
    pub(super) fn carries(&self, mount: &Mount) -> bool {
        mount.device == self.number || Path::new(&mount.source) == self.path
    }

    /// Who uses it, in words; `None` if nobody does.
    pub(super) fn user(&self, mounts: &[Mount]) -> Result<Option<String>> {
        if let Some(mount) = mounts.iter().find(|mount| self.carries(mount)) {
            return Ok(Some(format!("mounted on {}", mount.target.display())));
        }
        if !self.holders.is_empty() {
            return Ok(Some(format!("used by {}", self.holders.join(", "))));
        }
        if swaps::read()?.iter().any(|swap| swap.path == self.path) {
            return Ok(Some("used as swap".to_owned()));
        }
        // Mounts of other namespaces, members of a btrfs or an md array: the kernel grants such a device to nobody else.
        let exclusive = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_EXCL | OFlag::O_CLOEXEC).bits())
            .open(&self.path);
        match exclusive {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => Ok(Some(
                "claimed by the kernel: a mount of another namespace, or a part of another device".to_owned(),
            )),
            // Any other failure is for the reading of its contents to report.
            _ => Ok(None),
        }
    }

    /// Opens it for reading.
    pub(super) fn open(&self, flags: OFlag) -> std::io::Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags((flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).bits())
            .open(&self.path)
    }
}
