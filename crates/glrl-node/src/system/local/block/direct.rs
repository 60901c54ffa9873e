//! Reading a device's first and last MiB from the medium itself (`O_DIRECT`): what cannot be read is not empty, and what the page
//! cache remembers may not be what is there.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use anyhow::{Context, Result};
use nix::{errno::Errno, fcntl::OFlag};

use super::disk::Disk;
use crate::system::superblock;

const MIB: u64 = 1 << 20;
/// `O_DIRECT` wants memory, place and length in multiples of the sector; no device has larger ones.
const ALIGNMENT: usize = 4096;

/// The first MiB.
pub(super) fn head(disk: &Disk) -> Result<Vec<u8>> {
    read(disk, 0, disk.size.min(MIB)).with_context(|| format!("reading the head of {}", disk.path.display()))
}

/// The last MiB.
pub(super) fn tail(disk: &Disk) -> Result<Vec<u8>> {
    let length = disk.size.min(MIB);
    read(disk, disk.size - length, length).with_context(|| format!("reading the end of {}", disk.path.display()))
}

/// The head as the page cache has it: newer than the medium for a filesystem that keeps its superblock there.
pub(super) fn cached_head(disk: &Disk) -> Result<Vec<u8>> {
    let mut head = Vec::with_capacity(superblock::HEAD);
    disk.open(OFlag::empty())?
        .take(superblock::HEAD as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}

fn read(disk: &Disk, at: u64, length: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(length)?;
    let aligned = length % ALIGNMENT == 0 && at.is_multiple_of(ALIGNMENT as u64);
    if aligned {
        match disk.open(OFlag::O_DIRECT) {
            Ok(file) => return from(file, at, length),
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {}
            Err(error) => return Err(error.into()),
        }
    }
    from(disk.open(OFlag::empty())?, at, length)
}

fn from(mut file: File, at: u64, length: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; length + ALIGNMENT];
    let skip = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let wanted = &mut buffer[skip..skip + length];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(wanted)?;
    Ok(wanted.to_vec())
}
