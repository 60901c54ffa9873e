//! apt, and the power cut at each of its phases: the next run ends with every package whole.

use anyhow::{Result, ensure};
use glrl_lab::{Lab, Node, NodeSpec};

use super::glrl::{LIMIT, glrl, install, write};

/// Of those that a node can install: with accounts, units, conffiles, libraries, files of init, and so the triggers of ldconfig, man-db and initramfs-tools.
const PACKAGES: &str = "nfs-kernel-server lvm2 sqlite3";

const ROLE: &str = "role: packages\nresources:\n  - package: { name: '${each.value}' }\n    for_each: [nfs-kernel-server, lvm2, sqlite3]\n  \
    - service: { name: nfs-server, running: true, enabled: true }\n";

/// How far apt-get is: what dpkg is told, and what is done with it before the power is cut.
const CUTS: [(&str, &str); 5] = [
    ("*--unpack*", ":"),
    ("*--unpack*", "\"$real\" \"$@\" & sleep 0.5"),
    ("*--unpack*", "\"$real\" \"$@\""),
    ("*--configure*", "\"$real\" \"$@\" & sleep 2"),
    ("*--configure*", "\"$real\" \"$@\""),
];

#[test]
#[ignore = "takes long: make test-long"]
fn apt_is_cut_short_at_each_phase() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("packages")])?;
    let node = &lab["packages"];
    install(node)?;
    write(node, "/root/packages.yml", ROLE)?;
    for cut in CUTS {
        cut_at(node, cut)?;
        let ended = glrl(node, "converge --role /root/packages.yml")?;
        ensure!(
            ended.success(),
            "after {cut:?} the next run ended with {}",
            ended.status
        );
        let plan = glrl(node, "plan --role /root/packages.yml --detailed-exitcode")?;
        ensure!(plan.success(), "after {cut:?} there is something left to do");
        is_whole(node)?;
        node.run(&format!(
            "apt-get purge -qq -y {PACKAGES} > /dev/null && apt-get autoremove --purge -qq -y > /dev/null"
        ))?;
    }
    Ok(())
}

/// Converges, and cuts the power in the middle of apt-get.
fn cut_at(node: &Node, (arguments, work): (&str, &str)) -> Result<()> {
    write(
        node,
        "/usr/local/sbin/dpkg",
        &format!(
            "#!/bin/sh\nreal=/usr/bin/dpkg\ncase \"$*\" in {arguments}) ;; *) exec $real \"$@\" ;; esac\n{work}\ntouch /run/reached; exec sleep 600\n"
        ),
    )?;
    node.run(
        "chmod 755 /usr/local/sbin/dpkg; echo 'Dir::Bin::dpkg \"/usr/local/sbin/dpkg\";' > /etc/apt/apt.conf.d/99cut; sync",
    )?;
    let reached = node.ssh_within(
        "glrl converge --role /root/packages.yml > /run/said 2>&1 < /dev/null & glrl=$!; \
         until test -e /run/reached || ! kill -0 $glrl; do sleep 0.02; done; test -e /run/reached || ! cat /run/said",
        LIMIT,
    )?;
    node.power_cut();
    ensure!(
        reached.success(),
        "the run ended before {arguments} {work}: {}",
        reached.stdout
    );
    node.boot()?;
    println!("{}# power cut at dpkg {arguments}: {work}", node.name());
    node.run("rm -f /usr/local/sbin/dpkg /etc/apt/apt.conf.d/99cut; sync")
        .map(drop)
}

/// dpkg has nothing to mend, each file is what its package brought (the nodes leave out what is there to be read), and what the scripts made is there.
fn is_whole(node: &Node) -> Result<()> {
    node.run(&format!(
        "set -e; test -z \"$(dpkg --audit)\"; for package in {PACKAGES}; do dpkg --verify $package; done |
             {{ grep -v ' /usr/share/\\(man\\|doc\\|locale\\|info\\|lintian\\)' || true; }} | tee /run/differs; test ! -s /run/differs
         for file in /etc/nfs.conf /etc/idmapd.conf /etc/default/nfs-common /etc/default/nfs-kernel-server /etc/lvm/lvm.conf; do test -s $file; done
         systemctl is-active nfs-server; id statd; sqlite3 -version; lvm version; ldconfig -p | grep -q libnfsidmap; showmount --version; systemctl is-enabled nfs-server"
    ))
    .map(drop)
}
