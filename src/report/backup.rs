//! What the backup programs do and find, for eyes.

use std::{fmt::Write as _, time::Duration};

use anstyle::Style;

use super::{
    Progress, Rendered, Verbosity,
    style::{CREATE, DIM, ERROR, REMOVE, RUN, STRONG, WARNING, paint},
    text::{bytes, count, duration, line},
};
use crate::backup::{Archived, Check, Grade, Listed, Manifest, Outcome, Pruned, Restored, Step, Verdict};

/// Renders the steps of a backup or a verification.
#[derive(Debug)]
pub struct Steps {
    verbosity: Verbosity,
}

impl Steps {
    /// A renderer at the start of a run.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// What there is to say about a step now.
    pub fn step(&self, step: &Step) -> Rendered {
        let mut said = Rendered::default();
        let mut progress = |far: String, now: &str| {
            said.progress = Some(Progress {
                far,
                now: now.to_owned(),
            });
        };
        match step {
            Step::Waiting { path, source, at_most } => {
                let what = format!("for {}", line(&path.display().to_string()));
                let detail = format!("{} is not mounted; at most {}", line(source), milliseconds(*at_most));
                said.out = entry('>', "waiting", RUN, &what, &detail);
            }
            Step::Mounted { path, took } => {
                let path = line(&path.display().to_string());
                said.out = entry('+', "mounted", CREATE, &path, &format!("after {}", milliseconds(*took)));
            }
            Step::Began { id, server } => said.out = heading(&format!("Backup {id}"), server),
            Step::Removed { what } => said.out = entry('-', "removed", REMOVE, &line(what), "left by a run that died"),
            Step::Locking { mode } => progress(String::new(), &format!("waiting for the lock ({})", line(mode))),
            Step::Frozen { wait, hold } => {
                let what = format!("for {}", milliseconds(*hold));
                said.out = entry(
                    '>',
                    "locked",
                    RUN,
                    &what,
                    &format!("after waiting {}", milliseconds(*wait)),
                );
            }
            Step::Grown { fill, bytes: size } => {
                let why = format!("it was {fill:.0} % full");
                said.out = entry('~', "snapshot", RUN, &format!("has {} now", bytes(*size)), &why);
            }
            Step::Copying {
                files,
                bytes: read,
                total,
                elapsed,
                ..
            } => {
                let files = count(usize::try_from(*files).unwrap_or(usize::MAX), "file");
                progress(format!("{files}, {}", far(*read, *total, *elapsed)), "copying");
            }
            Step::Complete { bytes: size, .. } => {
                said.out = entry('+', "archived", CREATE, &bytes(*size), "complete and on disk");
            }
            Step::Verifying { id } => said.out = heading(&format!("Verify {id}"), ""),
            Step::Restoring { id, to } => {
                said.out = heading(&format!("Restore {id}"), &format!("to {}", to.display()));
            }
            Step::Replaying { transactions, logs } => {
                let transactions = count(usize::try_from(*transactions).unwrap_or(usize::MAX), "transaction");
                progress(transactions, &format!("replaying {}", count(*logs, "binary log")));
            }
            Step::ArchivedLog(log) => {
                let transactions = count(usize::try_from(log.transactions).unwrap_or(usize::MAX), "transaction");
                said.out = entry('+', "archived", CREATE, &line(&log.name), &transactions);
            }
            Step::Syncing => progress(String::new(), "putting it to the disk"),
            Step::Checked(check) => said.out = checked(check),
            Step::Judged { dry_run, judged } => {
                let (sign, verb, style) = match (judged.keep, dry_run) {
                    (true, _) => (' ', "keep", DIM),
                    (false, true) => ('-', "delete", REMOVE),
                    (false, false) => ('-', "deleted", REMOVE),
                };
                let why = line(&judged.reasons.join(", "));
                said.out = entry(sign, verb, style, &judged.id.to_string(), &why);
            }
            Step::UselessLog { dry_run, name } => {
                let verb = if *dry_run { "delete" } else { "deleted" };
                let why = "older than every backup that is kept";
                said.out = entry('-', verb, REMOVE, &line(name), why);
            }
            Step::Warning { message } => said.err = format!("{} {}\n", paint(WARNING, "warning:"), line(message)),
        }
        if self.verbosity == Verbosity::Quiet {
            said.out.clear();
            said.progress = None;
        }
        said
    }

