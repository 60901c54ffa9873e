//! The matrix: everything a disk can carry against everything a role can want of it, on real disks, as `matrix.yml` has it.

use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};
use serde::Deserialize;
use serde_json::Value;

use super::glrl::{LIMIT, Said, install, write};
use crate::support;

/// The packages of storage, and what makes the things that a disk can carry. Nothing is put together, woken up or swapped to but by the
/// test, and udev does not look again at a disk whenever one who wrote to it is done: that is half of an emulated node's time.
const PREPARED: &str = r#"DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        btrfs-progs cryptsetup-bin dosfstools fdisk gdisk lvm2 mdadm xfsprogs > /dev/null || exit
    for rules in 69-lvm 63-md-raid-arrays 64-md-raid-assembly; do ln -s /dev/null /etc/udev/rules.d/$rules.rules; done
    echo 'KERNEL=="vd[b-z]*|dm-*|md*", OPTIONS+="nowatch"' > /etc/udev/rules.d/99-nowatch.rules
    echo vm.swappiness=0 > /etc/sysctl.d/quiet.conf; sysctl -q --system
    cp /etc/fstab /root/fstab; mkdir -p /mnt/there"#;

/// mkfs.xfs wants 300 MiB.
const SIZE: u64 = 400 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Matrix {
    wishes: Vec<Wish>,
    contents: Vec<Content>,
    table: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    want: String,
    resources: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    is: String,
    #[serde(default = "nothing")]
    make: String,
    #[serde(default = "disk")]
    device: String,
    #[serde(default)]
    names: Vec<String>,
}

fn nothing() -> String {
    "true".to_owned()
}

fn disk() -> String {
    "/dev/disk/by-id/virtio-data".to_owned()
}

