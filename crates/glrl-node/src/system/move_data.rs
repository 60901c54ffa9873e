//! The data of a directory that moves onto a filesystem of its own, as data: what is copied where, and what is stopped meanwhile.

use std::path::Path;

use anyhow::Result;

use super::{FileType, Probe, Reading, known};
use crate::value::{AbsPath, DevicePath, Size, UnitName};

/// The file in the root of the new filesystem that says how far a move has come. It is there from before the first byte is copied
/// until all is done, so a copy that is not whole is known by it.
pub const MARKER: &str = ".glrl-move.json";

/// A move of what a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveData {
    /// The directory.
    pub from: AbsPath,
    /// The device of the filesystem that gets it; mounted over the directory afterwards, by another operation.
    pub device: DevicePath,
    /// The filesystem's type.
    pub fs_type: String,
    /// Units that are stopped before it is copied.
    pub stop: Vec<UnitName>,
}

/// How much a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes on the disk, a file with several names once.
    pub bytes: u64,
    /// Files, directories, links and whatever else, itself not counted.
    pub entries: u64,
}

impl Amount {
    /// Returns its bytes for eyes, rounded up to MiB.
    pub fn size(self) -> Size {
        Size::bytes(self.bytes.next_multiple_of(1 << 20))
    }
}

/// Counts what a directory holds by the sizes that a probe shows.
pub(super) fn amount(node: &(impl Probe + ?Sized), directory: &Path) -> Result<Reading<Amount>> {
    let mut amount = Amount::default();
    for name in known!(node.list(directory)?) {
        let path = directory.join(name);
        let Some(entry) = known!(node.entry(&path)?) else {
            continue;
        };
        amount.entries += 1;
        match entry.file_type {
            FileType::File { size } => amount.bytes += size,
            FileType::Directory => {
                let below = known!(self::amount(node, &path)?);
                amount.bytes += below.bytes;
                amount.entries += below.entries;
            }
            _ => {}
        }
    }
    Ok(Reading::Known(amount))
}
