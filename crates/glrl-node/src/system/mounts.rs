//! Mounts as a probe sees them.

use std::path::{Path, PathBuf};

use super::BlockDevice;
use crate::value::DevicePath;

/// A line of mountinfo (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted: the kernel's own path of a device, links resolved, `host:/path`, `tmpfs` …
    pub source: String,
    /// The directory within the filesystem that is mounted; `/` unless it is a bind mount or a subvolume.
    pub root: PathBuf,
    /// Where it is mounted.
    pub target: PathBuf,
    /// The filesystem's type.
    pub fs_type: String,
    /// Options, the mount's own and then the filesystem's, each once.
    pub options: Vec<String>,
    /// `major:minor` of the filesystem; empty for one that is planned.
    pub device: String,
}

impl Mount {
    /// Whether it is a mount of this device: by the kernel's own path of it, or, while it is planned, by the declared one.
    pub fn is_of(&self, declared: &DevicePath, block: &BlockDevice) -> bool {
        let source = Path::new(&self.source);
        source == block.path || source == &**declared
    }
}

/// Size and fill of a mounted filesystem (statfs(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in all.
    pub size: u64,
    /// Bytes free for root.
    pub free: u64,
}
