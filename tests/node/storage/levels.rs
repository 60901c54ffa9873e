//! The chain of storage that these tests make, and what there is at each of its levels.

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};

use super::super::glrl::{PREPARED, install, nothing_left, plan_is_what_happened, said, write};

/// Disk, group, two volumes, an XFS that is exported and an ext4.
pub(super) const CHAIN: &str = "role: chain
resources:
  - volume_group: { name: data, devices: [/dev/disk/by-id/virtio-data] }
  - logical_volume: { name: srv, volume_group: data, size: 40%VG }
  - filesystem: { device: /dev/data/srv, type: xfs, label: srv }
  - mount: { path: /srv/files, device: /dev/data/srv, options: [noatime] }
  - directory: { path: /srv/files/in, mode: \"0750\" }
  - nfs_export: { path: /srv/files, clients: { 127.0.0.1: [rw, no_root_squash, insecure] } }
  - logical_volume: { name: more, volume_group: data, size: 40%VG }
  - filesystem: { device: /dev/data/more, type: ext4, label: more }
  - mount: { path: /srv/more, device: /dev/data/more }
";
pub(super) const ROLE: &str = "/root/chain.yml";

/// Starts a node with a disk of so many GiB, glrl and the chain's role.
pub(super) fn start(gib: u64) -> Result<Lab> {
    let lab = Lab::start([NodeSpec::new("backup")
        .disk(Disk::sized("data", gib << 30))
        .prepared(PREPARED)])?;
    install(&lab["backup"])?;
    write(&lab["backup"], ROLE, CHAIN)?;
    Ok(lab)
}

/// The same, and the chain is made and has files in it.
pub(super) fn made(gib: u64) -> Result<Lab> {
    let lab = start(gib)?;
    let converge = said(&lab["backup"], &format!("converge --role {ROLE}"))?;
    ensure!(converge.status == 0, "the chain was not made: {}", converge.status);
    write_files(&lab["backup"])?;
    Ok(lab)
}

/// Converges in one piece, as the plan said, which was to change these resources.
pub(super) fn in_one_piece(node: &Node, changing: &[&str]) -> Result<()> {
    let plan = said(node, &format!("plan --role {ROLE}"))?;
    let mut planned = plan.with("planned", "changed");
    planned.sort();
    ensure!(planned == changing, "the plan is to change {planned:?}");
    let converge = said(node, &format!("converge --role {ROLE}"))?;
    ensure!(converge.status == 0, "it ended with {}", converge.status);
    plan_is_what_happened(&plan, &converge)?;
    nothing_left(node, ROLE)
}

/// Writes files to both filesystems; they reach the disk.
pub(super) fn write_files(node: &Node) -> Result<()> {
    node.run(
        "for path in /srv/files/in/kept /srv/more/kept; do seq 2000000 | dd of=$path bs=1M conv=fsync status=none || exit 1; done",
    )
    .map(drop)
}

/// The checksums of these files, as the disk has them.
pub(super) fn checksums(node: &Node) -> Result<String> {
    node.run("sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum /srv/files/in/kept /srv/more/kept")
}

/// Bytes at each level, as its own tools count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) disk: u64,
    pub(super) physical_volume: u64,
    pub(super) group: u64,
    /// The volumes, and what is on them: XFS and ext4.
    pub(super) volumes: [u64; 2],
    pub(super) filesystems: [u64; 2],
}

pub(super) fn levels(node: &Node) -> Result<Levels> {
    let said = node.run(
        "set -e
         lvm='--noheadings --nosuffix --units b -o'
         blockdev --getsize64 /dev/disk/by-id/virtio-data
         pvs $lvm pv_size /dev/disk/by-id/virtio-data
         vgs $lvm vg_size data
         lvs $lvm lv_size data/srv
         lvs $lvm lv_size data/more
         echo $(($(xfs_info /srv/files | sed -n 's/^data .*bsize=\\([0-9]*\\) *blocks=\\([0-9]*\\),.*/\\1 * \\2/p')))
         echo $(($(dumpe2fs -h /dev/data/more 2>/dev/null | sed -n 's/^Block count: *//p') * \
                 $(dumpe2fs -h /dev/data/more 2>/dev/null | sed -n 's/^Block size: *//p')))",
    )?;
    let numbers = said
        .split_whitespace()
        .map(|number| {
            number
                .parse()
                .with_context(|| format!("{number} is no number of bytes: {said}"))
        })
        .collect::<Result<Vec<u64>>>()?;
    let [disk, physical_volume, group, srv, more, xfs, ext4] = numbers[..] else {
        anyhow::bail!("seven sizes were expected: {said}")
    };
    Ok(Levels {
        disk,
        physical_volume,
        group,
        volumes: [srv, more],
        filesystems: [xfs, ext4],
    })
}
