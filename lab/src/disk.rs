//! The disks of a node beside its root.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::host;

/// A disk to be given to a node. It shows there as `/dev/disk/by-id/virtio-SERIAL`.
#[derive(Debug, Clone)]
pub struct Disk {
    serial: String,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Empty { bytes: u64 },
    CopyOf(PathBuf),
}

impl Disk {
    /// An empty disk of 2 GiB.
    #[must_use]
    pub fn empty(serial: &str) -> Self {
        Self::sized(serial, 2 << 30)
    }

    /// An empty disk of a size in bytes, a multiple of 512. It takes no space until it is written to.
    #[must_use]
    pub fn sized(serial: &str, bytes: u64) -> Self {
        Self {
            serial: serial.to_owned(),
            content: Content::Empty { bytes },
        }
    }

    /// A disk that starts as a copy of a raw image file, and so has its size.
    #[must_use]
    pub fn copy_of(serial: &str, image: &Path) -> Self {
        Self {
            serial: serial.to_owned(),
            content: Content::CopyOf(image.to_owned()),
        }
    }
}

/// A node's disk as a file of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskFile {
    pub(crate) serial: String,
    path: PathBuf,
    slot: u8,
}

/// PCI slots from 0x10 on are the disks'; below are the machine's own devices.
const FIRST_SLOT: u8 = 0x10;
const SLOTS: u8 = 0x10;

/// `qemu-img` works on sparse files.
const LIMIT: Duration = Duration::from_mins(5);

impl DiskFile {
    /// Makes the file for `disk` in `folder`, in a slot that `others` do not use.
    pub(crate) fn make(disk: &Disk, folder: &Path, others: &[Self]) -> Result<Self> {
        let serial = disk.serial.clone();
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if serial.is_empty() || serial.len() > 20 || !serial.bytes().all(valid) {
            bail!("{serial:?} is no disk serial: virtio takes 1 to 20 letters, digits, - and _");
        }
        if others.iter().any(|other| other.serial == serial) {
            bail!("two disks of one node have the serial {serial}");
        }
        let slot = (0..SLOTS)
            .find(|slot| others.iter().all(|other| other.slot != *slot))
            .context("a node takes 16 disks at most")?;
        let path = folder.join(format!("{serial}.qcow2"));
        let file = path.display().to_string();
        match &disk.content {
            Content::Empty { bytes } => image(["create", "-q", "-f", "qcow2", &file, &bytes.to_string()]),
            Content::CopyOf(source) => {
                let source = source.display().to_string();
                image(["convert", "-q", "-f", "raw", "-O", "qcow2", &source, &file])
            }
        }
        .with_context(|| format!("making the disk {serial}"))?;
        Ok(Self { serial, path, slot })
    }

    /// Grows a disk that no machine uses at the moment.
    pub(crate) fn grow(&self, bytes: u64) -> Result<()> {
        image([
            "resize",
            "-q",
            "-f",
            "qcow2",
            &self.path.display().to_string(),
            &bytes.to_string(),
        ])
    }

    /// Copies what the disk holds to a raw, sparse file. QEMU may have it open: what the node has flushed is in the copy.
    pub(crate) fn copy(&self, to: &Path) -> Result<()> {
        let (from, to) = (self.path.display().to_string(), to.display().to_string());
        image(["convert", "-q", "--force-share", "-f", "qcow2", "-O", "raw", &from, &to])
    }

    /// QEMU's name for the content.
    pub(crate) fn node_name(&self) -> String {
        format!("disk-{}", self.serial)
    }

    /// QEMU's block device.
    pub(crate) fn blockdev(&self) -> Value {
        blockdev(&self.node_name(), &self.path)
    }

    /// QEMU's device in the machine. The slot is fixed, so that a machine booted with the disk and
    /// one that got it while running are alike.
    pub(crate) fn device(&self) -> Value {
        json!({
            "driver": "virtio-blk-pci",
            "id": format!("device-{}", self.serial),
            "drive": self.node_name(),
            "serial": self.serial,
            "addr": format!("{:#x}", FIRST_SLOT + self.slot),
        })
    }
}

/// A qcow2 file as a block device.
///
/// A flush by the node makes QEMU write out what it holds back itself, but not the host's kernel
/// (`no-flush` on the file below): the power cut that the lab knows is QEMU's death, which the
/// host's cache survives. That saves a node most of its waiting for the disk.
///
/// So a power cut loses what was only in the node's memory, its page cache above all; and of what the node had sent to the disk but
/// not flushed, the clusters that are new to the file: the tables that say where they are, QEMU holds back until a flush
/// (docs/qcow2-cache.txt of QEMU). That is like a disk's volatile write cache. It keeps what was flushed, and what was written
/// over clusters that the file had already: a real disk may lose, or tear, those too, if nobody flushed them.
pub(crate) fn blockdev(node_name: &str, path: &Path) -> Value {
    json!({
        "driver": "qcow2",
        "node-name": node_name,
        "discard": "unmap",
        "file": { "driver": "file", "filename": path, "cache": { "no-flush": true } },
    })
}

/// Makes a disk that starts as `base` and holds only what differs. `base` may not change any more.
pub(crate) fn overlay(path: &Path, base: &Path, base_format: &str) -> Result<()> {
    let (path, base) = (path.display().to_string(), base.display().to_string());
    image(["create", "-q", "-f", "qcow2", "-F", base_format, "-b", &base, &path])
}

fn image<const N: usize>(arguments: [&str; N]) -> Result<()> {
    host::run("qemu-img", arguments, LIMIT).map(drop)
}
