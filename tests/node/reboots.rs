//! Machines that go down and come back: all of them in good order, in every order that matters, and the database's node by a power cut while
//! it writes and is backed up. Afterwards all is as it was, and what was committed is there.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use glrl_lab::{Disk, Lab, Node, NodeSpec};

use super::{
    glrl::{BACKUP, Database, LIMIT, MARIADB_ON_DEBIAN, MYSQL, MYSQL_ON_UBUNTU, VERIFY, glrl, install, said, write},
    moved::{CHECKSUMS, prepared},
    spine::verdicts::{Told, listen},
};

/// Longer than a boot takes on a busy machine without virtualisation, and the time that an NFS server then waits for its clients.
const MINUTES: Duration = Duration::from_mins(8);
/// So long systemd waits for a mount that nobody has said otherwise of (`DefaultTimeoutStartSec`), in seconds.
const PATIENCE: u32 = 90;

/// Those orders that tell most for their time.
#[test]
fn machines_come_back() -> Result<()> {
    let machines = Machines::converged(MARIADB_ON_DEBIAN)?;
    machines.the_backup_server_comes_last()?;
    machines.the_database_loses_power_under_load()?;
    machines.a_stale_backup_is_told_once_and_when_it_is_well()
}

#[test]
#[ignore = "takes long: make test-long"]
fn machines_come_back_in_any_order() -> Result<()> {
    in_any_order(MARIADB_ON_DEBIAN)
}

#[test]
#[ignore = "takes long: make test-long"]
fn ubuntu_machines_come_back_in_any_order() -> Result<()> {
    if let Some(why) = Lab::unavailable(MYSQL_ON_UBUNTU.release)? {
        println!("skipped: {why}");
        return Ok(());
    }
    in_any_order(MYSQL_ON_UBUNTU)
}

fn in_any_order(database: Database) -> Result<()> {
    let machines = Machines::converged(database)?;
    machines.the_backup_server_alone()?;
    machines.the_others_alone()?;
    machines.all_at_once()?;
    machines.the_backup_server_comes_last()?;
    machines.the_database_loses_power_under_load()?;
    machines.a_stale_backup_is_told_once_and_when_it_is_well()
}

struct Machines {
    lab: Lab,
    database: Database,
    /// What the database holds that nobody changes.
    kept: String,
    role: String,
}

impl Machines {
    /// The three machines of the roles, with a database that was moved onto its volume, and a backup of it.
    fn converged(database: Database) -> Result<Self> {
        let Database { release, service, .. } = database;
        let node = |name: &str| NodeSpec::new(name).release(release).prepared(&prepared(database));
        let lab = Lab::start([
            node("backup").disk(Disk::empty("data")),
            node("mysql").disk(Disk::empty("data")),
            node("verify"),
        ])?;
        let kept = lab["mysql"].run(CHECKSUMS)?;
        let machines = Self {
            lab,
            database,
            kept,
            // The node that verifies does that.
            role: format!("{MYSQL} --set move_data=true --set verify_after_backup=false"),
        };
        machines.each(|node, role| {
            install(node)?;
            // An NFS server that has booted lets its clients come back before anybody opens anything new: that takes the test's time.
            node.run("printf '[nfsd]\\ngrace-time=15\\nlease-time=15\\n' > /etc/nfs.conf.d/test.conf")?;
            if node.name() != "mysql" {
                node.run(&format!("systemctl disable --now {service}"))?;
            }
            let converge = said(node, &format!("converge --role {role}"))?;
            ensure!(
                converge.status == 0,
                "{}: it ended with {}",
                node.name(),
                converge.status
            );
            Ok(())
        })?;
        // And what takes a while to copy; the server does not mind it.
        machines.mysql().run(
            "mysql -e 'CREATE TABLE shop.sale (id INT PRIMARY KEY, what TEXT)' && head -c 60M /dev/urandom > /var/lib/mysql/ballast",
        )?;
        machines.backs_up_and_verifies()?;
        Ok(machines)
    }

    fn backup(&self) -> &Node {
        &self.lab["backup"]
    }

    fn mysql(&self) -> &Node {
        &self.lab["mysql"]
    }

