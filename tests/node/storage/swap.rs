//! Swap that is made by runs that are killed.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::super::{
    glrl::{nothing_left, said, write},
    killed::killed_after,
};

const SWAP: &str = "role: swap
resources:
  - swap: { path: /swap, size: 64MiB, priority: 5 }
  - logical_volume: { name: swap, volume_group: data, size: 64MiB }
  - swap: { path: /dev/data/swap }
";

/// A run is killed after each program that makes swap; what is left of a file is not taken for swap.
pub(super) fn swap_is_taken_up_wherever_it_was_cut(node: &Node) -> Result<()> {
    write(node, "/root/swap.yml", SWAP)?;
    for program in ["dd", "mkswap", "mv", "swapon", "mkswap", "swapon"] {
        killed_after(node, "/root/swap.yml", program)?;
    }
    let last = said(node, "converge --role /root/swap.yml")?;
    ensure!(last.status == 0, "the last run ended with {}", last.status);
    nothing_left(node, "/root/swap.yml")?;
    node.run("test ! -e /swap.glrl-unfinished && test $(grep -c ' none swap ' /etc/fstab) = 2")
        .map(drop)
}
