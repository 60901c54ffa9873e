//! What goes wrong with a snapshot, a mount or a killed run, and what is left of it: nothing that is named like a backup, no snapshot, no
//! mount, no lock; and the next run succeeds.

use std::time::Duration;

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::{Writer, complete, database, ends, nothing_but, until};
use crate::node::{glrl::write, killed::deadly};

/// A backup in the background, and until there is something of its archive.
const BEGUN: &str = "nohup glrl backup run > /run/said 2>&1 < /dev/null & echo $! > /run/pid; \
    timeout 120 sh -c 'until ls /srv/backup/*.tar.zst.*.partial 2> /dev/null; do kill -0 $(cat /run/pid) || exit; sleep 0.1; done'";
const MINUTES: Duration = Duration::from_mins(4);

#[test]
fn failures_of_lvm_and_nfs_leave_nothing() -> Result<()> {
    let lab = database()?;
    let node = &lab["mysql"];
    // What takes a while to copy; the server does not mind it.
    node.run("head -c 120M /dev/urandom > /var/lib/mysql/ballast")?;
    let writer = Writer::start(node)?;
    ends(node, "backup run", 0, "")?;
    nothing_but(node, 1)?;

    what_is_outside_is_refused(node)?;
    a_target_that_is_not_the_real_one_is_refused(node)?;
    nothing_but(node, 1)?;

    node.run("sed -i 's/256MiB/48MiB/' /etc/glrl/backup.yml")?;
    a_full_snapshot_grows(node)?;
    nothing_but(node, 2)?;
    a_full_group_is_an_honest_end(node)?;
    nothing_but(node, 2)?;
    node.run("sed -i 's/48MiB/256MiB/' /etc/glrl/backup.yml")?;

    killed_runs_are_cleaned_up_after(node)?;
    an_nfs_server_that_goes_away_gets_nothing_half_named(node)?;
    writer.goes_on()?;
    writer.stop()?;
    a_snapshot_of_another_boot_is_removed(node)
}

/// Number 18.
fn what_is_outside_is_refused(node: &Node) -> Result<()> {
    node.run(
        "mkdir -p /srv/elsewhere && chown mysql:mysql /srv/elsewhere && \
         mysql -e \"CREATE TABLE shop.outside (id INT) ENGINE=InnoDB DATA DIRECTORY='/srv/elsewhere'\"",
    )?;
    ends(node, "backup run", 3, "/srv/elsewhere")?;
    node.run("mysql -e 'DROP TABLE shop.outside'").map(drop)
}

/// Number 8, and soft mounts.
fn a_target_that_is_not_the_real_one_is_refused(node: &Node) -> Result<()> {
    node.run("umount /backup")?;
    ends(node, "backup run --set target.wait=0s", 14, "not mounted")?;
    ensure!(
        node.run("ls -A /backup")?.is_empty(),
        "the node's own disk was written to"
    );
    node.run("mount -o soft /backup")?;
    ends(node, "backup run", 14, "soft")?;
    node.run("umount /backup")?;
    what_is_declared_is_mounted(node)
}

/// By fstab, or by systemd alone.
fn what_is_declared_is_mounted(node: &Node) -> Result<()> {
    ends(node, "backup prune", 0, "+ mounted")?;
    write(
        node,
        "/etc/systemd/system/backup.mount",
        "[Mount]\nWhat=127.0.0.1:/srv/backup\nWhere=/backup\nType=nfs4\nOptions=hard\n",
    )?;
    node.run("umount /backup; sed -i.before '/ .backup /d' /etc/fstab; systemctl daemon-reload")?;
    ends(node, "backup prune", 0, "+ mounted")?;
    node.run(
        "umount /backup; rm /etc/systemd/system/backup.mount; mv /etc/fstab.before /etc/fstab; systemctl daemon-reload; mount /backup",
    )
    .map(drop)
}

/// Fills the snapshot of the run that is under way: what is written to the volume is first copied there.
const FILLER: &str = "i=0; while kill -0 $(cat /run/pid) 2> /dev/null && [ $i -lt 150 ]; do \
    dd if=/dev/zero of=/var/lib/mysql/filler.$((i % 50)) bs=1M count=1 conv=fsync status=none; i=$((i + 1)); sleep 0.1; done; \
    while kill -0 $(cat /run/pid) 2> /dev/null; do sleep 0.2; done; rm -f /var/lib/mysql/filler.*; cat /run/said";

/// Number 4, with room in the group.
fn a_full_snapshot_grows(node: &Node) -> Result<()> {
    node.run(BEGUN)?;
    let said = node.ssh_within(FILLER, MINUTES)?.stdout;
    println!("{said}");
    ensure!(said.contains(" now  it was "), "it did not grow: {said}");
    ends(node, "verify", 0, "").map(drop)
}

