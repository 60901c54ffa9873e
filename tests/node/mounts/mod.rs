//! Mounts and exports on a real machine: options that change under a mounted XFS and NFS, servers that go away, handles that go stale,
//! and exports files as the server reads them. The node is its own server.

mod exports;
mod servers;

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};

use super::glrl::{PREPARED, glrl, install, nothing_left, said, write};

#[test]
fn mounts_follow_their_options_and_their_servers() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("backup")
        .disk(Disk::sized("data", 1 << 30))
        .prepared(PREPARED)])?;
    let node = &lab["backup"];
    install(node)?;
    exports::are_read_as_the_server_reads_them(node)?;
    exports::are_taken_back_when_the_server_refuses_them(node)?;
    xfs_follows_its_options(node)?;
    nfs_follows_its_options(node)?;
    servers::one_that_is_gone_is_named(node)?;
    servers::a_stale_handle_is_refused(node)?;
    programs_that_hang_are_given_up(node)
}

/// The disk mounted at /srv/files with these options.
fn disk(options: &str) -> String {
    format!(
        "  - filesystem: {{ device: /dev/disk/by-id/virtio-data, type: xfs }}\n  \
           - mount: {{ path: /srv/files, device: /dev/disk/by-id/virtio-data, options: [{options}] }}\n"
    )
}

/// The server's directory mounted at /mnt/files with these options.
fn client(options: &str) -> String {
    format!("  - mount: {{ path: /mnt/files, device: \"{SERVER}:/srv/files\", options: [{options}] }}\n")
}

/// An address of the node that can be taken away from it.
const SERVER: &str = "10.9.9.9";

const EXPORT: &str = "  - nfs_export: { path: /srv/files, clients: { \"*\": [rw, no_root_squash, insecure] } }\n";

fn role(node: &Node, resources: &str) -> Result<()> {
    write(node, "/root/role.yml", &format!("role: role\nresources:\n{resources}"))
}

/// Converges, and proves that nothing is left to do and that the kernel and fstab have what is said.
fn follows(node: &Node, resources: &str, target: &str, live: &[&str], fstab: &str) -> Result<()> {
    role(node, resources)?;
    let converge = said(node, "converge --role /root/role.yml")?;
    ensure!(converge.status == 0, "{resources} ended with {}", converge.status);
    nothing_left(node, "/root/role.yml")?;
    let options = options_of(node, target)?;
    for option in live {
        ensure!(
            options.split(',').any(|shown| shown == *option),
            "{resources} has made {options}"
        );
    }
    node.run(&format!("grep --quiet ' {target} .* {fstab} 0 0$' /etc/fstab"))
        .with_context(|| format!("fstab has no {fstab}"))
        .map(drop)
}

fn options_of(node: &Node, target: &str) -> Result<String> {
    let options = node.run(&format!("findmnt --noheadings --output OPTIONS {target}"))?;
    Ok(options.trim().to_owned())
}

/// What must be as it was when nothing could be done.
fn state(node: &Node) -> Result<String> {
    node.run("cat /etc/fstab; grep -E ' /(srv|mnt)/' /proc/self/mountinfo | cut -d ' ' -f 5-")
}

/// Somebody is inside: the run names him, and leaves all as it was; when he has gone it does what it was to do.
fn busy(node: &Node, resources: &str, target: &str) -> Result<()> {
    let pid = node.run(&format!(
        "(cd {target} && exec sleep 600) > /dev/null 2>&1 < /dev/null & echo $!; sleep 1"
    ))?;
    let before = state(node)?;
    role(node, resources)?;
    let busy = glrl(node, "converge --role /root/role.yml")?;
    let text = format!("{}{}", busy.stdout, busy.stderr);
    let user = format!("sleep (pid {}", pid.trim());
    ensure!(busy.status == 1 && text.contains(&user), "{user} is not named: {text}");
    ensure!(!text.contains("systemctl stop"), "the way in is to be stopped: {text}");
    let after = state(node)?;
    ensure!(before == after, "it was\n{before}and is\n{after}");
    node.run(&format!("kill {pid}")).map(drop)
}