/// Finds empty disks again, whatever the last content and wish have made of them. Volume groups go with the disks' contents.
const CLEAN: &str = "
    D=/dev/disk/by-id/virtio-data O=/dev/disk/by-id/virtio-other
    while read -r _ at _; do case $at in /mnt/*) umount $at || exit ;; esac; done < /proc/self/mounts
    swapoff --all && cp /root/fstab /etc/fstab && rm -rf /var/lib/glrl /run/lvm/*_online/*
    grep -q ^md /proc/mdstat && mdadm --quiet --stop --scan
    dmsetup remove_all && blockdev --setrw $D
    blkdiscard --force $D && blkdiscard --force $O && blockdev --flushbufs --rereadpt $D && udevadm settle || exit
    quiet() { fsfreeze --freeze /mnt/there && fsfreeze --unfreeze /mnt/there; }";

#[test]
fn every_content_against_every_wish() -> Result<()> {
    let matrix: Matrix = support::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/matrix.yml"))
        .map_err(|mistakes| anyhow!(mistakes))?;
    let table = matrix.table()?;
    let lab = Lab::start([NodeSpec::new("backup")
        .disk(Disk::sized("data", SIZE))
        .disk(Disk::sized("other", 64 << 20))
        .prepared(PREPARED)])?;
    let node = &lab["backup"];
    install(node)?;
    for Wish { want, resources } in &matrix.wishes {
        let inputs =
            ["device", "signature", "uuid"].map(|name| format!("  {name}: {{ type: string, optional: true }}\n"));
        let role = format!("role: wish\ninputs:\n{}resources:\n{resources}", inputs.concat());
        write(node, &format!("/root/wishes/{want}.yml"), &role)?;
    }
    let mut wrong = Vec::new();
    println!("{}", matrix.table.lines().next().unwrap_or_default());
    for (content, (line, written)) in matrix.contents.iter().zip(&table) {
        let row = Row { node, content };
        let found = match row.against(&matrix.wishes, written) {
            Ok(found) => found,
            Err(error) => {
                println!("  {}: {error:#}", content.is);
                wrong.push(format!("{}: {error:#}", content.is));
                continue;
            }
        };
        println!("{line}");
        for ((wish, written), found) in matrix.wishes.iter().zip(written).zip(found) {
            if !found.as_ref().is_ok_and(|found| found == written) {
                println!("  {}: {found:?}", wish.want);
                wrong.push(format!(
                    "{} against {}: {found:?}, not {written}",
                    content.is, wish.want
                ));
            }
        }
    }
    println!("\n{}", matrix.table);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

impl Matrix {
    /// The table, a line for each content: as it is written, and its outcomes.
    fn table(&self) -> Result<Vec<(&str, Vec<&str>)>> {
        let mut lines = self.table.lines();
        let header = lines.next().unwrap_or_default();
        let wishes: Vec<&str> = self.wishes.iter().map(|wish| wish.want.as_str()).collect();
        ensure!(
            header.split_whitespace().eq(wishes.iter().copied()),
            "the table's header is {header}"
        );
        let start = header.len() - header.trim_start().len();
        let rows: Vec<_> = lines
            .map(|line| (line, line[start..].split_whitespace().collect::<Vec<_>>()))
            .collect();
        let names = rows.iter().map(|(line, _)| line[..start].trim());
        ensure!(
            names.eq(self.contents.iter().map(|content| content.is.as_str())),
            "the table has other contents"
        );
        ensure!(
            rows.iter().all(|(_, outcomes)| outcomes.len() == wishes.len()),
            "a line has too few outcomes"
        );
        Ok(rows)
    }
}

/// A content on its node.
struct Row<'a> {
    node: &'a Node,
    content: &'a Content,
}

impl Row<'_> {
    /// What comes of each wish. Those that are to leave the disk alone are tried one after the other on the same one.
    fn against(&self, wishes: &[Wish], written: &[&str]) -> Result<Vec<Result<&'static str>>> {
        self.make()?;
        let before = checksum(self.node)?;
        let harmless = |written: &str| !matches!(written, "create" | "grow");
        let mut found: Vec<Option<Result<&'static str>>> = Vec::new();
        for (wish, written) in wishes.iter().zip(written) {
            found.push(harmless(written).then(|| self.converge(wish)));
        }
        if checksum(self.node)? != before {
            let written = || {
                Err(anyhow!(
                    "one of the wishes that are to leave the disk alone has written to it"
                ))
            };
            found = found.into_iter().map(|found| found.map(|_| written())).collect();
        }
        let mut fresh = true;
        let mut all = Vec::new();
        for (wish, found) in wishes.iter().zip(found) {
            all.push(if let Some(found) = found {
                found
            } else {
                if !std::mem::take(&mut fresh) {
                    self.make()?;
                }
                self.converge(wish)
            });
        }
        Ok(all)
    }

    /// Puts the content on the empty disk.
    fn make(&self) -> Result<()> {
        let Content { make, device, .. } = self.content;
        let done = self.node.run(&format!(
            "{CLEAN}\n{make} && udevadm settle || exit
             {{ blkid -p -o value -s TYPE -s PTTYPE {device} | tail -1; blkid -p -o value -s UUID -s PTUUID {device} | tail -1; }} > /root/found"
        ));
        done.map(drop)
    }

    /// Converges a wish; where that changes something, nothing may be left to do.
    fn converge(&self, wish: &Wish) -> Result<&'static str> {
        let Content { device, names, .. } = self.content;
        let run = format!(
            "{{ read -r signature; read -r uuid; }} < /root/found
             wish=\"--role /root/wishes/{}.yml --set device={device} --set signature=$signature --set uuid=$uuid\"",
            wish.want
        );
        let output = self
            .node
            .ssh_within(&format!("{run}\nglrl converge $wish --json"), LIMIT)?;
        let converge = Said::parse(&output)?;
        let text = format!("{}{}", output.stdout, output.stderr);
        let applied = converge.outcomes("applied");
        let changed: Vec<&Value> = applied.values().filter(|event| event["outcome"] == "changed").collect();
        let grows = |event: &&Value| event["action"] == "update" && event["changes"].to_string().contains("size");
        match converge.status {
            0 if changed.is_empty() => return Ok("keep"),
            0 => {}
            1 if text.contains("there is no device") => return Ok("absent"),
            3 if names.iter().any(|name| text.contains(name)) => return Ok("refuse"),
            3 => bail!("none of {names:?} is named: {text}"),
            status => bail!("it ended with {status}: {text}"),
        }
        let left = self
            .node
            .ssh_within(&format!("{run}\nglrl plan $wish --detailed-exitcode"), LIMIT)?;
        ensure!(left.status == 0, "something is left: {}{}", left.stdout, left.stderr);
        Ok(if changed.iter().all(grows) { "grow" } else { "create" })
    }
}

/// A checksum of all that both disks hold, by the files that QEMU has of them.
fn checksum(node: &Node) -> Result<String> {
    node.run("sync /dev/disk/by-id/virtio-data /dev/disk/by-id/virtio-other")?;
    let directory = tempfile::tempdir()?;
    let mut all = String::new();
    for serial in ["data", "other"] {
        let copy = directory.path().join(serial);
        node.copy_disk(serial, &copy)?;
        all += &support::hash(&copy)?;
    }
    Ok(all)
}
