//! Volumes: free extents with a past, striped and thin ones, and one that is protected.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::{
    super::{
        glrl::{glrl, nothing_left, plan_is_what_happened, said, write},
        killed::deadly,
    },
    levels::CHAIN,
};

/// lvcreate is not told to wipe what a removed volume has left; the operator is told how.
pub(super) fn free_extents_with_a_past_are_refused(node: &Node) -> Result<()> {
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

/// What is left of a group after striped volumes, a pool and its metadata is predicted to the extent: half of it goes to another volume.
pub(super) fn striped_and_thin_volumes_are_foreseen(node: &Node) -> Result<()> {
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
pub(super) fn what_is_protected_outlives_its_block(node: &Node) -> Result<()> {
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