fn xfs_follows_its_options(node: &Node) -> Result<()> {
    let xfs = |options: &str, live: &[&str], fstab: &str| follows(node, &disk(options), "/srv/files", live, fstab);
    xfs("", &["rw", "relatime", "noquota"], "defaults")?;
    // A remount says yes to these, and does nothing; without quotas, `devices/mounts.rs` has more of them.
    xfs(
        "prjquota, logbufs=4",
        &["rw", "prjquota", "logbufs=4"],
        "prjquota,logbufs=4",
    )?;
    node.run("touch /srv/files/kept")?;
    busy(node, &disk("uquota"), "/srv/files")?;
    xfs("uquota", &["usrquota"], "uquota")?;

    xfs("", &["noquota"], "defaults")?;
    node.run("test -e /srv/files/kept").map(drop)
}

fn nfs_follows_its_options(node: &Node) -> Result<()> {
    node.run(&format!("ip address add {SERVER}/32 dev lo"))?;
    role(node, &format!("{}{EXPORT}", disk("")))?;
    ensure!(
        said(node, "converge --role /root/role.yml")?.status == 0,
        "there is no server"
    );
    let nfs = |options: &str, live: &[&str]| {
        let fstab = format!("{},_netdev,nofail,bg", options.replace(", ", ","));
        follows(node, &client(options), "/mnt/files", live, &fstab)
    };
    nfs("vers=4.2", &["rw", "vers=4.2", "hard"])?;
    nfs(
        "vers=4.1, soft, timeo=100, ro, noatime",
        &["ro", "noatime", "vers=4.1", "soft", "timeo=100"],
    )?;
    nfs(
        "vers=3, nolock, rsize=32768, wsize=65536",
        &["rw", "vers=3", "hard", "rsize=32768", "wsize=65536"],
    )?;
    busy(node, &client("vers=4.2"), "/mnt/files")?;
    nfs("vers=4.2", &["vers=4.2", "hard"])?;
    // The server does not take this; the mount that was is there again.
    let before = state(node)?;
    role(node, &client("vers=4.2, sec=krb5").replace(" }", ", wait: 1s }"))?;
    let refused = glrl(node, "converge --role /root/role.yml")?;
    ensure!(refused.status == 1, "it ended with {}", refused.status);
    let after = state(node)?;
    ensure!(before == after, "it was\n{before}and is\n{after}");
    Ok(())
}

/// Each is killed after its time, and nothing is done.
fn programs_that_hang_are_given_up(node: &Node) -> Result<()> {
    node.run("for program in blkid lvm; do printf '#!/bin/sh\\nexec sleep 600\\n' > /usr/local/sbin/$program; chmod 755 /usr/local/sbin/$program; done")?;
    node.run("truncate -s 64M /root/disk && losetup /dev/loop7 /root/disk")?;
    for (name, wish) in [
        ("blkid", "filesystem: { device: /dev/loop7, type: ext4 }"),
        ("lvm", "logical_volume: { name: new, volume_group: none, size: 20MiB }"),
    ] {
        write(
            node,
            &format!("/root/{name}.yml"),
            &format!("role: {name}\nresources:\n  - {wish}\n"),
        )?;
    }
    // Both at once, as each takes as long as it may.
    let output = node.run(
        "for program in blkid lvm; do (timeout 90 glrl plan --role /root/$program.yml > /tmp/$program 2>&1; echo \"status $?\" >> /tmp/$program) & done; \
         wait; cat /tmp/blkid /tmp/lvm; rm /usr/local/sbin/blkid /usr/local/sbin/lvm; cmp --bytes=67108864 /dev/loop7 /dev/zero && losetup --detach /dev/loop7",
    )?;
    let text = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for cause in [
        "took longer than 30 s and was killed",
        "took longer than 60 s and was killed",
    ] {
        ensure!(text.contains(cause), "there is no '{cause}': {output}");
    }
    ensure!(text.matches("status 3").count() == 2, "not both are refused: {output}");
    Ok(())
}
