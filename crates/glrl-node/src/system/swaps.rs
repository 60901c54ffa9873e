//! Swap as a probe sees it.

use std::path::PathBuf;

/// A device or a file that the kernel swaps to (`proc_swaps(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The kernel's own path of the device, links resolved, or the file.
    pub path: PathBuf,
    /// Which is used first: the one with the highest. Those that nobody gave one have a negative one.
    pub priority: i32,
}
