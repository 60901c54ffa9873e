//! NFS servers that go away, and that come back as another.

use std::time::Instant;

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::{EXPORT, SERVER, client, disk, glrl, nothing_left, role, said};

/// Converges a role of which one resource needs nothing of the server; says what was told, on one line.
fn converge(node: &Node, resources: &str, status: i32, seconds: u64) -> Result<String> {
    role(
        node,
        &format!(
            "{resources}  - file: {{ path: /root/independent, content: \"{}\" }}\n",
            resources.len()
        ),
    )?;
    node.run("rm -f /root/independent")?;
    let begun = Instant::now();
    let ended = glrl(node, "converge --role /root/role.yml")?;
    let text = format!("{}{}", ended.stdout, ended.stderr);
    ensure!(begun.elapsed().as_secs() < seconds, "it took {:?}", begun.elapsed());
    ensure!(ended.status == status, "it ended with {}: {text}", ended.status);
    node.run("test -e /root/independent")?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The server's address goes away under a hard mount, as in a power cut: nobody on the wire answers to it.
pub(super) fn one_that_is_gone_is_named(node: &Node) -> Result<()> {
    node.run(&format!(
        "ip address del {SERVER}/32 dev lo; ip route add {SERVER}/32 dev eth0"
    ))?;
    let below = "  - directory: { path: /mnt/files/below }\n";
    let text = converge(node, &format!("{}{below}", client("vers=4.2")), 1, 90)?;
    let silent = format!("the server of {SERVER}:/srv/files, mounted on /mnt/files, has not answered for 10 s");
    ensure!(
        text.contains(&silent) && text.contains("mount:/mnt/files"),
        "it is not named: {text}"
    );
    ensure!(
        text.contains("needs mount:/mnt/files"),
        "what is below was looked at: {text}"
    );
    // Without its mount in the role.
    let text = converge(node, below, 1, 60)?;
    ensure!(
        text.contains(&silent) && text.contains("directory:/mnt/files/below"),
        "it is not named: {text}"
    );

    // Not mounted yet, for as long as it waits and one try more.
    let absent = client("vers=4.2").replace(" }", ", state: absent }");
    // It is gone at once; umount.nfs goes on waiting.
    node.run("timeout --signal=KILL 5 umount -f -l /mnt/files; ! grep ' /mnt/files ' /proc/self/mountinfo")?;
    let waiting = client("vers=4.2").replace(" }", ", wait: 5s }");
    let text = converge(node, &waiting, 1, 75)?;
    let away = format!("{SERVER}:/srv/files could not be mounted within 5 s");
    ensure!(
        text.contains(&away) && text.contains("mount:/mnt/files"),
        "it is not named: {text}"
    );
    node.run("! mountpoint --quiet /mnt/files")?;

    node.run(&format!(
        "ip route del {SERVER}/32 dev eth0; ip address add {SERVER}/32 dev lo"
    ))?;
    converge(node, &client("vers=4.2"), 0, 90)?;
    nothing_left(node, "/root/role.yml")?;

    // Its programs end, and their port is closed.
    node.run("systemctl stop nfs-server")?;
    let text = converge(node, &absent, 1, 60)?;
    ensure!(
        text.contains("umount -f -l /mnt/files lets go"),
        "it is not told: {text}"
    );
    node.run("timeout --signal=KILL 5 umount -f -l /mnt/files; ! grep ' /mnt/files ' /proc/self/mountinfo")?;
    converge(node, &absent, 0, 60)?;
    converge(node, &waiting, 1, 75)?;
    node.run("systemctl start nfs-server").map(drop)
}

/// The server's filesystem is made anew under the mount.
pub(super) fn a_stale_handle_is_refused(node: &Node) -> Result<()> {
    converge(node, &client("vers=4.2"), 0, 90)?;
    node.run(
        "ls /mnt/files && systemctl stop nfs-server && umount /srv/files && mkfs.xfs -q -f /dev/disk/by-id/virtio-data",
    )?;
    role(node, &format!("{}{EXPORT}", disk("")))?;
    let server = said(node, "converge --role /root/role.yml")?;
    ensure!(server.status == 0, "there is no server: {}", server.status);
    node.run("systemctl start nfs-server && exportfs -ra")?;
    let text = converge(node, &client("vers=4.2"), 3, 60)?;
    let stale = format!("{SERVER}:/srv/files on /mnt/files is a stale handle");
    ensure!(
        text.contains(&stale) && text.contains("umount /mnt/files"),
        "it is not told: {text}"
    );
    node.run("umount /mnt/files")?;
    converge(node, &client("vers=4.2"), 0, 90)?;
    nothing_left(node, "/root/role.yml")?;
    node.run("umount /mnt/files").map(drop)
}
