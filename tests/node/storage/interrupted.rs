//! The chain of storage and its growth, interrupted after each of their steps: by SIGKILL, and by a power cut. What they come to is
//! what an undisturbed node is.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::levels::{ROLE, checksums, in_one_piece, levels, start, write_files};
use crate::node::{
    glrl::{nothing_left, said},
    killed::{killed_after, power_cut_after, same, state},
};

/// The steps, in the order in which they are first taken.
const MAKES: [&str; 6] = ["vgcreate", "lvcreate", "mkfs.xfs", "mount", "systemctl", "exportfs"];
const GROWS: [&str; 4] = ["pvresize", "lvextend", "xfs_growfs", "resize2fs"];

#[test]
fn an_interrupted_run_is_taken_up_to_the_same_end() -> Result<()> {
    let lab = start(1)?;
    let node = &lab["backup"];
    node.run("sync")?;
    let untouched = node.checkpoint()?;

    in_one_piece(
        node,
        &[
            "directory:/srv/files/in",
            "filesystem:/dev/data/more",
            "filesystem:/dev/data/srv",
            "logical_volume:data/more",
            "logical_volume:data/srv",
            "mount:/srv/files",
            "mount:/srv/more",
            "nfs_export:/srv/files",
            "volume_group:data",
        ],
    )?;
    write_files(node)?;
    node.grow_disk("data", 2 << 30)?;
    in_one_piece(
        node,
        &[
            "filesystem:/dev/data/more",
            "filesystem:/dev/data/srv",
            "logical_volume:data/more",
            "logical_volume:data/srv",
            "volume_group:data",
        ],
    )?;
    let undisturbed = all(node)?;
    // The units of a node that has booted with its mounts are others.
    node.run("sync")?;
    node.power_cut();
    node.boot()?;
    let booted = all(node)?;

    node.rollback(&untouched)?;
    interrupted(node, killed_after)?;
    same(&all(node)?, &undisturbed)?;

    node.rollback(&untouched)?;
    interrupted(node, power_cut_after)?;
    same(&all(node)?, &booted)?;
    node.run("umount /srv/files /srv/more && xfs_repair -n /dev/data/srv && e2fsck -fn /dev/data/more")
        .map(drop)
}

/// Each run goes one step further than the one before it.
fn interrupted(node: &Node, after: fn(&Node, &str, &str) -> Result<()>) -> Result<()> {
    for program in MAKES {
        after(node, ROLE, program)?;
    }
    let last = said(node, &format!("converge --role {ROLE}"))?;
    ensure!(last.status == 0, "the last run ended with {}", last.status);
    nothing_left(node, ROLE)?;
    write_files(node)?;
    node.grow_disk("data", 2 << 30)?;
    for program in GROWS {
        after(node, ROLE, program)?;
    }
    let last = said(node, &format!("converge --role {ROLE}"))?;
    ensure!(last.status == 0, "the last run ended with {}", last.status);
    nothing_left(node, ROLE)
}

/// All that the role has a say in, to the byte, and the files on it.
fn all(node: &Node) -> Result<String> {
    Ok(format!(
        "{}{:?}\n{}{}",
        state(node)?,
        levels(node)?,
        checksums(node)?,
        node.run("exportfs -s; stat --format '%n %a %U %G' /srv/* /srv/files/*; findmnt --noheadings --list --output TARGET,OPTIONS --types xfs,ext4")?
    ))
}
