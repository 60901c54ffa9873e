//! Block devices and the three answers to "what is on it".

use std::path::PathBuf;

use crate::value::DevicePath;

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// The kernel's own path of it, links resolved: `/dev/vdb`, `/dev/dm-0`.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Whether the kernel refuses to write to it.
    pub read_only: bool,
    /// Who uses it now: "mounted on /srv", "used by dm-0", "swap". Nothing that is in use is ever formatted or wiped.
    pub in_use: Option<String>,
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
    /// Partitions in it, where it is a partition table.
    pub partitions: usize,
    /// How much of its device a filesystem spans; `None` if it cannot be read from it, or if it spans all of it.
    pub geometry: Option<Geometry>,
}

impl Signature {
    /// The links that udev makes for it: by its UUID, by its label.
    pub fn names(&self) -> Vec<DevicePath> {
        let by = |by, value: &Option<String>| DevicePath::by(by, value.as_deref()?).ok();
        [by("uuid", &self.uuid), by("label", &self.label)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// How much of its device a filesystem spans, and in what steps it can grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a block.
    pub block: u64,
    /// Blocks that it spans.
    pub blocks: u64,
    /// It grows by so many blocks at least.
    pub step: u64,
    /// The first block that belongs to a group.
    pub first: u64,
    /// Blocks of an allocation group; 0 if it grows by single blocks.
    pub group: u64,
    /// A last group with fewer blocks than this cannot be made: mkfs and the kernel leave them unused.
    pub least: u64,
}

impl Geometry {
    /// Whether there can be so many blocks.
    pub fn is_possible(&self) -> bool {
        self.block > 0 && self.blocks.checked_mul(self.block).is_some()
    }

    /// Bytes that it spans.
    pub fn size(&self) -> u64 {
        self.blocks * self.block
    }

    /// The bytes it would span after growing to a device of this size; `None` if that is no more than now.
    pub fn grown(&self, device: u64) -> Option<u64> {
        let step = self.step.max(1);
        let mut blocks = device / self.block.max(1) / step * step;
        if self.group > 0 {
            let last = blocks.saturating_sub(self.first) % self.group;
            if last < self.least {
                blocks -= last;
            }
        }
        (blocks > self.blocks).then_some(blocks * self.block)
    }
}

impl std::fmt::Display for Signature {
    /// `an xfs signature (uuid …, label "…")`, as a message names it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        match (&self.uuid, &self.label) {
            (Some(uuid), Some(label)) => write!(f, " (uuid {uuid}, label \"{label}\")"),
            (Some(uuid), None) => write!(f, " (uuid {uuid})"),
            (None, Some(label)) => write!(f, " (label \"{label}\")"),
            (None, None) => Ok(()),
        }?;
        match self.partitions {
            0 => Ok(()),
            1 => f.write_str(" with a partition"),
            more => write!(f, " with {more} partitions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_group_that_is_too_small_is_left_unused() {
        let xfs = Geometry {
            block: 4096,
            blocks: 25_600,
            step: 1,
            first: 0,
            group: 6_400,
            least: 4096,
        };
        assert_eq!(xfs.grown(25_600 * 4096), None);
        assert_eq!(xfs.grown((25_600 + 4095) * 4096), None);
        assert_eq!(xfs.grown((25_600 + 4096) * 4096 + 17), Some((25_600 + 4096) * 4096));
        assert_eq!(xfs.grown(0), None);
    }

    proptest::proptest! {
        #[test]
        fn what_has_grown_grows_no_further(
            blocks in 1u64..1 << 40,
            device in 0u64..1 << 52,
            step in 1u64..65,
            group in 0u64..1 << 20,
            least in 0u64..5000,
            first in 0u64..2,
        ) {
            let before = Geometry { block: 4096, blocks, step, first, group, least };
            if let Some(size) = before.grown(device) {
                proptest::prop_assert!(size <= device && size > before.size());
                let after = Geometry { blocks: size / 4096, ..before };
                proptest::prop_assert_eq!(after.grown(device), None);
            }
        }
    }
}