    /// The closing line of a backup.
    pub fn complete(&self, manifest: &Manifest) -> String {
        if self.verbosity == Verbosity::Quiet {
            return String::new();
        }
        let took = manifest.ended.duration_since(manifest.started);
        format!(
            "\n{} of {} archived in {}\n",
            paint(STRONG, bytes(manifest.files.bytes)),
            count(usize::try_from(manifest.files.count).unwrap_or(usize::MAX), "file"),
            duration(u64::try_from(took.as_millis()).unwrap_or(0))
        )
    }

    /// The closing line of what was kept and deleted.
    pub fn pruned(&self, pruned: &Pruned, dry_run: bool) -> String {
        if self.verbosity == Verbosity::Quiet {
            return String::new();
        }
        let verb = if dry_run { "to be deleted" } else { "deleted" };
        format!("\n{} {verb}, {} kept\n", paint(STRONG, pruned.gone()), pruned.kept())
    }

    /// The closing lines of a restore.
    pub fn restored(&self, restored: &Restored) -> String {
        if self.verbosity == Verbosity::Quiet {
            return String::new();
        }
        let files = count(usize::try_from(restored.files).unwrap_or(usize::MAX), "file");
        let mut text = format!(
            "\n{} of {files} restored to {} in {} ({})\n",
            paint(STRONG, bytes(restored.bytes)),
            line(&restored.to.display().to_string()),
            milliseconds(restored.took),
            rate(restored.bytes, restored.took),
        );
        if let Some(replayed) = &restored.replayed {
            let last = replayed
                .last
                .map(|at| format!(", the last of {at}"))
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "  replayed: {} from {} in {}{last}",
                count(
                    usize::try_from(replayed.transactions).unwrap_or(usize::MAX),
                    "transaction"
                ),
                count(replayed.logs, "binary log"),
                milliseconds(replayed.took),
            );
        }
        if let Some(gtid) = &restored.gtid {
            let _ = writeln!(text, "  gtid: {}", line(gtid));
        }
        let _ = writeln!(text, "  next: {}", line(&restored.next));
        text
    }

    /// The closing line of an archiving of binary logs.
    pub fn archived(&self, archived: &Archived) -> String {
        if self.verbosity == Verbosity::Quiet {
            return String::new();
        }
        let last = archived.last.as_ref().map(|gtid| format!(", up to {}", line(gtid)));
        format!(
            "\n{} archived in {}, {} were there{}\n",
            count(archived.logs.len(), "binary log"),
            milliseconds(archived.took),
            archived.before,
            last.unwrap_or_default(),
        )
    }

    /// The closing line of a verification; said even quietly if it is not good.
    pub fn verdict(&self, verdict: &Verdict) -> String {
        if self.verbosity == Verbosity::Quiet && verdict.verdict == Grade::Ok {
            return String::new();
        }
        let id = verdict
            .id
            .as_ref()
            .map_or_else(|| "there is no backup".to_owned(), ToString::to_string);
        let told = |check: &&Check| matches!(check.outcome, Outcome::Failed | Outcome::Warning);
        let why: Vec<String> = verdict
            .checks
            .iter()
            .filter(told)
            .map(|check| format!("{}: {}", line(&check.name), line(&check.detail)))
            .collect();
        let mut text = format!(
            "\n{} {}, {id} ({} on {}{})\n",
            paint(STRONG, "verdict:"),
            paint(style(verdict.verdict), said(verdict.verdict)),
            milliseconds(verdict.took),
            line(&verdict.host),
            if verdict.on_database_node {
                ", the database's own node"
            } else {
                ""
            }
        );
        for why in why {
            let _ = writeln!(text, "  {why}");
        }
        text
    }
}

