//! What the head of a device says of itself: identity and extent of the filesystems glrl makes, of physical volumes and of
//! swap. libblkid knows many more; this is for what is in use, and for how far a filesystem reaches, without a process.
//!
//! Layouts: `xfs_dsb` (`fs/xfs/libxfs/xfs_format.h`), ext4's on-disk format (Documentation/filesystems/ext4/super.rst),
//! `btrfs_super_block` (`btrfs_tree.h`), `label_header` (lvm2 lib/label/label.c), `swap_header` (include/linux/swap.h).

use super::{Geometry, Signature};

/// As many bytes of a device's head as `identify` looks at.
pub(super) const HEAD: usize = 128 << 10;

/// The signature at the head of a device, if it is one that is known here.
pub(super) fn identify(head: &[u8]) -> Option<Signature> {
    let head = Head(head);
    xfs(&head)
        .or_else(|| ext(&head))
        .or_else(|| btrfs(&head))
        .or_else(|| physical_volume(&head))
        .or_else(|| swap(&head))
        .map(|signature| Signature {
            // What no device can hold is damaged: how far it reaches is not known.
            geometry: signature.geometry.filter(Geometry::is_possible),
            ..signature
        })
}

/// The bytes, read as numbers and texts; what lies beyond the end is zero.
struct Head<'a>(&'a [u8]);

impl<'a> Head<'a> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0
            .get(at..at + N)
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or([0; N])
    }

    fn holds(&self, at: usize, magic: &[u8]) -> bool {
        self.0.get(at..at + magic.len()) == Some(magic)
    }

    fn be32(&self, at: usize) -> u64 {
        u32::from_be_bytes(self.bytes(at)).into()
    }

    fn be64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.bytes(at))
    }

    fn le16(&self, at: usize) -> u64 {
        u16::from_le_bytes(self.bytes(at)).into()
    }

    fn le32(&self, at: usize) -> u64 {
        u32::from_le_bytes(self.bytes(at)).into()
    }

    fn le64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    /// A text that ends at the first NUL, or after `length` bytes.
    fn text(&self, at: usize, length: usize) -> Option<String> {
        let bytes: &'a [u8] = self.0.get(at..at + length)?;
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(length);
        (end > 0).then(|| String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned())
    }

    fn uuid(&self, at: usize) -> Option<String> {
        let bytes: [u8; 16] = self.bytes(at);
        if bytes == [0; 16] {
            return None;
        }
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Some(parts.join("-"))
    }
}

/// Fewer blocks than 16 MiB make no allocation group (`XFS_AG_MIN_BYTES`): mkfs.xfs leaves them, `xfs_growfs` would take 64.
fn xfs_least(block: u64) -> u64 {
    (16 << 20) / block.max(1)
}

/// What the kernel says of a mounted XFS, in blocks: its superblock on the disk may be older.
pub(super) fn xfs_geometry(block: u64, blocks: u64, group: u64) -> Geometry {
    Geometry {
        block,
        blocks,
        step: 1,
        first: 0,
        group,
        least: xfs_least(block),
    }
}

fn xfs(head: &Head) -> Option<Signature> {
    if !head.holds(0, b"XFSB") {
        return None;
    }
    Some(Signature {
        what: "xfs".to_owned(),
        uuid: head.uuid(32),
        label: head.text(108, 12),
        geometry: Some(xfs_geometry(head.be32(4), head.be64(8), head.be32(84))),
        ..Signature::default()
    })
}

