//! How the backups are, for eyes.

use std::fmt::Write as _;

use anstyle::Style;

use super::{
    Verbosity,
    backup::{age, said, style},
    style::{CREATE, DIM, ERROR, STRONG, WARNING, paint},
    text::{bytes, count, duration, line},
};
use crate::backup::{Attempt, Health, Listed, Status, Verdict};

/// A few lines, and one more for each problem. Quietly, only the problems.
pub fn status(status: &Status, verbosity: Verbosity) -> String {
    let mut text = String::new();
    if verbosity != Verbosity::Quiet {
        let _ = writeln!(
            text,
            "{} {}\n",
            paint(STRONG, format_args!("Backups of {}:", status.instance)),
            paint(colour(status.health), status.health.word())
        );
        for (name, what) in rows(status) {
            let _ = writeln!(text, "  {} {what}", paint(DIM, format_args!("{name:10}")));
        }
        if !status.problems.is_empty() {
            text.push('\n');
        }
    }
    for problem in &status.problems {
        let sign = paint(colour(problem.health), format_args!("! {:9}", problem.health.word()));
        let _ = writeln!(text, "  {sign} {}", line(&problem.message));
    }
    text
}

fn rows(status: &Status) -> Vec<(&'static str, String)> {
    let since = |time: jiff::Timestamp| age(status.at.duration_since(time).as_secs());
    let mut rows = Vec::new();
    match &status.newest {
        // Nobody has looked, so nobody knows.
        None if status.free_bytes.is_none() => {
            rows.push(("newest", "unknown: the target cannot be reached".to_owned()));
        }
        None => rows.push(("newest", "there is none".to_owned())),
        Some(newest) => {
            rows.push(("newest", format!("{}, {} old", newest.id, age(newest.age_seconds))));
            if let Some(manifest) = &newest.manifest {
                let took = manifest.ended.duration_since(manifest.started).as_millis();
                let size = bytes(manifest.archive.digests.bytes);
                let took = duration(u64::try_from(took).unwrap_or(0));
                rows.push((
                    "",
                    format!(
                        "{size} in {took}, the database locked for {:.0} ms",
                        manifest.lock.hold_ms
                    ),
                ));
            }
            rows.push(("verdict", verdict(newest.verdict.as_ref(), &since)));
        }
    }
    let is_newest = |backup: &Listed| status.newest.as_ref().is_some_and(|newest| newest.id == backup.id);
    if let Some(backup) = status.newest_verified.as_ref().filter(|backup| !is_newest(backup)) {
        let said = verdict(backup.verdict.as_ref(), &since);
        rows.push((
            "proven",
            format!("{}, {} old: {said}", backup.id, age(backup.age_seconds)),
        ));
    }
    if let Some(last) = &status.history.last {
        rows.push(("last run", run(last, &since)));
        let failed = status.history.failures_in_a_row;
        if failed > 0 {
            let failed = count(usize::try_from(failed).unwrap_or(usize::MAX), "failure");
            let good = status.history.success.as_ref();
            let good = good.map_or_else(
                || "never a success".to_owned(),
                |run| format!("a success {} ago", since(run.started)),
            );
            rows.push(("", format!("{failed} in a row, {good}")));
        }
    }
    let target = status.free_bytes.map_or_else(
        || "unknown: it cannot be reached".to_owned(),
        |free| {
            format!(
                "{}, {} free",
                count(status.backups.unwrap_or_default(), "backup"),
                bytes(free)
            )
        },
    );
    rows.push(("target", target));
    if status.notifications_waiting > 0 {
        let waiting = count(status.notifications_waiting, "notification");
        rows.push(("", format!("{waiting} could not be delivered yet")));
    }
    rows
}

fn run(attempt: &Attempt, since: &dyn Fn(jiff::Timestamp) -> String) -> String {
    let how = match (attempt.failed(), attempt.ended) {
        (true, _) => paint(ERROR, "failed"),
        (false, None) => "under way".to_owned(),
        (false, Some(_)) => paint(CREATE, "ok"),
    };
    format!("{how}, begun {} ago", since(attempt.started))
}

fn verdict(verdict: Option<&Verdict>, since: &dyn Fn(jiff::Timestamp) -> String) -> String {
    verdict.map_or_else(
        || paint(DIM, "not verified"),
        |verdict| {
            let word = paint(style(verdict.verdict), said(verdict.verdict));
            format!("{word}, {} ago on {}", since(verdict.at), line(&verdict.host))
        },
    )
}

fn colour(health: Health) -> Style {
    match health {
        Health::Ok => CREATE.bold(),
        Health::Failed => WARNING,
        Health::Stale | Health::Corrupt | Health::Target => ERROR,
    }
}