/// The backups there are, as a table, the newest last.
pub fn list(backups: &[Listed]) -> String {
    if backups.is_empty() {
        return "there are no backups\n".to_owned();
    }
    let heads = ["BACKUP", "AGE", "SIZE", "LOCK", "VERDICT"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once((DIM, heads)).chain(backups.iter().map(row)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|(_, row)| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for (style, [id, age, size, lock, verdict]) in &rows {
        let _ = writeln!(
            text,
            "{id:0$}  {age:>1$}  {size:>2$}  {lock:>3$}  {4}",
            widths[0],
            widths[1],
            widths[2],
            widths[3],
            paint(*style, verdict)
        );
    }
    text
}

/// A backup's row, and the colour of its verdict.
fn row(backup: &Listed) -> (Style, [String; 5]) {
    let of = |show: fn(&Manifest) -> String| backup.manifest.as_ref().map_or_else(|| "-".to_owned(), show);
    let (style, verdict) = match (&backup.broken, &backup.verdict) {
        (Some(broken), _) => (ERROR, format!("broken: {}", line(broken))),
        (None, Some(verdict)) => (
            style(verdict.verdict),
            format!("{}, on {}", said(verdict.verdict), line(&verdict.host)),
        ),
        (None, None) => (DIM, "not verified".to_owned()),
    };
    let encrypted = backup
        .manifest
        .as_ref()
        .is_some_and(|manifest| manifest.encryption.is_some());
    let other = backup.other_server.as_ref();
    let other = other.map_or_else(String::new, |server| format!(", of another server: {}", line(server)));
    let verdict = verdict + if encrypted { ", encrypted" } else { "" } + &other;
    let cells = [
        backup.id.to_string(),
        age(backup.age_seconds),
        of(|manifest| bytes(manifest.archive.digests.bytes)),
        of(|manifest| format!("{:.0} ms", manifest.lock.hold_ms)),
        verdict,
    ];
    (style, cells)
}

fn checked(check: &Check) -> String {
    let (sign, verb, style) = match check.outcome {
        Outcome::Ok => (' ', "ok", CREATE),
        Outcome::Warning => ('!', "warning", WARNING),
        Outcome::Skipped => (' ', "skipped", DIM),
        Outcome::Failed => ('!', "failed", ERROR),
    };
    entry(
        sign,
        verb,
        style,
        &format!("{:16}", line(&check.name)),
        &line(&check.detail),
    )
}

pub(super) fn said(word: Grade) -> &'static str {
    match word {
        Grade::Ok => "ok",
        Grade::Unverified => "not verified",
        Grade::Stale => "stale",
        Grade::Corrupt => "corrupt",
    }
}

pub(super) fn style(word: Grade) -> Style {
    match word {
        Grade::Ok => CREATE.bold(),
        Grade::Unverified => WARNING,
        Grade::Stale | Grade::Corrupt => ERROR,
    }
}

fn heading(title: &str, detail: &str) -> String {
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!(": {}", line(detail))
    };
    format!("{}{detail}\n\n", paint(STRONG, title))
}

/// `  > locked    for 132 ms  after waiting 12 ms`, in the columns of a plan.
fn entry(sign: char, verb: &str, style: Style, what: &str, detail: &str) -> String {
    format!(
        "  {} {what}  {}\n",
        paint(style, format_args!("{sign} {verb:9}")),
        paint(DIM, detail)
    )
}

/// `1.2 GiB of 3 GiB, 320 MiB/s, 6 s left`.
fn far(done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = rate(done, elapsed);
    let Some(total) = total.filter(|total| *total >= done) else {
        return format!("{}, {rate}", bytes(done));
    };
    let left = elapsed.as_secs_f64() * ratio(total - done, done);
    let left = Duration::try_from_secs_f64(left).map(|left| left.as_secs());
    // What is left is a guess before there is something to guess from.
    let left = match left {
        Ok(seconds) if elapsed >= Duration::from_secs(1) => format!(", {} left", duration(seconds * 1000)),
        _ => String::new(),
    };
    format!("{} of {}, {rate}{left}", bytes(done), bytes(total))
}

