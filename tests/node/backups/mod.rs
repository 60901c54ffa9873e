//! Backups of a real server on LVM, to a real NFS mount: many in a row under load, and the failures that take both to happen.

mod failures;
mod in_a_row;
mod locks;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec, Output};

use super::glrl::{LIMIT, install, write};

const DATABASE: &str = include_str!("database.sh");
const WRITER: &str = include_str!("writer.pl");
/// What the node has before it is saved. The programs to be compared with bring Perl's DBI for the writer.
const PACKAGES: &str = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y lvm2 xfsprogs nfs-kernel-server mariadb-server mydumper mylvmbackup";

/// A node with a database on a volume of 512 MiB, in a group that leaves 1 GiB for snapshots, and an NFS mount for backups.
fn database() -> Result<Lab> {
    let disk = Disk::sized("data", 1540 << 20);
    let lab = Lab::start([NodeSpec::new("mysql").disk(disk).prepared(PACKAGES)])?;
    let node = &lab["mysql"];
    install(node)?;
    write(node, "/root/database.sh", DATABASE)?;
    write(node, "/root/writer.pl", WRITER)?;
    node.ssh_within("sh /root/database.sh", LIMIT)
        .and_then(|output| succeeded("making the database", output))?;
    Ok(lab)
}

fn succeeded(doing: &str, output: Output) -> Result<String> {
    ensure!(
        output.success(),
        "{doing}: exit status {}: {}{}",
        output.status,
        output.stdout,
        output.stderr
    );
    Ok(output.stdout)
}

/// A writer that commits until it is stopped.
struct Writer<'a>(&'a Node);

impl<'a> Writer<'a> {
    fn start(node: &'a Node) -> Result<Self> {
        node.run(
            "rm -f /run/writer.stop /run/writer.log; nohup perl /root/writer.pl > /run/writer.said 2>&1 < /dev/null & \
             timeout 60 sh -c 'until [ \"$(wc -l < /run/writer.log 2> /dev/null || echo 0)\" -gt 20 ]; do sleep 0.2; done' \
             || { cat /run/writer.said; false; }",
        )
        .context("starting the writer")?;
        Ok(Self(node))
    }

    /// How many rows it has committed, and that it goes on.
    fn goes_on(&self) -> Result<u64> {
        let counts = self
            .0
            .run("wc -l < /run/writer.log; sleep 2; wc -l < /run/writer.log")?;
        let counts: Vec<u64> = counts.lines().map(|line| line.trim().parse().unwrap_or(0)).collect();
        ensure!(counts[1] > counts[0], "nothing is committed any more: {counts:?}");
        Ok(counts[1])
    }

    fn stop(self) -> Result<()> {
        self.0.run("touch /run/writer.stop; sleep 1").map(drop)
    }
}

/// How many complete backups the NFS server has.
fn complete(node: &Node) -> Result<usize> {
    let names = node.run("ls /srv/backup")?;
    let manifests = names
        .lines()
        .filter_map(|name| name.strip_suffix(".json"))
        .filter(|stem| !stem.ends_with(".verified"));
    Ok(manifests.count())
}

/// Nothing of a run is left: no snapshot, no mount of one, no lock, nothing half-written; and so many backups are complete.
fn nothing_but(node: &Node, backups: usize) -> Result<()> {
    let snapshots = node.run("lvs --noheadings -o lv_name mysql -S 'lv_name=~glrl'")?;
    ensure!(snapshots.trim().is_empty(), "snapshots are left: {snapshots}");
    let mounts = node.run(
        "findmnt --list --noheadings -o TARGET | grep ^/run/glrl || true; ls /run/glrl/backup 2> /dev/null || true",
    )?;
    ensure!(mounts.trim().is_empty(), "mounts are left: {mounts}");
    let names = node.run("ls /srv/backup")?;
    ensure!(!names.contains(".partial"), "something half-written is left: {names}");
    let archives = names.lines().filter(|name| name.ends_with(".tar.zst")).count();
    ensure!(
        archives == backups,
        "{archives} archives are left of {backups}: {names}"
    );
    ensure!(complete(node)? == backups, "not {backups} backups but {names}");
    node.run("timeout 20 mysql -e 'CREATE OR REPLACE TABLE shop.probe (id INT); INSERT INTO shop.probe VALUES (1)'")
        .context("the server is locked")
        .map(drop)
}

/// Waits until a shell command succeeds.
fn until(node: &Node, command: &str, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !node.ssh(command)?.success() {
        ensure!(Instant::now() < deadline, "not in {limit:?}: {command}");
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// A run that ends like this, and says so.
fn ends(node: &Node, arguments: &str, status: i32, says: &str) -> Result<String> {
    let output = super::glrl::glrl(node, arguments)?;
    let said = format!("{}{}", output.stdout, output.stderr);
    ensure!(
        output.status == status && said.contains(says),
        "glrl {arguments} was to end with {status} and say '{says}', and ended with {}: {said}",
        output.status
    );
    Ok(said)
}
