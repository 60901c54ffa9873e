//! /proc/swaps.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel;
use crate::system::{Swap, octal};

/// All that the kernel swaps to; nothing where it cannot swap.
pub(super) fn read() -> Result<Vec<Swap>> {
    let text = kernel::text(Path::new("/proc/swaps"))?.unwrap_or_default();
    text.lines()
        .skip(1)
        .map(|line| parse(line).with_context(|| format!("/proc/swaps holds '{line}'")))
        .collect()
}

/// `/dev/dm-1  partition  1048572  0  -2` (`proc_swaps(5)`).
pub(super) fn parse(line: &str) -> Option<Swap> {
    let mut fields = line.split_whitespace();
    let path = PathBuf::from(octal::decode(fields.next()?));
    Some(Swap {
        path: kernel::canonical(&path),
        priority: fields.last()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_swap() {
        let swap = parse("/my\\040swap                             file\t\t1048572\t\t0\t\t-2").unwrap();
        assert_eq!((swap.path, swap.priority), ("/my swap".into(), -2));
        assert_eq!(parse("/dev/no-sdb partition 1 0 32767").unwrap().priority, 32767);
        assert_eq!(parse("/dev/sdb"), None);
    }
}
