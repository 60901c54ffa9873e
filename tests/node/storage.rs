//! Storage where it can only be seen whole: device-mapper, a disk that grows under a running machine, runs that are killed after each of
//! their programs, and a power cut.

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};

use super::{
    glrl::{PREPARED, glrl, install, nothing_left, plan_is_what_happened, said, write},
    killed::deadly,
};

const CHAIN: &str = "role: chain
resources:
  - volume_group: { name: data, devices: [/dev/disk/by-id/virtio-data] }
  - logical_volume: { name: srv, volume_group: data, size: 50%VG }
  - filesystem: { device: /dev/data/srv, type: xfs, label: srv }
  - mount: { path: /srv/files, device: /dev/data/srv, options: [noatime] }
  - directory: { path: /srv/files/in, mode: \"0750\" }
  - nfs_export: { path: /srv/files, clients: { 127.0.0.1: [rw, no_root_squash, insecure] } }
";

const CLIENT: &str = "role: client
resources:
  - mount: { path: /mnt/files, device: \"127.0.0.1:/srv/files\", options: [vers=4.2], wait: 2m }
";

#[test]
fn a_chain_is_taken_up_wherever_it_was_cut() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("backup")
        .disk(Disk::sized("data", 2 << 30))
        .prepared(PREPARED)])?;
    let node = &lab["backup"];
    install(node)?;
    write(node, "/root/chain.yml", CHAIN)?;
    write(node, "/root/client.yml", CLIENT)?;
    killed_after_each_program(node)?;
    grows_with_its_disk(node)?;
    free_extents_with_a_past_are_refused(node)?;
    striped_and_thin_volumes_are_foreseen(node)?;
    what_is_protected_outlives_its_block(node)?;
    a_server_is_waited_for(node)?;
    what_cannot_be_read_is_refused(node)?;
    swap_is_taken_up_wherever_it_was_cut(node)?;
    a_power_cut_leaves_it_as_declared(node)
}

/// Each run is killed after one more program; what the plan said before the first is what the runs do together.
fn killed_after_each_program(node: &Node) -> Result<()> {
    let plan = said(node, "plan --role /root/chain.yml")?;
    ensure!(
        plan.with("planned", "changed").len() == 6,
        "the plan is not the whole chain"
    );
    let programs = ["vgcreate", "lvcreate", "mkfs.xfs", "mount", "systemctl", "exportfs"];
    for program in programs {
        deadly(node, program)?;
    }
    for program in programs {
        let output = glrl(node, "converge --role /root/chain.yml")?;
        ensure!(!output.success(), "the run was to be killed after {program}");
        let there = node.ssh(&format!("test -e /usr/local/sbin/{program}"))?.success();
        ensure!(!there, "the run ended before {program}: {}", output.stderr);
    }
    let last = said(node, "converge --role /root/chain.yml")?;
    ensure!(last.status == 0, "the last run ended with {}", last.status);
    nothing_left(node, "/root/chain.yml")?;
    node.run("findmnt --noheadings --output OPTIONS /srv/files | grep noatime && exportfs | grep /srv/files")?;
    node.run("test \"$(grep --count /srv/files /etc/fstab)\" = 1 && dd if=/dev/urandom of=/srv/files/in/kept bs=1M count=20 status=none")?;
    Ok(())
}

/// pvresize, lvextend and `xfs_growfs`: each killed once, each taken up, and the data is what it was.
fn grows_with_its_disk(node: &Node) -> Result<()> {
    let before = node.run("sha256sum /srv/files/in/kept")?;
    node.grow_disk("data", 3 << 30)?;
    let plan = said(node, "plan --role /root/chain.yml")?;
    let grown = [
        "filesystem:/dev/data/srv",
        "logical_volume:data/srv",
        "volume_group:data",
    ];
    let mut planned = plan.with("planned", "changed");
    planned.sort();
    ensure!(planned == grown, "the plan is to change {planned:?}");
    for program in ["pvresize", "lvextend", "xfs_growfs"] {
        deadly(node, program)?;
        ensure!(
            !glrl(node, "converge --role /root/chain.yml")?.success(),
            "{program} did not kill the run"
        );
    }
    nothing_left(node, "/root/chain.yml")?;
    ensure!(
        node.run("sha256sum /srv/files/in/kept")? == before,
        "the data is not what it was"
    );

    // And in one piece, as the plan says.
    node.grow_disk("data", 4 << 30)?;
    let plan = said(node, "plan --role /root/chain.yml")?;
    let converge = said(node, "converge --role /root/chain.yml")?;
    plan_is_what_happened(&plan, &converge)?;
    nothing_left(node, "/root/chain.yml")?;
    let size: u64 = node
        .run("findmnt --bytes --noheadings --output SIZE /srv/files")?
        .trim()
        .parse()
        .context("a size")?;
    ensure!(size > 1900 << 20, "the filesystem has only {size} bytes");
    ensure!(
        node.run("sha256sum /srv/files/in/kept")? == before,
        "the data is not what it was"
    );
    Ok(())
}

