//! The two machines of the mission: a backup server and a MySQL server from YAML, a backup taken under writes, a verdict; then the node is
//! broken, and then runs are killed.

mod in_place;
pub(super) mod verdicts;

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec, Release};

use self::{in_place::a_lost_database_comes_back, verdicts::verdicts_change_and_are_told};
use super::{
    glrl::{
        BACKUP, Database, LIMIT, MARIADB_ON_DEBIAN, MYSQL, MYSQL_ON_UBUNTU, VERIFY, confined, glrl, install,
        nothing_left, plan_is_what_happened, said,
    },
    killed::{
        Moment::{Applied, While},
        Point::{Killed, PowerCut},
        converge_cut_short, same, state,
    },
};

#[test]
fn backup_and_mysql_converge_and_restore() -> Result<()> {
    let lab = three_machines(MARIADB_ON_DEBIAN.release)?;
    let (backup, mysql, verify) = (&lab["backup"], &lab["mysql"], &lab["verify"]);
    let untouched = mysql.checkpoint()?;
    all_converge(&lab)?;
    let undisturbed = state(mysql)?;
    back_up_under_writes(backup, mysql)?;
    another_machine_verifies(mysql, verify, MARIADB_ON_DEBIAN)?;
    verdicts_change_and_are_told(backup, mysql, verify)?;
    a_lost_database_comes_back(mysql, MARIADB_ON_DEBIAN)?;
    verdicts_name_the_cause(backup, mysql, MARIADB_ON_DEBIAN)?;
    what_is_broken_is_repaired(mysql, MARIADB_ON_DEBIAN)?;
    mysql.rollback(&untouched)?;
    runs_cut_short_are_harmless(mysql, &undisturbed)
}

/// What the default box of the Vagrantfile gets: MySQL, confined by `AppArmor`.
#[test]
#[ignore = "takes long: make test-long"]
fn ubuntu_with_mysql_converges_and_restores() -> Result<()> {
    if let Some(why) = Lab::unavailable(Release::Noble)? {
        println!("skipped: {why}");
        return Ok(());
    }
    let lab = three_machines(MYSQL_ON_UBUNTU.release)?;
    let (backup, mysql, verify) = (&lab["backup"], &lab["mysql"], &lab["verify"]);
    all_converge(&lab)?;
    back_up_under_writes(backup, mysql)?;
    another_machine_verifies(mysql, verify, MYSQL_ON_UBUNTU)?;
    rules_for_the_installed_server_are_no_verdict(mysql)?;
    a_lost_database_comes_back(mysql, MYSQL_ON_UBUNTU)?;
    verdicts_name_the_cause(backup, mysql, MYSQL_ON_UBUNTU)?;
    what_is_broken_is_repaired(mysql, MYSQL_ON_UBUNTU)
}

/// Three machines with glrl on them, and nothing else yet.
fn three_machines(release: Release) -> Result<Lab> {
    let node = |name: &str| NodeSpec::new(name).release(release);
    let lab = Lab::start([
        node("backup").disk(Disk::empty("data")),
        node("mysql").disk(Disk::empty("data")),
        node("verify"),
    ])?;
    for node in lab.nodes() {
        install(node)?;
    }
    Ok(lab)
}

/// All at once: who needs the export of backup waits for it.
fn all_converge(lab: &Lab) -> Result<()> {
    let converged = thread::scope(|scope| {
        [("mysql", MYSQL), ("verify", VERIFY), ("backup", BACKUP)]
            .map(|(name, role)| scope.spawn(move || converge(&lab[name], role)))
            .map(|run| run.join().unwrap_or_else(|_| Err(anyhow!("a converge panicked"))))
    });
    converged.into_iter().collect()
}

/// `AppArmor` forbids the installed server what a verification's server does: that is about this node, not about the backup.
fn rules_for_the_installed_server_are_no_verdict(mysql: &Node) -> Result<()> {
    const RULES: &str = "/etc/apparmor.d/local/usr.sbin.mysqld";
    let load = "apparmor_parser --replace /etc/apparmor.d/usr.sbin.mysqld";
    confined(mysql, MYSQL_ON_UBUNTU)?;
    mysql.run(&format!("echo 'deny /var/lib/mysql/** rwk,' > {RULES} && {load}"))?;
    let verdict = glrl(mysql, "verify")?;
    mysql.run(&format!(": > {RULES} && {load}"))?;
    ensure!(
        verdict.success(),
        "its verdict is {}: {}",
        verdict.status,
        verdict.stdout
    );
    Ok(())
}

