//! The data volume is emptied, and comes back from the newest backup.

use anyhow::{Result, ensure};
use glrl_lab::Node;

use crate::node::glrl::{Database, MYSQL, confined, glrl, nothing_left};

/// What is to be the same: rows, and who may log in.
const DATA: &str = "mysql -N -e 'CHECKSUM TABLE shop.sale EXTENDED; SELECT COUNT(*) FROM shop.sale; SELECT user, host FROM mysql.user ORDER BY 1, 2; \
    SHOW CREATE TABLE shop.sale'";

pub(super) fn a_lost_database_comes_back(mysql: &Node, database: Database) -> Result<()> {
    let Database { service, .. } = database;
    // The writer of before.
    mysql.run("pkill -f '[s]eq 400'; sleep 1")?;
    let before = mysql.run(DATA)?;
    // Proven by what follows.
    let run = glrl(mysql, "backup run --set verify.after_backup=false")?;
    ensure!(run.success(), "the backup ended with {}", run.status);
    mysql.run("mysql -e 'DELETE FROM shop.sale WHERE id > 1'")?;

    let running = glrl(mysql, "restore --in-place")?;
    ensure!(
        running.status == 3 && running.stderr.contains("is not stopped"),
        "with a server that runs it ended with {}",
        running.status
    );
    mysql.run(&format!(
        "systemctl stop {service} && find /var/lib/mysql -mindepth 1 -delete"
    ))?;
    let restored = glrl(mysql, "restore --in-place")?;
    ensure!(restored.success(), "the restore ended with {}", restored.status);
    ensure!(
        restored.stdout.contains(&format!("systemctl start {service}")),
        "it does not say what is next"
    );
    mysql.run(&format!("systemctl start {service}"))?;
    let after = mysql.run(DATA)?;
    ensure!(before == after, "it was\n{before}and is\n{after}");
    confined(mysql, database)?;
    nothing_left(mysql, MYSQL)?;
    let run = glrl(mysql, "backup run")?;
    ensure!(
        run.success() && run.stdout.contains("verdict: ok"),
        "the backup of what was restored ended with {}: {}",
        run.status,
        run.stdout
    );
    Ok(())
}
