//! A server that has its data on the root disk already gets onto its volume by role mysql, killed or not.

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};

use super::glrl::{LIMIT, glrl, install, write};

/// A server by apt, with tables of several engines, as somebody has it who does not know glrl.
const PREPARED: &str = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y mariadb-server lvm2 xfsprogs nfs-common > /dev/null || exit
    mariadb -e 'CREATE DATABASE shop; CREATE TABLE shop.a (n INT PRIMARY KEY AUTO_INCREMENT, t TEXT) ENGINE=InnoDB;
        CREATE TABLE shop.b (n INT PRIMARY KEY, t TEXT) ENGINE=MyISAM; CREATE TABLE shop.c (n INT PRIMARY KEY, t TEXT) ENGINE=Aria;
        INSERT INTO shop.a (t) SELECT repeat(seq, 50) FROM shop.seq_1_to_5000; INSERT INTO shop.b SELECT * FROM shop.a;
        INSERT INTO shop.c SELECT * FROM shop.a'";

/// What is to be the same.
const CHECKSUMS: &str = "mariadb -N -e 'CHECKSUM TABLE shop.a, shop.b, shop.c EXTENDED; SELECT count(*) FROM shop.a; CHECK TABLE shop.a, shop.b, shop.c'";

/// No backup server is there: what mounts from it fails, and nothing else.
const ROLE: &str = "mysql --set data_device=/dev/disk/by-id/virtio-data --set backup_wait=1s --set verdicts=false";

/// When the run is killed: a program, the arguments that are meant, and whether it has done its work.
const MOMENTS: [(&str, &str, bool); 10] = [
    ("systemctl", "*stop*", false),
    ("systemctl", "*stop*", true),
    ("cp", "*", false),
    ("cp", "*", true),
    ("mount", "*xfs*", false),
    ("mount", "*xfs*", true),
    ("systemctl", "*daemon-reload*", false),
    ("systemctl", "*start*mariadb*", false),
    ("systemctl", "*start*mariadb*", true),
    ("systemctl", "*daemon-reload*", true),
];

/// Converges, and kills the run at this moment, once.
fn killed_at(node: &Node, (program, arguments, done): (&str, &str, bool)) -> Result<()> {
    let path = format!("/usr/local/sbin/{program}");
    let real = node.run(&format!("command -v {program}"))?.trim().to_owned();
    let work = if done { format!("{real} \"$@\"") } else { ":".to_owned() };
    write(
        node,
        &path,
        &format!(
            "#!/bin/sh\ncase \"$*\" in {arguments}) ;; *) exec {real} \"$@\" ;; esac\n{work}\nrm {path}\nkill -KILL $PPID\n"
        ),
    )?;
    let ended = node.ssh_within(
        &format!("chmod 755 {path}; glrl converge --role {ROLE} --set move_data=true --quiet; status=$?; rm -f {path}; exit $status"),
        LIMIT,
    )?;
    ensure!(
        ended.status == 137,
        "at {program} {arguments} {done} the run ended with {}",
        ended.status
    );
    Ok(())
}

#[test]
fn a_server_with_data_gets_onto_its_volume() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("mysql")
        .disk(Disk::sized("data", 2 << 30))
        .prepared(PREPARED)])?;
    let node = &lab["mysql"];
    install(node)?;
    let before = node.run(CHECKSUMS).context("the server as it was")?;

    let refused = glrl(node, &format!("converge --role {ROLE}"))?;
    ensure!(
        refused.status == 3 && refused.stderr.contains("--set move_data=true"),
        "without consent it ended with {}",
        refused.status
    );
    ensure!(node.run(CHECKSUMS)? == before, "it runs as before");

    for moment in MOMENTS {
        killed_at(node, moment)?;
        // Until it is mounted whoever starts the server has the old data, all of it; then the copy is there, all of it.
        let found = node.run(&format!(
            "test -d /var/lib/mysql/shop && echo whole; findmnt -n -o SOURCE /var/lib/mysql || {{ systemctl start mariadb; {CHECKSUMS}; }}"
        ))?;
        println!("{moment:?}: {found}");
        ensure!(
            found.starts_with("whole") && (found.contains("/dev/mapper") || found.ends_with(&before)),
            "after {moment:?}"
        );
    }
    glrl(node, &format!("converge --role {ROLE} --set move_data=true"))?;
    ensure!(
        node.run("findmnt -n -o FSTYPE /var/lib/mysql")?.trim() == "xfs",
        "it is on its volume"
    );
    ensure!(node.run("systemctl is-active mariadb")?.trim() == "active", "it runs");
    ensure!(node.run(CHECKSUMS)? == before, "all of it is there");
    ensure!(
        node.run("mount --bind / /mnt; ls /mnt/var/lib/mysql/shop | wc -l; umount /mnt")?
            .trim()
            != "0",
        "the old data is below"
    );

    // Without its volume systemd does not start it, nor on one that is empty.
    node.run("systemctl stop mariadb; umount /var/lib/mysql; mv /etc/fstab /etc/fstab.away; systemctl daemon-reload")?;
    ensure!(
        !node.ssh("systemctl start mariadb")?.success(),
        "it started on the old data"
    );
    node.run("mv /etc/fstab.away /etc/fstab; systemctl daemon-reload; mount -t tmpfs none /var/lib/mysql")?;
    ensure!(
        !node.ssh("systemctl start mariadb")?.success(),
        "it started on an empty directory"
    );
    node.run("umount /var/lib/mysql; systemctl start mariadb")?;
    ensure!(node.run(CHECKSUMS)? == before, "it is mounted for it");
    Ok(())
}
