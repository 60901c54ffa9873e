//! A client of an export: it waits for its server, and follows changed options.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::super::glrl::{glrl, nothing_left, said, write};

const CLIENT: &str = "role: client
resources:
  - mount: { path: /mnt/files, device: \"127.0.0.1:/srv/files\", options: [vers=4.2], wait: 2m }
";

/// The export comes ten seconds after the client begins to ask for it.
pub(super) fn a_server_is_waited_for(node: &Node) -> Result<()> {
    write(node, "/root/client.yml", CLIENT)?;
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