/// lvcreate is not told to wipe what a removed volume has left; the operator is told how.
fn free_extents_with_a_past_are_refused(node: &Node) -> Result<()> {
    node.run(
        "lvcreate -qq --yes -l 30 -n old data && mkfs.ext4 -q -L precious /dev/data/old && lvremove -qq --yes data/old",
    )?;
    let role = CHAIN.replace(
        "resources:\n",
        "resources:\n  - logical_volume: { name: new, volume_group: data, size: 120MiB }\n",
    );
    write(node, "/root/more.yml", &role)?;
    let refused = glrl(node, "converge --role /root/more.yml")?;
    ensure!(refused.status == 3, "it ended with {}", refused.status);
    let text = format!("{}{}", refused.stdout, refused.stderr).replace("\n  ", " ");
    ensure!(text.contains("ext4 signature"), "it does not say what is there: {text}");
    ensure!(!node.ssh("test -e /dev/data/new")?.success(), "the volume was made");
    // Nothing of it was written: the volume that was removed comes back as it was.
    node.run("lvcreate -qq --wipesignatures n --zero n -l 30 -n back data && e2fsck -fn /dev/data/back && lvremove -qq --yes data/back")?;
    node.run("lvcreate --yes --wipesignatures y --zero y --extents 30 --name new data")?;
    nothing_left(node, "/root/more.yml")?;
    node.run("lvremove -qq --yes data/new").map(drop)
}

/// What is left of a group after striped volumes, a pool and its metadata is foreseen to the extent: half of it goes to another volume.
fn striped_and_thin_volumes_are_foreseen(node: &Node) -> Result<()> {
    let device = || node.run("file=$(mktemp) && truncate -s 400M $file && losetup --find --show $file");
    let (one, other) = (device()?, device()?);
    let role = |striped: &str, pool: &str, thin: &str, rest: &str| {
        format!(
            "role: two\nresources:\n  \
               - volume_group: {{ name: two, devices: [{}, {}] }}\n  \
               - logical_volume: {{ name: striped, volume_group: two, size: {striped}, stripes: 2 }}\n  \
               - filesystem: {{ device: /dev/two/striped, type: ext4 }}\n  \
               - mount: {{ path: /srv/striped, device: /dev/two/striped }}\n  \
               - logical_volume: {{ name: pool, volume_group: two, size: {pool}, type: thin-pool }}\n  \
               - logical_volume: {{ name: thin, volume_group: two, size: {thin}, thin_pool: pool }}\n  \
               - filesystem: {{ device: /dev/two/thin, type: ext4 }}\n  \
               - mount: {{ path: /srv/thin, device: /dev/two/thin }}\n  \
               - logical_volume: {{ name: {rest}, volume_group: two, size: 50%FREE }}\n",
            one.trim(),
            other.trim()
        )
    };
    for (n, (striped, pool, thin)) in [("101MiB", "100MiB", "300MiB"), ("149MiB", "160MiB", "500MiB")]
        .into_iter()
        .enumerate()
    {
        write(node, "/root/two.yml", &role(striped, pool, thin, &format!("rest{n}")))?;
        let plan = said(node, "plan --role /root/two.yml")?;
        let converge = said(node, "converge --role /root/two.yml")?;
        ensure!(converge.status == 0, "it ended with {}", converge.status);
        plan_is_what_happened(&plan, &converge)?;
        nothing_left(node, "/root/two.yml")?;
    }
    node.run("lvs --noheadings -o stripes two/striped | grep -w 2 && df --block-size=1M --output=size /srv/thin | tail -1 | grep -E '4[0-9][0-9]'")?;
    node.run(&format!(
        "umount /srv/striped /srv/thin && sed -i '/\\/srv\\/\\(striped\\|thin\\)/d' /etc/fstab && vgremove -qq --yes two && \
         for device in {} {}; do wipefs -qa $device && losetup --detach $device; done",
        one.trim(),
        other.trim()
    ))
    .map(drop)
}

