//! Metrics for `node_exporter`'s textfile collector: one file an instance, in Prometheus' text format 0.0.4. They are all gauges of what is
//! so now, made anew after every run from its record and from what is on the target. `docs/guides/monitoring.md` has the list.

#[cfg(test)]
pub(crate) mod tests;

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::{Context, Result};
use glrl_node::system::state::StateDir;
use jiff::Timestamp;

use crate::{
    model::manifest::Manifest,
    operate::status::{Health, Status, status},
    settings::Settings,
    state::history::{Attempt, History, Records},
    store::list::Listed,
};

/// Writes them, if there is somewhere to write them to.
pub(crate) fn write(settings: &Settings) -> Result<()> {
    let Some(directory) = &settings.notify.metrics else {
        return Ok(());
    };
    let status = status(settings).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let verified = Records::glance(settings, "verify")?;
    let binlogs = Records::glance(settings, "binlogs")?;
    let text = render(&Look {
        status: &status,
        verified: &verified,
        binlogs: &binlogs,
    });
    let name = format!("glrl_backup_{}.prom", settings.instance);
    StateDir::if_any(Path::new("/"), directory)?
        .with_context(|| format!("there is no directory {directory} for metrics"))?
        .publish(&name, text.as_bytes())
}

/// What metrics are made from.
struct Look<'a> {
    status: &'a Status,
    verified: &'a History,
    binlogs: &'a History,
}

impl<'a> Look<'a> {
    fn last(&self) -> Option<&'a Attempt> {
        self.status.history.last.as_ref()
    }

    fn manifest(&self) -> Option<&'a Manifest> {
        self.status.newest.as_ref()?.manifest.as_ref()
    }

    fn proven(&self) -> Option<&'a Listed> {
        self.status.newest_verified.as_ref()
    }
}

