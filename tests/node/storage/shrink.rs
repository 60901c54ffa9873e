//! Wishes for less than there is, and devices that have less than what is on them. Nothing is written, whatever the wish: the disks
//! below are the same to the byte after each.

use anyhow::{Context, Result, ensure};
use glrl_lab::Node;
use serde_json::Value;

use super::levels::start;
use crate::node::glrl::{Said, nothing_left, said, write};

/// One of each that has a size; the second disk has a part of the striped volume.
const MADE: &str = "
  - volume_group: { name: less, devices: [ONE, OTHER] }
  - logical_volume: { name: plain, volume_group: less, size: 100MiB }
  - filesystem: { device: /dev/less/plain, type: ext4, label: plain }
  - logical_volume: { name: striped, volume_group: less, size: 64MiB, stripes: 2 }
  - volume_group: { name: thin, devices: [THIRD] }
  - logical_volume: { name: pool, volume_group: thin, size: 100MiB, type: thin-pool, metadata_size: 8MiB }
  - logical_volume: { name: thin, volume_group: thin, size: 80MiB, thin_pool: pool }
  - logical_volume: { name: swap, volume_group: less, size: 64MiB }
  - swap: { path: /dev/less/swap }
  - swap: { path: /root/swap, size: 64MiB }
";

/// A resource, the wish, and what is said of it; nothing where all is as declared.
type Wish = (&'static str, &'static str, &'static str);

/// The least a thing is to have is less than it has.
const MINIMUMS: [Wish; 8] = [
    (
        "volume_group:less",
        "volume_group: { name: less, devices: [ONE] }",
        "a physical volume that is not declared, and keeps it",
    ),
    (
        "logical_volume:less/plain",
        "logical_volume: { name: plain, volume_group: less, size: 50MiB }",
        "less/plain has 100MiB, more than the declared 50MiB",
    ),
    (
        "filesystem:/dev/less/plain",
        "filesystem: { device: /dev/less/plain, type: ext4 }",
        "",
    ),
    (
        "logical_volume:less/swap",
        "logical_volume: { name: swap, volume_group: less, size: 5%VG }",
        "less/swap has 64MiB, more than the declared 5%VG",
    ),
    (
        "logical_volume:less/striped",
        "logical_volume: { name: striped, volume_group: less, size: 9MiB, stripes: 2 }",
        "less/striped has 64MiB, more than the declared 9MiB",
    ),
    (
        "logical_volume:thin/pool",
        "logical_volume: { name: pool, volume_group: thin, size: 40MiB, type: thin-pool, metadata_size: 3MiB }",
        "the metadata of thin/pool have 8MiB, more than the declared 3MiB",
    ),
    (
        "logical_volume:thin/thin",
        "logical_volume: { name: thin, volume_group: thin, size: 20MiB, thin_pool: pool }",
        "thin/thin has 80MiB, more than the declared 20MiB",
    ),
    (
        "swap:/root/swap",
        "swap: { path: /root/swap, size: 20MiB }",
        "/root/swap has 64MiB, more than the declared 20MiB",
    ),
];

/// The same, as the size that it is to have exactly.
const EXACTLY: [Wish; 5] = [
    (
        "logical_volume:less/plain",
        "logical_volume: { name: plain, volume_group: less, size: 50MiB, exact: true }",
        "less/plain has 100MiB, more than the 52MiB that it is to have exactly",
    ),
    (
        "logical_volume:less/swap",
        "logical_volume: { name: swap, volume_group: less, size: 5%VG, exact: true }",
        "less/swap has 64MiB, more than the",
    ),
    (
        "logical_volume:less/striped",
        "logical_volume: { name: striped, volume_group: less, size: 9MiB, stripes: 2, exact: true }",
        "less/striped has 64MiB, more than the 16MiB",
    ),
    (
        "logical_volume:thin/pool",
        "logical_volume: { name: pool, volume_group: thin, size: 40MiB, type: thin-pool, exact: true }",
        "thin/pool has 100MiB, more than the 40MiB",
    ),
    (
        "logical_volume:thin/thin",
        "logical_volume: { name: thin, volume_group: thin, size: 20MiB, thin_pool: pool, exact: true }",
        "thin/thin has 80MiB, more than the 20MiB",
    ),
];

/// What it has is what is declared, rounded up to extents.
const ROUNDED: [Wish; 1] = [(
    "logical_volume:less/plain",
    "logical_volume: { name: plain, volume_group: less, size: 97MiB, exact: true }",
    "",
)];

/// A volume has been cut below what is on it.
const CUT_VOLUMES: [Wish; 2] = [
    (
        "filesystem:/dev/less/plain",
        "filesystem: { device: /dev/less/plain, type: ext4 }",
        "spans 100MiB, but its device has only 60MiB: a part of it is cut off",
    ),
    (
        "swap:/dev/less/swap",
        "swap: { path: /dev/less/swap }",
        "spans 64MiB, but its device has only 32MiB",
    ),
];

/// The second disk has been cut to less than its volume group has of it.
const CUT_DISK: [[Wish; 1]; 4] = [
    [(
        "volume_group:less",
        "volume_group: { name: less, devices: [ONE, OTHER] }",
        "OTHER has room for 56MiB of data, but as a part of less it holds 116MiB: the disk has shrunk",
    )],
    [(
        "volume_group:less",
        "volume_group: { name: less, devices: [ONE] }",
        "OTHER has room for 56MiB of data, but as a part of less it holds 116MiB: the disk has shrunk",
    )],
    [(
        "logical_volume:less/new",
        "logical_volume: { name: new, volume_group: less, size: 8MiB }",
        "OTHER has room for 56MiB of data",
    )],
    [(
        "logical_volume:less/plain",
        "logical_volume: { name: plain, volume_group: less, size: 120MiB }",
        "OTHER has room for 56MiB of data",
    )],
];

#[test]
fn nothing_is_made_smaller() -> Result<()> {
    let lab = start(1)?;
    let node = &lab["backup"];
    let wished = Wished {
        node,
        one: disk(node, "one", "240M")?,
        other: disk(node, "other", "120M")?,
        third: disk(node, "third", "160M")?,
    };
    wished.role(MADE)?;
    let made = said(node, "converge --role /root/less.yml")?;
    ensure!(made.status == 0, "it was not made: {}", made.status);
    nothing_left(node, "/root/less.yml")?;
    // Else the kernel may write to it.
    node.run("swapoff /dev/less/swap && sed -i '/less.swap/d' /etc/fstab")?;

    let before = sum(node)?;
    wished.are(&MINIMUMS, "unchanged", &before)?;
    // One after the other: the thin volume needs its pool.
    for wish in EXACTLY.chunks(4) {
        wished.are(wish, "refused", &before)?;
    }
    wished.are(&ROUNDED, "unchanged", &before)?;

    node.run("lvreduce -qq --yes --force -L 60M less/plain && lvreduce -qq --yes --force -L 32M less/swap")?;
    wished.are(&CUT_VOLUMES, "refused", &sum(node)?)?;
    node.run("lvextend -qq -L 100M less/plain && lvextend -qq -L 64M less/swap")?;

    node.run(&format!(
        "truncate -s 60M /root/other && losetup --set-capacity {}",
        wished.other
    ))?;
    let before = sum(node)?;
    for wish in &CUT_DISK {
        wished.are(wish, "refused", &before)?;
    }
    wished.are(&MINIMUMS[1..3], "unchanged", &before)?;
    node.run(&format!(
        "truncate -s 120M /root/other && losetup --set-capacity {}",
        wished.other
    ))?;

    // With its size back, all is as it was made.
    wished.role(MADE)?;
    let again = said(node, "converge --role /root/less.yml")?;
    ensure!(again.status == 0, "it is not as before: {}", again.status);
    node.run("e2fsck -fn /dev/less/plain && test $(stat --format %s /root/swap) = $((64 << 20))")
        .map(drop)
}

fn disk(node: &Node, name: &str, size: &str) -> Result<String> {
    let device = node.run(&format!(
        "truncate -s {size} /root/{name} && losetup --find --show /root/{name}"
    ))?;
    Ok(device.trim().to_owned())
}

/// Of all that is on the disks, zeros left out.
fn sum(node: &Node) -> Result<String> {
    node.run(
        "sync; cd /root && tar --create --sparse --hole-detection=raw --mtime=@0 --file=- one other third | sha256sum",
    )
}

struct Wished<'n> {
    node: &'n Node,
    one: String,
    other: String,
    third: String,
}