/// A plan, the converge it announces, and a second converge that has nothing to do.
fn converge(node: &Node, role: &str) -> Result<()> {
    let plan = said(node, &format!("plan --role {role}"))?;
    let converge = said(node, &format!("converge --role {role}"))?;
    ensure!(converge.status == 0, "converge ended with {}", converge.status);
    plan_is_what_happened(&plan, &converge)?;
    nothing_left(node, role)
}

fn back_up_under_writes(backup: &Node, mysql: &Node) -> Result<()> {
    mysql.run(
        "mysql -e 'CREATE DATABASE shop; CREATE TABLE shop.sale (id INT PRIMARY KEY AUTO_INCREMENT, what TEXT)'",
    )?;
    // It ends by itself, whatever becomes of the test.
    mysql.run(
        "nohup sh -c 'for i in $(seq 400); do mysql -e \"INSERT INTO shop.sale (what) VALUES (REPEAT(MD5(RAND()), 30))\"; done' \
         > /tmp/writer.log 2>&1 < /dev/null & sleep 3",
    )?;
    // As those type it who always have: it is backed up, and verified at once, with the reason in the exit status.
    let run = mysql.ssh_within("/root/mysql_backup.sh", LIMIT)?;
    println!("{}{}", run.stdout, run.stderr);
    ensure!(
        run.success() && run.stdout.contains("verdict: ok"),
        "the backup ended with {}: {}{}",
        run.status,
        run.stdout,
        run.stderr
    );
    let listed = backup.run("ls /backup")?;
    ensure!(
        listed.lines().any(|name| name.ends_with(".tar.zst")),
        "no archive in {listed}"
    );
    ensure!(!listed.contains(".partial"), "a partial archive is left in {listed}");
    ensure!(
        mysql
            .run("lvs --noheadings -o lv_name mysql")?
            .split_whitespace()
            .eq(["data"]),
        "a snapshot is left"
    );
    let verdict = mysql.ssh_within("/root/mysql_verify.sh", LIMIT)?;
    ensure!(
        verdict.success() && verdict.stdout.contains("verdict: ok"),
        "the verdict is {}: {}",
        verdict.status,
        verdict.stdout
    );
    ensure!(
        mysql.run("crontab -l")?.contains("/root/mysql_backup.sh"),
        "the job is not in root's table"
    );
    Ok(())
}

/// The third machine: it may read the backups, has no server that runs, and says what it thinks of the newest one.
fn another_machine_verifies(mysql: &Node, verify: &Node, database: Database) -> Result<()> {
    ensure!(
        !verify.ssh("touch /backup/mine")?.success(),
        "it can write to the backups"
    );
    let Database { program, service, .. } = database;
    let runs = || -> Result<bool> { Ok(verify.ssh(&format!("pidof {program}"))?.success()) };
    ensure!(
        !runs()? && !verify.ssh(&format!("systemctl is-enabled {service}"))?.success(),
        "a server runs where only its program is needed"
    );
    let verdict = glrl(verify, "verify")?;
    ensure!(
        verdict.success(),
        "its verdict is {}: {}",
        verdict.status,
        verdict.stdout
    );
    ensure!(!runs()?, "its server is left");
    // The node that makes backups is told, and can tell nobody itself.
    ensure!(
        !mysql.ssh("touch /verdicts/mine")?.success(),
        "it can write verdicts where it is to read them"
    );
    let list = glrl(mysql, "backup list")?;
    ensure!(
        list.stdout.contains("ok, on verify"),
        "its verdict is not seen: {}",
        list.stdout
    );
    Ok(())
}

