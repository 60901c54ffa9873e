//! Block devices and the three answers to "what is on it".

use std::path::PathBuf;

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// The kernel's own path of it, links resolved: `/dev/vdb`, `/dev/dm-0`.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// What is on it.
    pub contents: Contents,
}

/// What is on a device. Only `Empty` may be formatted or made a physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Proven: readable, of some size, no signature, no partition table, no holder, not in use.
    Empty,
    /// A signature that libblkid knows.
    Known(Signature),
    /// It could not be told: the probe failed, an I/O error, ambivalent signatures, in use without a signature.
    Unsure {
        /// What the probe met.
        why: String,
    },
}

/// A signature, as `blkid -p` has it (blkid(8)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// `xfs`, `ext4`, `LVM2_member`, `crypto_LUKS`, `gpt`, `dos` …
    pub what: String,
    /// The UUID, where it has one; `None` on something that is planned, too.
    pub uuid: Option<String>,
    /// The label, where it has one.
    pub label: Option<String>,
}