    fn verify(&self) -> &Node {
        &self.lab["verify"]
    }

    fn role(&self, name: &str) -> &str {
        match name {
            "backup" => BACKUP,
            "mysql" => &self.role,
            _ => VERIFY,
        }
    }

    /// Does something on each, with its role, at the same time.
    fn each(&self, work: impl Fn(&Node, &str) -> Result<()> + Sync) -> Result<()> {
        self.some(&["backup", "mysql", "verify"], work)
    }

    fn some(&self, names: &[&str], work: impl Fn(&Node, &str) -> Result<()> + Sync) -> Result<()> {
        let work = &work;
        thread::scope(|scope| {
            let runs: Vec<_> = names
                .iter()
                .map(|name| (name, scope.spawn(move || work(&self.lab[name], self.role(name)))))
                .collect();
            runs.into_iter().try_for_each(|(name, run)| {
                let done = run.join().unwrap_or_else(|_| Err(anyhow!("it panicked")));
                done.with_context(|| format!("node {name}"))
            })
        })
    }

    /// The clients hold their mounts, and wait for it.
    fn the_backup_server_alone(&self) -> Result<()> {
        self.backup().reboot()?;
        self.all_is_well()
    }

    fn the_others_alone(&self) -> Result<()> {
        self.some(&["mysql", "verify"], |node, _| node.reboot())?;
        self.all_is_well()
    }

    fn all_at_once(&self) -> Result<()> {
        self.each(|node, _| node.reboot())?;
        self.all_is_well()
    }

    /// It comes when everybody else has long since booted, and the backup of the night has begun.
    fn the_backup_server_comes_last(&self) -> Result<()> {
        self.some(&["mysql", "verify"], |node, _| node.power_off())?;
        self.backup().power_off()?;
        self.some(&["mysql", "verify"], |node, _| {
            node.boot()?;
            node.run(&format!(
                "while [ $(cut -d . -f 1 /proc/uptime) -le {} ]; do sleep 1; done; ! mountpoint -q /backup",
                PATIENCE + 5
            ))
            .map(drop)
        })?;
        self.mysql().run(
            "nohup glrl backup run --set target.wait=30m > /root/night 2>&1 < /dev/null & \
             timeout 60 sh -c 'until grep -q waiting /root/night; do sleep 0.2; done'",
        )?;
        self.backup().boot()?;
        // Nobody waits on this one: the mount comes back by itself.
        within(self.verify(), "mountpoint -q /backup && mountpoint -q /verdicts")?;
        within(self.mysql(), "! pgrep -x glrl")?;
        let night = self.mysql().run("cat /root/night")?;
        println!("{night}");
        ensure!(
            night.contains("mounted") && night.contains("archived"),
            "the backup of the night was lost: {night}"
        );
        self.all_is_well()
    }

    /// What a client was told to be committed is there after the power is back, and nothing of the backup that was under way is left.
    fn the_database_loses_power_under_load(&self) -> Result<()> {
        let (backup, mysql) = (self.backup(), self.mysql());
        // What is committed is written down where the power stays.
        write(backup, "/root/listen.pl", LISTEN)?;
        backup.run("perl /root/listen.pl > /dev/null 2>&1 < /dev/null")?;
        write(mysql, "/root/load.sh", LOAD)?;
        mysql.run("nohup bash /root/load.sh > /root/load 2>&1 < /dev/null &")?;
        let count = |more: u32| format!("test $(wc -l < /root/committed) -gt {more}");
        within(backup, &count(20))?;
        mysql.run("nohup glrl backup run > /root/cut 2>&1 < /dev/null &")?;
        within(backup, "ls /backup/*.tar.zst.*.partial")?;
        let before: u32 = backup.run("wc -l < /root/committed")?.trim().parse()?;
        within(backup, &count(before + 5))?;
        mysql.power_cut();
        let committed: u32 = backup.run("tail -n 1 /root/committed")?.trim().parse()?;
        mysql.boot()?;
        let there = within(mysql, "mysql -N -e 'SELECT 1'").and_then(|()| {
            mysql.run(&format!(
                "mysql -N -e 'SELECT COUNT(*) FROM shop.sale WHERE id <= {committed}'"
            ))
        })?;
        ensure!(
            there.trim() == committed.to_string(),
            "{committed} rows were committed, and {there} of them are there"
        );
        println!("{committed} rows were committed before the power was cut, and are there");
        self.all_is_well()
    }

