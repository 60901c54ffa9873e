//! Mounted filesystems with files in them grow with their disk, whatever of the steps between them was done by hand.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::levels::{Levels, checksums, in_one_piece, levels, made};

const EXTENT: u64 = 4 << 20;
const GROUP: &str = "volume_group:data";
const VOLUMES: [&str; 2] = ["logical_volume:data/more", "logical_volume:data/srv"];
const FILESYSTEMS: [&str; 2] = ["filesystem:/dev/data/more", "filesystem:/dev/data/srv"];

#[test]
fn what_is_mounted_grows_with_its_disk() -> Result<()> {
    let lab = made(1)?;
    let node = &lab["backup"];
    let before = checksums(node)?;
    let all = [FILESYSTEMS.as_slice(), &VOLUMES, &[GROUP]].concat();

    // The disk alone.
    grown(node, 2, "true", &all, &before)?;
    grown(node, 4, "true", &all, &before)?;
    // pvresize was done by hand; then lvextend of both volumes, too; then growfs of one.
    let pvresize = "pvresize -q /dev/disk/by-id/virtio-data";
    let volumes_and_theirs = [FILESYSTEMS.as_slice(), &VOLUMES].concat();
    grown(node, 5, pvresize, &volumes_and_theirs, &before)?;
    let size = "$(($(vgs --noheadings -o vg_extent_count data) * 40 / 100))";
    let lvextend = format!("{pvresize} && lvextend -q -l {size} data/srv && lvextend -q -l {size} data/more");
    grown(node, 6, &lvextend, &FILESYSTEMS, &before)?;
    let growfs = format!("{lvextend} && xfs_growfs /srv/files");
    grown(node, 7, &growfs, &FILESYSTEMS[..1], &before)
}

/// Grows the disk to so many GiB and does a part by hand; the rest is what is planned, what happens, and all there is to do.
fn grown(node: &Node, gib: u64, by_hand: &str, changing: &[&str], before: &str) -> Result<()> {
    node.grow_disk("data", gib << 30)?;
    node.run(by_hand)?;
    in_one_piece(node, changing)?;
    let now = levels(node)?;
    let extents = ((gib << 30) - (1 << 20)) / EXTENT;
    let volume = extents * 40 / 100 * EXTENT;
    let expected = Levels {
        disk: gib << 30,
        physical_volume: extents * EXTENT,
        group: extents * EXTENT,
        volumes: [volume; 2],
        // Less than an allocation group is left over.
        filesystems: now.filesystems.map(|size| {
            if (volume - (16 << 20)..=volume).contains(&size) {
                size
            } else {
                volume
            }
        }),
    };
    ensure!(now == expected, "{now:?} instead of {expected:?}");
    println!("{now:?}");
    ensure!(checksums(node)? == before, "the data is not what it was");
    Ok(())
}