fn ext(head: &Head) -> Option<Signature> {
    const AT: usize = 1024;
    const HAS_JOURNAL: u64 = 0x4;
    const INCOMPAT_JOURNAL_DEVICE: u64 = 0x8;
    const INCOMPAT_EXT3: u64 = 0x2 | 0x4 | 0x10;
    const INCOMPAT_64BIT: u64 = 0x80;
    const RO_COMPAT_EXT3: u64 = 0x7;
    if head.le16(AT + 0x38) != 0xEF53 {
        return None;
    }
    let incompat = head.le32(AT + 0x60);
    if incompat & INCOMPAT_JOURNAL_DEVICE != 0 {
        return None;
    }
    // As libblkid tells them apart (superblocks/ext.c).
    let what = if incompat & !INCOMPAT_EXT3 != 0 || head.le32(AT + 0x64) & !RO_COMPAT_EXT3 != 0 {
        "ext4"
    } else if head.le32(AT + 0x5C) & HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    let wide = incompat & INCOMPAT_64BIT != 0;
    let block = 1024 << head.le32(AT + 0x18).min(16);
    let high = if wide { head.le32(AT + 0x150) << 32 } else { 0 };
    let blocks = high | head.le32(AT + 4);
    let (first, group) = (head.le32(AT + 0x14), head.le32(AT + 0x20));
    let inode_table = (head.le32(AT + 0x28) * head.le16(AT + 0x58)).div_ceil(block);
    let descriptor = if wide { head.le16(AT + 0xFE).max(32) } else { 32 };
    let descriptors = blocks.div_ceil(group.max(1)).saturating_mul(descriptor).div_ceil(block) + head.le16(AT + 0xCE);
    let cluster = 1 << head.le32(AT + 0x1C).saturating_sub(head.le32(AT + 0x18)).min(16);
    Some(Signature {
        what: what.to_owned(),
        uuid: head.uuid(AT + 0x68),
        label: head.text(AT + 0x78, 16),
        geometry: Some(Geometry {
            block,
            blocks,
            // resize2fs(8) rounds down to pages of memory, which are of 64 KiB at most.
            step: (64 << 10) / block.min(64 << 10),
            first,
            group,
            // mke2fs wants 50 blocks beside the metadata of a last group (lib/ext2fs/initialize.c); the kernel a little less
            // (ext4_resize_fs in fs/ext4/resize.c).
            least: 1 + descriptors + inode_table + 2 + cluster + 50,
        }),
        ..Signature::default()
    })
}

fn btrfs(head: &Head) -> Option<Signature> {
    const AT: usize = 64 << 10;
    if !head.holds(AT + 0x40, b"_BHRfS_M") {
        return None;
    }
    let sector = head.le32(AT + 0x90).max(1);
    // How far a filesystem of several devices reaches on this one is not for its superblock alone to say.
    let geometry = (head.le64(AT + 0x88) == 1).then(|| Geometry {
        block: sector,
        blocks: head.le64(AT + 0xD1) / sector,
        step: 1,
        first: 0,
        group: 0,
        least: 0,
    });
    Some(Signature {
        what: "btrfs".to_owned(),
        uuid: head.uuid(AT + 0x20),
        label: head.text(AT + 0x12B, 256),
        geometry,
        ..Signature::default()
    })
}

fn physical_volume(head: &Head) -> Option<Signature> {
    let label = (0..4)
        .map(|sector| sector * 512)
        .find(|&at| head.holds(at, b"LABELONE") && head.holds(at + 24, b"LVM2 001"))?;
    let at = label + usize::try_from(head.le32(label + 20)).ok()?;
    let id = head.text(at, 32)?;
    let cuts = [0, 6, 10, 14, 18, 22, 26, 32];
    let parts: Option<Vec<&str>> = cuts.windows(2).map(|cut| id.get(cut[0]..cut[1])).collect();
    Some(Signature {
        what: "LVM2_member".to_owned(),
        uuid: parts.map(|parts| parts.join("-")),
        ..Signature::default()
    })
}

fn swap(head: &Head) -> Option<Signature> {
    const PAGE: u64 = 4096;
    if !head.holds(4096 - 10, b"SWAPSPACE2") {
        return None;
    }
    Some(Signature {
        what: "swap".to_owned(),
        uuid: head.uuid(1024 + 12),
        label: head.text(1024 + 28, 16),
        // It has the number of its last page, and never grows.
        geometry: Some(Geometry {
            block: PAGE,
            blocks: head.le32(1024 + 4) + 1,
            step: 1,
            first: 0,
            group: 0,
            least: 0,
        }),
        ..Signature::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_device_can_hold_has_no_size() {
        let mut head = vec![0; HEAD];
        head[1024 + 0x38..1024 + 0x3A].copy_from_slice(&0xEF53_u16.to_le_bytes());
        let geometry = |head: &[u8]| identify(head).unwrap().geometry;
        assert_eq!(geometry(&head).unwrap().size(), 0);
        // 64bit, and as many blocks as there are numbers.
        head[1024 + 0x60] = 0x80;
        head[1024 + 0x150..1024 + 0x154].fill(0xFF);
        assert_eq!(geometry(&head), None);
        let xfs = [&b"XFSB"[..], &[0xFF; 200]].concat();
        assert_eq!(geometry(&xfs), None);
        assert_eq!(geometry(b"XFSB"), None);
    }
}
