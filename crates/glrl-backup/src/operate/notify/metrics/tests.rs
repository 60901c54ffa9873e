//! The file as `node_exporter` reads it.

use std::{fs, os::unix::fs::PermissionsExt};

use jiff::SignedDuration;

use crate::{fixtures, model::verdict::Grade, operate::notify::metrics::*, state::history::Attempt, store::verdicts};

#[test]
fn a_file_that_anybody_can_read_has_it_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    let metrics = directory.path().join("metrics");
    settings.notify.metrics = Some(metrics.to_str().unwrap().parse().unwrap());
    let error = write(&settings).unwrap_err().to_string();
    assert!(error.starts_with("there is no directory"), "{error}");
    fs::create_dir(&metrics).unwrap();

    let proven = fixtures::backup(&settings, 26);
    verdicts::keep(&settings, &fixtures::verdict(&proven, Grade::Ok)).unwrap();
    let newest = fixtures::backup(&settings, 2);
    let records = Records::open(&settings, "backup").unwrap();
    records.end(Attempt::begin().ended(&Ok(()))).unwrap();
    let archived = Records::open(&settings, "binlogs").unwrap();
    archived.end(Attempt::begin().ended(&Ok(()))).unwrap();
    write(&settings).unwrap();
    let path = metrics.join("glrl_backup_db1.prom");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let names: Vec<_> = fs::read_dir(&metrics)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["glrl_backup_db1.prom"]);
    let text = fs::read_to_string(&path).unwrap();
    let value = |name: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")))?;
        assert!(line.contains("backup_instance=\"db1\""), "{line}");
        line.rsplit_once(' ')?.1.parse().ok()
    };
    let about = |name: &str, time: Timestamp| {
        let off = SignedDuration::from_secs_f64(value(name).unwrap() - seconds(time));
        assert!(off.abs() < SignedDuration::from_mins(1), "{name}: {off:?}");
    };
    let now = glrl_node::system::clock::now();
    about("glrl_backup_last_success_timestamp_seconds", now);
    about("glrl_backup_binlogs_last_success_timestamp_seconds", now);
    about("glrl_backup_verified_timestamp_seconds", now);
    about("glrl_backup_verified_backup_timestamp_seconds", proven.started);
    about("glrl_backup_newest_timestamp_seconds", newest.started);
    for (name, wanted) in [
        ("glrl_backup_lock_seconds", Some(0.1324)),
        ("glrl_backup_duration_seconds", Some(41.0)),
        ("glrl_backup_count", Some(2.0)),
        ("glrl_backup_failures_in_a_row", Some(0.0)),
        ("glrl_backup_last_run_success", Some(1.0)),
        // This node has never verified.
        ("glrl_backup_verify_last_run_success", None),
    ] {
        assert_eq!(value(name), wanted, "{name}");
    }
    assert!(
        text.contains("glrl_backup_health{backup_instance=\"db1\",health=\"ok\"} 1\n"),
        "{text}"
    );
    // Each line is a comment or a sample; each sample has its type before it.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split('{').next().unwrap();
        assert!(text.contains(&format!("# TYPE {name} gauge\n")), "{line}");
    }
}

/// What the guide lists is what there is.
#[test]
fn the_guide_lists_every_metric() {
    let guide = include_str!("../../../../../../docs/guides/monitoring.md");
    for (name, help, _) in METRICS {
        let row = format!("| `{name}` | {} |", help.trim_end_matches('.'));
        assert!(guide.contains(&row), "docs/guides/monitoring.md has no row {row}");
    }
}
