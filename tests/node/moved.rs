//! A server that has its data on the root disk already gets onto its volume by role mysql, whether the run is killed, or the power cut, or not.

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};

use super::glrl::{Database, LIMIT, MARIADB_ON_DEBIAN, MYSQL_ON_UBUNTU, confined, glrl, install, write};

/// A server by apt, with tables of several engines, as somebody has it who does not know glrl; and what the roles need beside it.
pub(super) fn prepared(Database { service, .. }: Database) -> String {
    let engine = if service == "mysql" { "ARCHIVE" } else { "Aria" };
    let twice = "INSERT INTO shop.a (t) SELECT t FROM shop.a;".repeat(12);
    format!(
        "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y {service}-server lvm2 xfsprogs nfs-kernel-server > /dev/null || exit
        mysql -e 'CREATE DATABASE shop; CREATE TABLE shop.a (n INT PRIMARY KEY AUTO_INCREMENT, t TEXT) ENGINE=InnoDB;
            CREATE TABLE shop.b (n INT PRIMARY KEY, t TEXT) ENGINE=MyISAM; CREATE TABLE shop.c (n INT, t TEXT) ENGINE={engine};
            INSERT INTO shop.a (t) VALUES (repeat(\"data\", 50)); {twice}
            INSERT INTO shop.b SELECT * FROM shop.a; INSERT INTO shop.c SELECT * FROM shop.a'"
    )
}

/// What is to be the same.
pub(super) const CHECKSUMS: &str = "mysql -N -e 'CHECKSUM TABLE shop.a, shop.b, shop.c EXTENDED; SELECT count(*) FROM shop.a; CHECK TABLE shop.a, shop.b, shop.c'";

/// No backup server is there: what mounts from it fails, and nothing else.
const ROLE: &str = "mysql --set data_device=/dev/disk/by-id/virtio-data --set backup_wait=1s --set verdicts=false";

/// How far a program has come when the run ends.
#[derive(Debug, Clone, Copy)]
enum Work {
    NotBegun,
    Amid,
    Done,
}
use Work::{Amid, Done, NotBegun};

/// When the run is killed: a program, the arguments that are meant, and how far it is.
const KILLS: [(&str, &str, Work); 10] = [
    ("systemctl", "*stop*", NotBegun),
    ("systemctl", "*stop*", Done),
    ("cp", "*", NotBegun),
    ("cp", "*", Done),
    ("mount", "*xfs*", NotBegun),
    ("mount", "*xfs*", Done),
    ("systemctl", "*daemon-reload*", NotBegun),
    ("systemctl", "*start*SERVICE*", NotBegun),
    ("systemctl", "*start*SERVICE*", Done),
    ("systemctl", "*daemon-reload*", Done),
];

/// When the power is cut: half of a copy, a whole one that is mounted and not in fstab, one that fstab mounts and no run has finished.
const CUTS: [(&str, &str, Work); 3] = [
    ("cp", "*", Amid),
    ("mount", "*xfs*", Done),
    ("systemctl", "*daemon-reload*", Done),
];

/// Puts a script in the place of a program, once: it does its work so far, and then what is to end the run.
fn in_the_place_of(
    node: &Node,
    service: &str,
    (program, arguments, work): (&str, &str, Work),
    then: &str,
) -> Result<String> {
    let path = format!("/usr/local/sbin/{program}");
    let real = node.run(&format!("command -v {program}"))?.trim().to_owned();
    let work = match work {
        NotBegun => ":".to_owned(),
        Amid => format!("{real} \"$@\" & sleep 0.2"),
        Done => format!("{real} \"$@\""),
    };
    let arguments = arguments.replace("SERVICE", service);
    write(
        node,
        &path,
        &format!(
            "#!/bin/sh\ncase \"$*\" in {arguments}) ;; *) exec {real} \"$@\" ;; esac\n{work}\nrm {path}\n{then}\n"
        ),
    )?;
    node.run(&format!("chmod 755 {path}"))?;
    Ok(path)
}

/// Converges, and kills the run at this moment, once.
fn killed_at(node: &Node, service: &str, moment: (&str, &str, Work)) -> Result<()> {
    let path = in_the_place_of(node, service, moment, "kill -KILL $PPID")?;
    let ended = node.ssh_within(
        &format!("glrl converge --role {ROLE} --set move_data=true --quiet; status=$?; rm -f {path}; exit $status"),
        LIMIT,
    )?;
    ensure!(ended.status == 137, "at {moment:?} the run ended with {}", ended.status);
    Ok(())
}

/// Converges, and cuts the power at this moment.
fn cut_at(node: &Node, service: &str, moment: (&str, &str, Work)) -> Result<()> {
    let path = in_the_place_of(node, service, moment, "touch /run/reached; exec sleep 600")?;
    let reached = node.ssh_within(
        &format!(
            "glrl converge --role {ROLE} --set move_data=true > /run/said 2>&1 < /dev/null & glrl=$!; \
             until test -e /run/reached || ! kill -0 $glrl; do sleep 0.02; done; test -e /run/reached || ! cat /run/said"
        ),
        LIMIT,
    )?;
    node.power_cut();
    ensure!(reached.success(), "the run ended before {moment:?}: {}", reached.stdout);
    node.boot()?;
    // Its going may not have reached the disk.
    node.run(&format!("rm -f {path}; sync")).map(drop)
}

#[test]
fn a_server_with_data_gets_onto_its_volume() -> Result<()> {
    gets_onto_its_volume(MARIADB_ON_DEBIAN)
}

/// `MySQL`, confined by `AppArmor`.
#[test]
#[ignore = "takes long: make test-long"]
fn ubuntu_with_data_gets_onto_its_volume() -> Result<()> {
    if let Some(why) = Lab::unavailable(MYSQL_ON_UBUNTU.release)? {
        println!("skipped: {why}");
        return Ok(());
    }
    gets_onto_its_volume(MYSQL_ON_UBUNTU)
}

fn gets_onto_its_volume(database: Database) -> Result<()> {
    let Database { release, service, .. } = database;
    let lab = Lab::start([NodeSpec::new("mysql")
        .release(release)
        .disk(Disk::sized("data", 2 << 30))
        .prepared(&prepared(database))])?;
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
    let refused = node.checkpoint()?;

    for moment in KILLS {
        killed_at(node, service, moment)?;
        is_whole(node, service, &before).with_context(|| format!("killed at {moment:?}"))?;
    }
    is_moved(node, database, &before)?;
    nothing_starts_without_it(node, service, &before)?;

    node.rollback(&refused)?;
    // The root disk has no say in what the volume keeps.
    node.run("sync")?;
    let mut now = before;
    for moment in CUTS {
        cut_at(node, service, moment)?;
        // Whichever data the server has after the boot, it is all that was committed; and it goes on with it.
        let found = node.run(&format!("systemctl start {service}; {CHECKSUMS}"))?;
        ensure!(
            found == now,
            "after a power cut at {moment:?} it was\n{now}and is\n{found}"
        );
        node.run("mysql -e 'INSERT INTO shop.a (t) VALUES (UUID())'")?;
        now = node.run(CHECKSUMS)?;
    }
    is_moved(node, database, &now)
}

/// Until it is mounted whoever starts the server has the old data, all of it; then the copy is there, all of it.
fn is_whole(node: &Node, service: &str, before: &str) -> Result<()> {
    let found = node.run(&format!(
        "test -d /var/lib/mysql/shop && echo whole; findmnt -n -o SOURCE /var/lib/mysql || {{ systemctl start {service}; {CHECKSUMS}; }}"
    ))?;
    println!("{found}");
    ensure!(
        found.starts_with("whole") && (found.contains("/dev/mapper") || found.ends_with(before)),
        "it is not whole: {found}"
    );
    Ok(())
}

/// The next run ends the move.
fn is_moved(node: &Node, database: Database, before: &str) -> Result<()> {
    let Database { service, .. } = database;
    glrl(node, &format!("converge --role {ROLE} --set move_data=true"))?;
    ensure!(
        node.run("findmnt -n -o FSTYPE /var/lib/mysql")?.trim() == "xfs",
        "it is on its volume"
    );
    ensure!(
        node.run(&format!("systemctl is-active {service}"))?.trim() == "active",
        "it runs"
    );
    let after = node.run(CHECKSUMS)?;
    ensure!(after == before, "it was\n{before}and is\n{after}");
    ensure!(
        node.run("mount --bind / /mnt; ls /mnt/var/lib/mysql/shop | wc -l; umount /mnt")?
            .trim()
            != "0",
        "the old data is below"
    );
    let left = node.run("ls -A /var/lib/mysql | grep -i glrl || true")?;
    ensure!(left.is_empty(), "something of the move is left: {left}");
    confined(node, database)
}

/// Without its volume systemd does not start it, nor on one that is empty.
fn nothing_starts_without_it(node: &Node, service: &str, before: &str) -> Result<()> {
    node.run(&format!(
        "systemctl stop {service}; umount /var/lib/mysql; mv /etc/fstab /etc/fstab.away; systemctl daemon-reload"
    ))?;
    ensure!(
        !node.ssh(&format!("systemctl start {service}"))?.success(),
        "it started on the old data"
    );
    node.run("mv /etc/fstab.away /etc/fstab; systemctl daemon-reload; mount -t tmpfs none /var/lib/mysql")?;
    ensure!(
        !node.ssh(&format!("systemctl start {service}"))?.success(),
        "it started on an empty directory"
    );
    node.run(&format!("umount /var/lib/mysql; systemctl start {service}"))?;
    ensure!(node.run(CHECKSUMS)? == before, "it is mounted for it");
    Ok(())
}
