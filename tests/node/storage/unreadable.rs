//! Disks that cannot be read as a whole.

use anyhow::{Context, Result, ensure};
use glrl_lab::Node;

use super::super::glrl::{glrl, write};

/// Errors at either end of a disk, and a disk that is a part of another device.
pub(super) fn what_cannot_be_read_is_refused(node: &Node) -> Result<()> {
    let device = node
        .run("truncate -s 400M /root/disk && losetup --find --show /root/disk")?
        .trim()
        .to_owned();
    let sectors = 400 << 11;
    let tables = [
        (
            "its head",
            format!("0 2048 error\n2048 {} linear {device} 2048", sectors - 2048),
        ),
        (
            "its end",
            format!("0 {0} linear {device} 0\n{0} 2048 error", sectors - 2048),
        ),
    ];
    let refuses = |device: &str, why: &str| -> Result<()> {
        for wish in [
            format!("volume_group: {{ name: test, devices: [{device}] }}"),
            format!("filesystem: {{ device: {device}, type: ext4 }}"),
        ] {
            write(node, "/root/wish.yml", &format!("role: wish\nresources:\n  - {wish}\n"))?;
            let output = glrl(node, "converge --role /root/wish.yml")?;
            let text = format!("{}{}", output.stdout, output.stderr);
            ensure!(
                output.status == 3 && text.contains(why),
                "{wish}: {} {text}",
                output.status
            );
        }
        Ok(())
    };
    for (place, table) in tables {
        node.run(&format!("dmsetup create bad <<'END'\n{table}\nEND"))?;
        refuses("/dev/mapper/bad", "Input/output error").context(place)?;
        refuses(&device, "used by dm-").context(place)?;
        node.run("dmsetup remove bad")?;
    }
    node.run(&format!("losetup --detach {device}")).map(drop)
}
