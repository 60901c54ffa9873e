//! What the node that verifies says of a backup that is damaged, too old, or gone; who is told, and what the node that makes backups sees.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use crate::node::glrl::{glrl, write};

const RECEIVER: &str = include_str!("receiver.pl");
/// Where it keeps what it is told.
const TOLD: &str = "/root/told";
/// It listens on the backup node.
const NOTIFY: &str = "--set notify.webhook.url=http://192.168.56.10:8080/hook \
    --set 'notify.mail={to: [ops@example.org], smtp: {host: 192.168.56.10, port: 2525, tls: none}}'";

pub(super) fn verdicts_change_and_are_told(backup: &Node, mysql: &Node, verify: &Node) -> Result<()> {
    listen(backup)?;
    let archive = backup.run("ls /backup/*.tar.zst | tail -1")?.trim().to_owned();

    backup.run(&format!(
        "cp --sparse=never {archive} /root/kept; printf x | dd of={archive} bs=1 seek=100000 conv=notrunc status=none; sync"
    ))?;
    Told { backup, verify }.verdict("", 16, "fail", "it does not restore: ")?;
    let status = glrl(mysql, "backup status")?;
    ensure!(
        status.status == 16,
        "the database's node does not see it: {}",
        status.stdout
    );
    backup.run(&format!("cat /root/kept > {archive}; rm /root/kept; sync"))?;

    Told { backup, verify }.verdict("--max-age 1s", 15, "stale", " old")?;

    backup.run("mkdir /backup/away && mv /backup/mysql-* /backup/away && sync")?;
    Told { backup, verify }.verdict("", 15, "stale", "there is no backup of mysql")?;
    backup.run("mv /backup/away/* /backup && rmdir /backup/away && sync")?;

    Told { backup, verify }.verdict("", 0, "success", "it restores")?;
    let list = glrl(mysql, "backup list")?;
    ensure!(
        list.stdout.contains("ok, on verify"),
        "its verdict is not seen: {}",
        list.stdout
    );
    Ok(())
}

/// Starts who takes what is told, on the backup node.
pub(in crate::node) fn listen(backup: &Node) -> Result<()> {
    write(backup, "/root/receiver.pl", RECEIVER)?;
    backup
        .run(&format!("perl /root/receiver.pl {TOLD} > /dev/null 2>&1 < /dev/null"))
        .map(drop)
}

pub(in crate::node) struct Told<'a> {
    pub(in crate::node) backup: &'a Node,
    pub(in crate::node) verify: &'a Node,
}

impl Told<'_> {
    /// A verification that ends like this, of which the webhook is told once, and by mail where it is no success.
    pub(in crate::node) fn verdict(&self, arguments: &str, status: i32, event: &str, says: &str) -> Result<()> {
        self.backup.run(&format!("rm -f {TOLD}"))?;
        let verdict = glrl(self.verify, &format!("verify {arguments} {NOTIFY}"))?;
        ensure!(
            verdict.status == status,
            "the verdict was to be {status}, and is {}: {}{}",
            verdict.status,
            verdict.stdout,
            verdict.stderr
        );
        let told = self.backup.run(&format!("cat {TOLD}"))?;
        println!("{told}");
        let ends: Vec<_> = told
            .lines()
            .filter(|line| line.starts_with("http: ") && !line.contains("\"event\":\"start\""))
            .collect();
        ensure!(
            ends.len() == 1 && ends[0].contains(&format!("\"event\":\"{event}\"")) && ends[0].contains(says),
            "the webhook was not told once of {event}, '{says}': {told}"
        );
        ensure!(
            told.contains("mail: Subject: ") == (status != 0),
            "mail is sent of failures and staleness: {told}"
        );
        Ok(())
    }
}