/// Number 4, without.
fn a_full_group_is_an_honest_end(node: &Node) -> Result<()> {
    node.run("lvcreate -q -y -l $(($(vgs --noheadings -o vg_free_count mysql) - 12)) -n taken mysql")?;
    node.run(BEGUN)?;
    let said = node.ssh_within(FILLER, MINUTES)?.stdout;
    println!("{said}");
    ensure!(said.contains("make it larger"), "it did not give up: {said}");
    node.run("lvremove -q -y mysql/taken").map(drop)
}

/// Number 6, where only a kill leaves something.
fn killed_runs_are_cleaned_up_after(node: &Node) -> Result<()> {
    let snapshot = "lvs --noheadings -o lv_name mysql -S 'lv_name=~glrl' | grep glrl";
    let before = complete(node)?;
    // Under the lock: its end frees the writers, and who supervises it cleans up.
    deadly(node, "lvcreate")?;
    ends(node, "backup run", 1, "ended by signal 9")?;
    nothing_but(node, before)?;
    // While it copies, only the supervisor: the worker cleans up.
    node.run(BEGUN)?;
    node.run("kill -KILL $(cat /run/pid)")?;
    until(node, "! pgrep -x glrl", MINUTES)?;
    nothing_but(node, before)?;
    // Both: the snapshot is mounted, and the archive half-written.
    node.run(BEGUN)?;
    node.run("kill -KILL $(cat /run/pid) $(pgrep -P $(cat /run/pid)); sleep 1")?;
    node.run(snapshot)?;
    node.run("findmnt --list --noheadings -o TARGET | grep ^/run/glrl")?;
    node.run("ls /srv/backup/*.partial")?;
    ends(node, "backup run", 0, "of a run that died")?;
    nothing_but(node, before + 1)
}

/// Number 17: a hard mount waits, and so does the run, for its time; the server and its writers do not.
fn an_nfs_server_that_goes_away_gets_nothing_half_named(node: &Node) -> Result<()> {
    let before = complete(node)?;
    node.run(BEGUN)?;
    node.run("systemctl stop nfs-server")?;
    node.run("sleep 20; kill -0 $(cat /run/pid)")?;
    ensure!(complete(node)? == before, "a backup has its name and not its contents");
    node.run("timeout 20 mysql -e 'CREATE OR REPLACE TABLE shop.probe (id INT)'")?;
    node.run("systemctl start nfs-server")?;
    // The kernel lets clients come back before anybody gets anything new: 90 s.
    until(node, "! kill -0 $(cat /run/pid)", MINUTES)?;
    println!("{}", node.run("cat /run/said")?);
    nothing_but(node, before + 1)?;
    ends(node, "verify", 0, "")?;

    let impatient = "backup run --set target.stall_timeout=15s --set 'notify.command.run=[sh, -c, cat >> /run/told]'";
    node.run(&BEGUN.replace("backup run", impatient))?;
    node.run("systemctl stop nfs-server")?;
    until(node, "! kill -0 $(cat /run/pid)", MINUTES)?;
    let said = node.run("cat /run/said /run/told")?;
    ensure!(
        said.contains("nothing went forward for 15 s") && said.contains("\"event\":\"fail\""),
        "it was given up and not told: {said}"
    );
    ensure!(
        !node
            .ssh("lvs --noheadings -o lv_name mysql -S 'lv_name=~glrl' | grep glrl")?
            .success(),
        "a snapshot is left: {said}"
    );
    ensure!(
        !node
            .ssh("findmnt --list --noheadings -o TARGET | grep ^/run/glrl")?
            .success(),
        "a mount is left"
    );
    ensure!(
        complete(node)? == before + 1,
        "a backup has its name and not its contents"
    );
    node.run("timeout 20 mysql -e 'CREATE OR REPLACE TABLE shop.probe (id INT)'")?;
    node.run("systemctl start nfs-server; timeout 200 ls /backup")?;
    ends(node, "backup run", 0, ".partial")?;
    nothing_but(node, before + 2)
}

/// Number 10: the power goes while it copies.
fn a_snapshot_of_another_boot_is_removed(node: &Node) -> Result<()> {
    let before = complete(node)?;
    node.run(BEGUN)?;
    node.run("sync")?;
    node.power_cut();
    node.boot()?;
    node.run("mountpoint -q /backup || mount /backup")?;
    node.run("systemctl is-active mariadb || systemctl restart mariadb")?;
    node.run("lvs --noheadings -o lv_name mysql -S 'lv_name=~glrl' | grep glrl")?;
    ends(node, "backup run", 0, "of a run that died")?;
    nothing_but(node, before + 1)?;
    ends(node, "verify", 0, "").map(drop)
}
