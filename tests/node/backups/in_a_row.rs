//! One backup after the other under a steady load, each verified, its recovered GTID that of its manifest. How many, `GLRL_BACKUPS` says.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Writer, database, nothing_but};
use crate::node::glrl::{LIMIT, glrl};

/// So many as the tests of every day can afford.
const FEW: usize = 3;

#[test]
fn backups_in_a_row_are_all_verified() -> Result<()> {
    let count = match std::env::var("GLRL_BACKUPS") {
        Ok(text) => text.parse().context("reading GLRL_BACKUPS")?,
        Err(_) => FEW,
    };
    let lab = database()?;
    let node = &lab["mysql"];
    let writer = Writer::start(node)?;
    let (mut holds, mut overheads, mut gtids) = (Vec::new(), Vec::new(), Vec::new());
    for done in 1..=count {
        let run = glrl(node, "backup run --quiet")?;
        ensure!(run.success(), "backup {done} ended with {}: {}", run.status, run.stderr);
        let manifest: Value =
            serde_json::from_str(&node.run("cat $(ls /srv/backup/*.json | grep -v verified | tail -1)")?)?;
        let verify = node.ssh_within("glrl verify --json", LIMIT)?;
        ensure!(verify.success(), "backup {done}: {}{}", verify.stdout, verify.stderr);
        let id = manifest["id"].as_str().context("an id")?;
        let verdict: Value = serde_json::from_str(&node.run(&format!("cat /srv/backup/{id}.verified.json"))?)?;
        ensure!(
            verdict["verdict"] == "ok" && verdict["id"] == manifest["id"],
            "{verdict}"
        );
        let checks = verdict["checks"].as_array().context("checks")?;
        let gtid = checks
            .iter()
            .find(|check| check["name"] == "gtid")
            .context("its GTID was not checked")?;
        // The check's detail is what the server on the unpacked data said.
        ensure!(
            gtid["outcome"] == "ok" && gtid["detail"] == manifest["coordinates"]["gtid"],
            "recovered {gtid}, the manifest says {}",
            manifest["coordinates"]
        );
        gtids.push(gtid["detail"].as_str().unwrap_or_default().to_owned());
        let lock = |what: &str| manifest["lock"][what].as_f64().with_context(|| format!("no {what}"));
        holds.push(lock("hold_ms")?);
        overheads.push(lock("hold_ms")? - lock("snapshot_ms")?);
        nothing_but(node, done)?;
        // Each takes a second at least, so that no two have one id; and none of them is needed any more but as a name.
        // By way of NFS, where a delegation (RFC 8881, 10.2) is the client's own.
        node.run("for archive in /backup/*.tar.zst; do truncate -s 0 $archive; done")?;
    }
    let committed = writer.goes_on()?;
    writer.stop()?;
    gtids.dedup();
    ensure!(
        gtids.len() == count,
        "nothing was written between two backups: {gtids:?}"
    );
    let (median, longest) = spread(&mut holds);
    let (own_median, own_longest) = spread(&mut overheads);
    println!(
        "{count} backups verified over {committed} commits; lock held {median:.1} ms in the median, {longest:.1} ms at most; \
         of that beside lvcreate {own_median:.1} and {own_longest:.1} ms"
    );
    Ok(())
}

/// The median and the longest.
pub(super) fn spread(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() - 1])
}