/// `320 MiB/s`.
fn rate(done: u64, elapsed: Duration) -> String {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = u128::from(done) * 1000 / u128::from(milliseconds);
    format!("{}/s", bytes(u64::try_from(rate).unwrap_or(u64::MAX)))
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}

fn milliseconds(time: Duration) -> String {
    duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// In the largest unit: `5 min`, `7 h`, `12 d`.
pub(super) fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backup::Replayed;

    fn told(steps: &[Step], verbosity: Verbosity) -> String {
        let renderer = Steps::new(verbosity);
        let mut text = String::new();
        for step in steps {
            let said = renderer.step(step);
            text += &said.err;
            text += &said.out;
        }
        anstream::adapter::strip_str(&text).to_string()
    }

    fn from<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn checks() -> Vec<Check> {
        from(json!([
            { "name": "fresh", "outcome": "ok", "word": "ok", "detail": "made 2 h ago" },
            { "name": "gtid", "outcome": "skipped", "word": "ok", "detail": "the server wrote no binary log" },
            { "name": "tables", "outcome": "failed", "word": "corrupt", "detail": "shop.orders: index PRIMARY is corrupted" },
        ]))
    }

    fn verdict(word: &str) -> Verdict {
        from(json!({
            "verdict": word, "id": "mysql-db1-20261101T031500Z", "at": "2026-11-01T05:00:00Z", "took_ms": 61500.0,
            "host": "verify1", "checks": if word == "ok" { json!([]) } else { json!(checks()) },
        }))
    }

    #[test]
    fn a_backup_is_a_story() {
        let id: crate::backup::BackupId = "mysql-db1-20261101T031500Z".parse().unwrap();
        let steps = [
            Step::Began {
                id: id.clone(),
                server: "MariaDB 10.11.19".to_owned(),
            },
            Step::Removed {
                what: "the snapshot mysql/glrl_backup_1".to_owned(),
            },
            Step::Locking { mode: "BACKUP STAGE" },
            Step::Frozen {
                wait: Duration::from_millis(12),
                hold: Duration::from_millis(132),
            },
            Step::Copying {
                files: 120,
                bytes: 1 << 30,
                total: None,
                archived: 1 << 28,
                elapsed: Duration::from_secs(4),
            },
            Step::Warning {
                message: "the snapshot did not go".to_owned(),
            },
            Step::Complete {
                id: id.clone(),
                bytes: 746_586_112,
                took: Duration::from_secs(41),
            },
            Step::Verifying { id },
        ];
        let checked = checks().into_iter().map(Step::Checked);
        let steps: Vec<Step> = steps.into_iter().chain(checked).collect();
        insta::assert_snapshot!(told(&steps, Verbosity::Normal));
        insta::assert_snapshot!(told(&steps, Verbosity::Quiet), @"warning: the snapshot did not go");
    }

    #[test]
    fn how_far_it_is_is_a_rate_and_a_guess() {
        let (gib, seconds) = (1 << 30, Duration::from_secs);
        for (done, total, elapsed, text) in [
            (
                gib,
                Some(3 * gib),
                seconds(4),
                "1.0 GiB of 3.0 GiB, 256 MiB/s, 8.0 s left",
            ),
            (gib, None, seconds(4), "1.0 GiB, 256 MiB/s"),
            // A guess from nothing is none, and what has become more has no end.
            (
                gib,
                Some(3 * gib),
                Duration::from_millis(500),
                "1.0 GiB of 3.0 GiB, 2.0 GiB/s",
            ),
            (0, Some(gib), seconds(60), "0 B of 1.0 GiB, 0 B/s"),
            (2 * gib, Some(gib), seconds(2), "2.0 GiB, 1.0 GiB/s"),
        ] {
            assert_eq!(far(done, total, elapsed), text);
        }
    }

    #[test]
    fn a_restore_says_what_it_did_and_what_is_next() {
        let restored: Restored = Restored {
            id: "mysql-db1-20261101T031500Z".parse().unwrap(),
            to: "/var/lib/mysql".into(),
            datadir: "/var/lib/mysql".into(),
            files: 1204,
            bytes: 3 << 30,
            gtid: Some("0-1-4711".to_owned()),
            replayed: Some(Replayed {
                until: "0-1-4711".to_owned(),
                transactions: 500,
                logs: 2,
                last: Some("2026-11-01T04:00:00Z".parse().unwrap()),
                took: Duration::from_secs(3),
            }),
            took: Duration::from_secs(24),
            next: "systemctl start mariadb".to_owned(),
        };
        let text = Steps::new(Verbosity::Normal).restored(&restored);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        3.0 GiB of 1204 files restored to /var/lib/mysql in 24.0 s (128 MiB/s)
          replayed: 500 transactions from 2 binary logs in 3.0 s, the last of 2026-11-01T04:00:00Z
          gtid: 0-1-4711
          next: systemctl start mariadb
        ");
        assert_eq!(Steps::new(Verbosity::Quiet).restored(&restored), "");
    }

    #[test]
    fn a_verdict_is_one_word_and_its_causes() {
        let steps = Steps::new(Verbosity::Normal);
        let text: String = ["ok", "stale", "corrupt", "unverified"]
            .map(|word| steps.verdict(&verdict(word)))
            .concat();
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
        assert_eq!(Steps::new(Verbosity::Quiet).verdict(&verdict("ok")), "");
    }

    fn manifest() -> Manifest {
        let digests = json!({ "bytes": 746_586_112, "blake3": "", "sha256": "" });
        from(json!({
            "schema": 1, "id": "mysql-db1-20261101T031500Z", "host": "db1", "glrl": "0.1.0",
            "started": "2026-11-01T03:15:00Z", "ended": "2026-11-01T03:15:41Z",
            "server": {
                "flavour": "mariadb", "version": "10.11.19", "version_text": "10.11.19-MariaDB", "uuid": null,
                "plugins": [], "variables": {},
            },
            "coordinates": { "binlog": null, "gtid": null, "gtid_slave_pos": null, "replicas": [] },
            "lock": { "mode": "BACKUP STAGE", "wait_ms": 12.0, "hold_ms": 132.4, "budget_ms": 5000.0 },
            "volume": { "group": "mysql", "name": "data", "mount_point": "/var/lib/mysql", "filesystem": "xfs", "datadir": "." },
            "snapshot": { "name": "glrl_backup_1", "bytes": 1 << 30, "fill_percent": 2.5 },
            "archive": { "format": "tar+zstd", "level": 3, "bytes": 746_586_112, "blake3": "", "sha256": "" },
            "files": { "count": 1204, "bytes": 2_576_980_377_u64, "stored": 0, "list": digests, "left_out": [] },
        }))
    }

    #[test]
    fn backups_are_a_table() {
        let listed = |time: &str, broken: Option<&str>, word: Option<&str>, manifest: Option<Manifest>| Listed {
            id: format!("mysql-db1-202611{time}Z").parse().unwrap(),
            age_seconds: 3 * 86_400,
            broken: broken.map(str::to_owned),
            verdict: word.map(verdict),
            other_server: None,
            manifest,
        };
        let backups = [
            listed("01T031500", Some("its archive is gone"), None, None),
            listed("02T031500", None, Some("corrupt"), Some(manifest())),
            listed("03T031500", None, Some("ok"), Some(manifest())),
            listed("04T031500", None, None, Some(manifest())),
        ];
        let text = list(&backups) + &list(&[]) + &Steps::new(Verbosity::Normal).complete(&manifest());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
    }
}