/// A run dies with mkfs; what it made is protected, though no role declares it any more, until one lets it go.
fn what_is_protected_outlives_its_block(node: &Node) -> Result<()> {
    let with = |filesystem: &str| {
        let volume = "  - logical_volume: { name: kept, volume_group: data, size: 320MiB }\n";
        format!("{CHAIN}{volume}{filesystem}")
    };
    let made = "  - filesystem: { device: /dev/data/kept, type: ext4 }\n    protect: true\n";
    write(node, "/root/kept.yml", &with(made))?;
    deadly(node, "mkfs.ext4")?;
    ensure!(
        !glrl(node, "converge --role /root/kept.yml")?.success(),
        "the run was to be killed"
    );
    let uuid = node.run("blkid -p -o value -s UUID /dev/data/kept")?;
    let before = node.run("sha256sum /dev/data/kept")?;

    let plan = said(node, "plan --role /root/chain.yml")?;
    ensure!(
        plan.status == 0 && plan.outcomes("orphan").contains_key("filesystem:/dev/data/kept"),
        "it is not listed"
    );
    let wipe = format!("wipe: {{ signature: ext4, uuid: \"{}\" }}", uuid.trim());
    let other = format!("  - filesystem: {{ device: /dev/data/kept, type: xfs, {wipe} }}\n");
    write(node, "/root/kept.yml", &with(&other))?;
    let refused = glrl(node, "converge --role /root/kept.yml")?;
    ensure!(refused.status == 3, "it ended with {}", refused.status);
    ensure!(node.run("sha256sum /dev/data/kept")? == before, "something was written");

    write(node, "/root/kept.yml", &with(&format!("{other}    protect: false\n")))?;
    let converge = said(node, "converge --role /root/kept.yml")?;
    ensure!(converge.status == 0, "it ended with {}", converge.status);
    node.run("blkid -p -o value -s TYPE /dev/data/kept | grep xfs && wipefs -qa /dev/data/kept && lvremove -qq --yes data/kept")
        .map(drop)
}

/// The export comes ten seconds after the client begins to ask for it.
fn a_server_is_waited_for(node: &Node) -> Result<()> {
    node.run("exportfs -ua")?;
    node.run("nohup sh -c 'sleep 10; exportfs -ra' > /dev/null 2>&1 < /dev/null &")?;
    let converge = said(node, "converge --role /root/client.yml")?;
    ensure!(converge.status == 0, "it ended with {}", converge.status);
    nothing_left(node, "/root/client.yml")?;

    // Other options take another mount; somebody who is inside is named, and keeps the old one.
    write(
        node,
        "/root/client.yml",
        &CLIENT.replace("vers=4.2", "vers=4.2, soft, timeo=100"),
    )?;
    node.run("(cd /mnt/files && exec sleep 600) > /dev/null 2>&1 < /dev/null & echo $! > /tmp/sleeper; sleep 1")?;
    let busy = glrl(node, "converge --role /root/client.yml")?;
    let text = format!("{}{}", busy.stdout, busy.stderr);
    ensure!(
        busy.status == 1 && text.contains("sleep (pid"),
        "who is inside is not named: {text}"
    );
    node.run("mountpoint /mnt/files && kill $(cat /tmp/sleeper); sleep 1")?;
    let converge = said(node, "converge --role /root/client.yml")?;
    ensure!(converge.status == 0, "it ended with {}", converge.status);
    node.run(
        "grep ' /mnt/files ' /proc/self/mountinfo | grep soft && grep ' /mnt/files ' /etc/fstab | grep soft,timeo=100",
    )?;
    nothing_left(node, "/root/client.yml")?;

    write(node, "/root/client.yml", &CLIENT.replace("wait: 2m", "state: absent"))?;
    let converge = said(node, "converge --role /root/client.yml")?;
    ensure!(converge.status == 0, "it ended with {}", converge.status);
    ensure!(
        !node.run("cat /etc/fstab")?.contains("/mnt/files"),
        "fstab still has it"
    );
    Ok(())
}

/// Errors at either end of a disk, and a disk that is a part of another device.
fn what_cannot_be_read_is_refused(node: &Node) -> Result<()> {
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

const SWAP: &str = "role: swap
resources:
  - swap: { path: /swap, size: 64MiB, priority: 5 }
  - logical_volume: { name: swap, volume_group: data, size: 64MiB }
  - swap: { path: /dev/data/swap }
";

/// A run is killed after each program that makes swap; what is left of a file is not taken for swap.
fn swap_is_taken_up_wherever_it_was_cut(node: &Node) -> Result<()> {
    write(node, "/root/swap.yml", SWAP)?;
    for program in ["dd", "mkswap", "mv", "swapon", "mkswap", "swapon"] {
        deadly(node, program)?;
        ensure!(
            !glrl(node, "converge --role /root/swap.yml")?.success(),
            "{program} did not kill the run"
        );
    }
    let last = said(node, "converge --role /root/swap.yml")?;
    ensure!(last.status == 0, "the last run ended with {}", last.status);
    nothing_left(node, "/root/swap.yml")?;
    node.run("test ! -e /swap.glrl-unfinished && test $(grep -c ' none swap ' /etc/fstab) = 2")
        .map(drop)
}

fn a_power_cut_leaves_it_as_declared(node: &Node) -> Result<()> {
    let before = node.run("sync; sha256sum /srv/files/in/kept")?;
    node.power_cut();
    node.boot()?;
    nothing_left(node, "/root/chain.yml")?;
    nothing_left(node, "/root/swap.yml")?;
    ensure!(
        node.run("sha256sum /srv/files/in/kept")? == before,
        "the data is not what it was"
    );
    Ok(())
}