    /// A night without a backup passes.
    fn a_stale_backup_is_told_once_and_when_it_is_well(&self) -> Result<()> {
        let told = Told {
            backup: self.backup(),
            verify: self.verify(),
        };
        listen(self.backup())?;
        self.each(|node, _| node.run("date --set @$(($(date +%s) + 27 * 3600))").map(drop))?;
        told.verdict("", 15, "stale", " old")?;
        self.back_up()?;
        told.verdict("", 0, "success", "it restores")
    }

    /// Mounts, services, data and plans are as they were, nothing of a run is left, and backups are made and proven.
    fn all_is_well(&self) -> Result<()> {
        for node in [self.mysql(), self.verify()] {
            within(node, "mountpoint -q /backup && mountpoint -q /verdicts")?;
        }
        within(self.mysql(), "mysql -N -e 'SELECT 1'")?;
        self.each(|node, role| {
            node.run("systemctl is-system-running --wait > /dev/null; ! systemctl --failed --no-legend | grep .")
                .context("units have failed")?;
            let plan = said(node, &format!("plan --role {role} --detailed-exitcode"))?;
            ensure!(
                plan.status == 0,
                "the plan is not empty: {:?}",
                plan.with("planned", "changed")
            );
            Ok(())
        })?;
        let kept = self.mysql().run(CHECKSUMS)?;
        ensure!(kept == self.kept, "it was\n{}and is\n{kept}", self.kept);
        self.backs_up_and_verifies()
    }

    fn backs_up_and_verifies(&self) -> Result<()> {
        self.back_up()?;
        let verdict = glrl(self.verify(), "verify")?;
        ensure!(
            verdict.success(),
            "its verdict is {}: {}",
            verdict.status,
            verdict.stdout
        );
        Ok(())
    }

    /// A backup that leaves nothing but itself.
    fn back_up(&self) -> Result<()> {
        let run = glrl(self.mysql(), "backup run")?;
        ensure!(run.success(), "the backup ended with {}: {}", run.status, run.stderr);
        let left = self.mysql().run(
            "lvs --noheadings -o lv_name mysql | grep -v '^ *data *$' || true; \
             findmnt --list --noheadings -o TARGET | grep ^/run/glrl || true; ls /backup | grep partial || true",
        )?;
        ensure!(left.is_empty(), "something is left: {left}");
        let Database { service, .. } = self.database;
        ensure!(
            self.mysql().ssh(&format!("systemctl is-active {service}"))?.success(),
            "{service} does not run"
        );
        Ok(())
    }
}

/// Waits until a command succeeds.
fn within(node: &Node, command: &str) -> Result<()> {
    let deadline = Instant::now() + MINUTES;
    while !node
        .ssh_within(&format!("{{ {command}; }} > /dev/null 2>&1"), LIMIT)?
        .success()
    {
        ensure!(
            Instant::now() < deadline,
            "{}: not in {MINUTES:?}: {command}",
            node.name()
        );
        thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// Commits row after row, and tells the backup node of each that is committed.
const LOAD: &str = "for ((i = 1; ; i++)); do \
    echo \"INSERT INTO shop.sale VALUES ($i, REPEAT(MD5(RAND()), 30)); SELECT $i;\"; \
    done | mysql -N --unbuffered > /dev/tcp/192.168.56.10/7000\n";

/// Writes down what it is told, in the background as soon as it listens. It ends by itself, whatever becomes of the test.
const LISTEN: &str = "use IO::Socket::INET; open my $file, '>', '/root/committed' or die; $file->autoflush;
my $server = IO::Socket::INET->new(LocalPort => 7000, Listen => 1, ReuseAddr => 1) or die;
exit if fork; alarm 1800; my $peer = $server->accept; print $file $_ while <$peer>;\n";