/// A flipped byte, a cut archive, and damage that was there before the archive was made.
fn verdicts_name_the_cause(backup: &Node, mysql: &Node, Database { service, .. }: Database) -> Result<()> {
    let archive = backup.run("ls /backup/*.tar.zst | tail -1")?.trim().to_owned();
    backup.run(&format!("cp --sparse=never {archive} /backup/kept"))?;
    let corrupt = |what: &str, cause: &[&str]| -> Result<()> {
        let verdict = mysql.ssh_within("/root/mysql_verify.sh", LIMIT)?;
        let text = format!("{}{}", verdict.stdout, verdict.stderr);
        ensure!(verdict.status == 16, "{what}: exit status {}", verdict.status);
        ensure!(
            cause.iter().any(|word| text.contains(word)),
            "{what}: the verdict does not name {cause:?}: {text}"
        );
        Ok(())
    };
    backup.run(&format!(
        "printf x | dd of={archive} bs=1 seek=100000 conv=notrunc status=none; sync"
    ))?;
    corrupt("a flipped byte", &["contents have changed"])?;
    backup.run(&format!("cp /backup/kept {archive}; truncate -s -1000 {archive}; sync"))?;
    corrupt("a truncated archive", &["size", "truncated", "bytes"])?;
    backup.run(&format!("mv /backup/kept {archive}; sync"))?;

    // MySQL has its dictionary in the first pages of a table's file, and the table's own begin behind it.
    let page = if service == "mysql" { 4 } else { 3 };
    mysql.run(&format!(
        "systemctl stop {service} && \
         printf 'damaged' | dd of=/var/lib/mysql/shop/sale.ibd bs=1 seek=$((16384 * {page} + 200)) conv=notrunc status=none && \
         systemctl start {service}"
    ))?;
    let run = glrl(mysql, "backup run")?;
    // It is verified where it was made, at once.
    ensure!(
        run.status == 16 && run.stdout.contains("shop.sale"),
        "the backup of damaged data ended with {}: {}",
        run.status,
        run.stdout
    );
    corrupt("a damaged table", &["shop"])?;
    mysql.run("mysql -e 'DROP DATABASE shop' || true")?;
    Ok(())
}

/// The next plan names exactly what was broken, the next converge repairs exactly that.
fn what_is_broken_is_repaired(mysql: &Node, Database { service, settings, .. }: Database) -> Result<()> {
    mysql.run(&format!("systemctl stop {service}"))?;
    mysql.run(&format!("echo 'max_connections = 7' >> {settings}"))?;
    mysql.run("crontab -r")?;
    mysql.run("umount /backup")?;
    mysql.run("systemctl disable --now cron && chown nobody /etc/glrl/backup.yml")?;
    let broken = [
        "cron:mysql_backup",
        "mount:/backup",
        "service:cron",
        "service:server",
        "template:/etc/glrl/backup.yml",
        "template:settings",
    ];
    let mut planned = said(mysql, &format!("plan --role {MYSQL}"))?.with("planned", "changed");
    planned.sort();
    ensure!(planned == broken, "the plan names {planned:?}");
    let mut applied = said(mysql, &format!("converge --role {MYSQL}"))?.with("applied", "changed");
    applied.sort();
    ensure!(applied == broken, "the converge changed {applied:?}");
    nothing_left(mysql, MYSQL)?;
    mysql
        .run(
            "mysql -e 'SELECT 1' && mountpoint /backup && crontab -l && systemctl is-active cron && systemctl is-enabled cron && \
             test \"$(stat -c %U:%G:%a /etc/glrl/backup.yml)\" = root:root:600",
        )
        .context("what was repaired does not work")?;
    Ok(())
}

/// Runs that are killed one after the other, in the middle of programs, after them, and between resources, and one that the power
/// leaves; the last one is not, and the node is as if there had been no other.
fn runs_cut_short_are_harmless(mysql: &Node, undisturbed: &str) -> Result<()> {
    for point in [
        Killed(While("apt-get")),
        Killed(Applied("package:lvm2")),
        Killed(Applied("volume_group:mysql")),
        Killed(While("mkfs.xfs")),
        Killed(Applied("filesystem:/dev/mysql/data")),
        PowerCut(While("dpkg-deb")),
        // What the package's own scripts have written is on disk.
        PowerCut(Applied("package:server")),
        Killed(Applied("template:settings")),
        Killed(Applied("service:server")),
    ] {
        converge_cut_short(mysql, MYSQL, point)?;
    }
    let last = said(mysql, &format!("converge --role {MYSQL}"))?;
    ensure!(last.status == 0, "the last run ended with {}", last.status);
    same(&state(mysql)?, undisturbed)?;
    nothing_left(mysql, MYSQL)
}