impl Wished<'_> {
    fn named(&self, text: &str) -> String {
        text.replace("ONE", &self.one)
            .replace("OTHER", &self.other)
            .replace("THIRD", &self.third)
    }

    fn role(&self, resources: &str) -> Result<()> {
        write(
            self.node,
            "/root/less.yml",
            &self.named(&format!("role: less\nresources:{resources}")),
        )
    }

    /// Plan and converge say the same of these wishes, and the disks stay what they were.
    fn are(&self, wishes: &[Wish], outcome: &str, before: &str) -> Result<()> {
        let resources: Vec<String> = wishes.iter().map(|(_, wish, _)| format!("\n  - {wish}")).collect();
        self.role(&resources.concat())?;
        for (command, event) in [("plan", "planned"), ("converge", "applied")] {
            let said = said(self.node, &format!("{command} --role /root/less.yml"))?;
            let status = if outcome == "refused" { 3 } else { 0 };
            ensure!(said.status == status, "{command} ended with {}", said.status);
            for (id, _, words) in wishes {
                self.is(&said, event, id, outcome, words)
                    .with_context(|| format!("{command} of {id}"))?;
            }
        }
        ensure!(sum(self.node)? == before, "something was written");
        Ok(())
    }

    fn is(&self, said: &Said, event: &str, id: &str, outcome: &str, words: &str) -> Result<()> {
        let outcomes = said.outcomes(event);
        let event = outcomes.get(id).context("nothing is said of it")?;
        ensure!(event["outcome"] == outcome, "it says {event}");
        let text = if outcome == "refused" {
            &event["error"]
        } else {
            &event["warnings"]
        };
        match words {
            "" => ensure!(*text == Value::Null, "it says {event}"),
            words => ensure!(text.to_string().contains(&self.named(words)), "it says {event}"),
        }
        Ok(())
    }
}
