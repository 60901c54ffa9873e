//! The size of a mounted XFS, from the kernel. Its superblock on the disk is written back lazily, and statfs(2) shows the limits of a
//! project quota instead where the root has one.
#![expect(
    unsafe_code,
    reason = "ioctl(2) has no safe form; the struct is plain numbers that the kernel fills"
)]

use std::{fs::File, os::fd::AsRawFd, path::Path};

use anyhow::{Context, Result};

use crate::system::{Geometry, superblock};

/// `struct xfs_fsop_geom_v1` (`fs/xfs/libxfs/xfs_fs.h`).
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Answer {
    block_size: u32,
    rt_extent_size: u32,
    group_blocks: u32,
    group_count: u32,
    log_blocks: u32,
    sector_size: u32,
    inode_size: u32,
    inode_percent: u32,
    data_blocks: u64,
    rt_blocks: u64,
    rt_extents: u64,
    log_start: u64,
    uuid: [u8; 16],
    stripe_unit: u32,
    stripe_width: u32,
    version: i32,
    flags: u32,
    log_sector_size: u32,
    rt_sector_size: u32,
    directory_block_size: u32,
}

nix::ioctl_read!(fs_geometry, b'X', 100, Answer);

/// How far the XFS mounted here reaches.
pub(super) fn geometry(mount_point: &Path) -> Result<Geometry> {
    let asking = || format!("asking for the size of {}", mount_point.display());
    let directory = File::open(mount_point).with_context(asking)?;
    let mut answer = Answer::default();
    // SAFETY: the request number holds the struct's size, 112 bytes, and the kernel writes no more than that.
    unsafe { fs_geometry(directory.as_raw_fd(), &raw mut answer) }.with_context(asking)?;
    Ok(superblock::xfs_geometry(
        answer.block_size.into(),
        answer.data_blocks,
        answer.group_blocks.into(),
    ))
}