/// A metric: its name, what it says, its value if there is one.
type Metric = (&'static str, &'static str, fn(&Look<'_>) -> Option<f64>);

const METRICS: [Metric; 26] = [
    (
        "glrl_backup_last_success_timestamp_seconds",
        "When the last run that made a backup ended.",
        |look| {
            look.status
                .history
                .success
                .as_ref()
                .and_then(|run| run.ended)
                .map(seconds)
        },
    ),
    (
        "glrl_backup_last_run_timestamp_seconds",
        "When the last run began.",
        |look| look.last().map(|run| seconds(run.started)),
    ),
    (
        "glrl_backup_last_run_success",
        "Whether the last run succeeded.",
        |look| look.last().map(|run| is(!run.failed())),
    ),
    (
        "glrl_backup_last_run_exit_code",
        "The exit status of the last run.",
        |look| look.last()?.exit_code.map(f64::from),
    ),
    ("glrl_backup_runs", "Runs since the record began.", |look| {
        look.last().map(|_| number(look.status.history.runs))
    }),
    ("glrl_backup_failures", "Those of them that failed.", |look| {
        look.last().map(|_| number(look.status.history.failures))
    }),
    (
        "glrl_backup_failures_in_a_row",
        "Runs that have failed since the last success.",
        |look| look.last().map(|_| number(look.status.history.failures_in_a_row)),
    ),
    (
        "glrl_backup_newest_timestamp_seconds",
        "When the newest whole backup was begun.",
        |look| look.status.newest.as_ref().map(|newest| seconds(newest.id.at())),
    ),
    ("glrl_backup_bytes", "Size of the newest backup's archive.", |look| {
        look.manifest().map(|manifest| number(manifest.archive.digests.bytes))
    }),
    ("glrl_backup_data_bytes", "Size of the files in it.", |look| {
        look.manifest().map(|manifest| number(manifest.files.bytes))
    }),
    ("glrl_backup_files", "How many files are in it.", |look| {
        look.manifest().map(|manifest| number(manifest.files.count))
    }),
    ("glrl_backup_duration_seconds", "How long it took to make.", |look| {
        look.manifest()
            .map(|manifest| manifest.ended.duration_since(manifest.started).as_secs_f64())
    }),
    (
        "glrl_backup_lock_seconds",
        "How long the database was locked for it.",
        |look| look.manifest().map(|manifest| milliseconds(manifest.lock.hold_ms)),
    ),
    (
        "glrl_backup_lock_wait_seconds",
        "How long the lock was waited for.",
        |look| look.manifest().map(|manifest| milliseconds(manifest.lock.wait_ms)),
    ),
    ("glrl_backup_lock_budget_seconds", "The limit of either.", |look| {
        look.manifest().map(|manifest| milliseconds(manifest.lock.budget_ms))
    }),
    (
        "glrl_backup_snapshot_fill_ratio",
        "How full its snapshot got, 1 being lost.",
        |look| look.manifest().map(|manifest| manifest.snapshot.fill_percent / 100.0),
    ),
    ("glrl_backup_count", "Whole backups on the target.", |look| {
        look.status.backups.map(|backups| number(backups as u64))
    }),
    ("glrl_backup_target_free_bytes", "Room on the target.", |look| {
        look.status.free_bytes.map(number)
    }),
    (
        "glrl_backup_verified_timestamp_seconds",
        "When the newest backup that is known to restore was verified.",
        |look| look.proven()?.verdict.as_ref().map(|verdict| seconds(verdict.at)),
    ),
    (
        "glrl_backup_verified_backup_timestamp_seconds",
        "When that backup was begun: what a restore goes back to.",
        |look| look.proven().map(|backup| seconds(backup.id.at())),
    ),
    (
        "glrl_backup_verify_last_run_timestamp_seconds",
        "When this node last verified.",
        |look| look.verified.last.as_ref().map(|run| seconds(run.started)),
    ),
    (
        "glrl_backup_verify_last_run_success",
        "Whether that found a backup that restores.",
        |look| look.verified.last.as_ref().map(|run| is(!run.failed())),
    ),
    (
        "glrl_backup_verify_failures_in_a_row",
        "Verifications since the last that did.",
        |look| {
            look.verified
                .last
                .as_ref()
                .map(|_| number(look.verified.failures_in_a_row))
        },
    ),
    (
        "glrl_backup_binlogs_last_success_timestamp_seconds",
        "When binary logs were last archived.",
        |look| look.binlogs.success.as_ref().and_then(|run| run.ended).map(seconds),
    ),
    (
        "glrl_backup_snapshots_left",
        "Snapshots that runs which died have left.",
        |look| Some(number(look.status.snapshots.len() as u64)),
    ),
    (
        "glrl_backup_notifications_waiting",
        "Notifications that could not be delivered yet.",
        |look| Some(number(look.status.notifications_waiting as u64)),
    ),
];

fn seconds(time: Timestamp) -> f64 {
    Duration::from_secs(time.as_second().max(0).unsigned_abs()).as_secs_f64()
}

/// To the microsecond, as they were measured.
fn milliseconds(time: f64) -> f64 {
    (time * 1e3).round() / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are doubles")]
fn number(number: u64) -> f64 {
    number as f64
}

fn is(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn render(look: &Look<'_>) -> String {
    let mut text = String::new();
    let label = format!("backup_instance=\"{}\"", look.status.instance);
    for (name, help, value) in METRICS {
        if let Some(value) = value(look) {
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{{label}}} {value}"
            );
        }
    }
    let name = "glrl_backup_health";
    let _ = writeln!(
        text,
        "# HELP {name} What glrl backup status says, 1 for what holds.\n# TYPE {name} gauge"
    );
    for health in [
        Health::Ok,
        Health::Failed,
        Health::Stale,
        Health::Corrupt,
        Health::Target,
    ] {
        let holds = u8::from(health == look.status.health);
        let _ = writeln!(text, "{name}{{{label},health=\"{}\"}} {holds}", health.word());
    }
    text
}
