//! Who is told of what a run with a real server does.

use std::{fs, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    model::{
        error::{Error, Kind},
        interrupt::Interrupt,
        layout,
        verdict::Grade,
    },
    operate::{
        job::{archive_binlogs, verify},
        notify::tests::receiver::Receiver,
    },
    store::binlog::entry,
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server},
    },
};

on_both_flavours!(runs_and_verdicts_are_told, logs_that_are_not_archived_are_told_once);

fn runs_and_verdicts_are_told(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    let (hook, mail) = (Receiver::http(&[200]), Receiver::smtp());
    let metrics = server.directory.path().join("metrics");
    fs::create_dir(&metrics).unwrap();
    settings.notify = serde_json::from_value(json!({
        "webhook": { "url": hook.url("/hook") },
        "mail": { "to": ["ops@example.org"], "from": "glrl@example.org",
                  "smtp": { "host": "127.0.0.1", "port": mail.port, "tls": "none" } },
        "metrics": metrics,
    }))
    .unwrap();
    let metric = |name: &str| -> f64 {
        let text = fs::read_to_string(metrics.join("glrl_backup_test.prom")).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")))
            .unwrap()
            .to_owned();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let mut expected = Vec::new();
    let mut expect = |program: &str, event: &str| {
        for event in ["start", event] {
            expected.push((program.to_owned(), event.to_owned()));
        }
        assert_eq!(told(&hook), expected);
    };

    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    expect("backup", "success");
    assert!((metric("glrl_backup_lock_seconds") - manifest.lock.hold_ms / 1000.0).abs() < 1e-6);
    let succeeded = metric("glrl_backup_last_success_timestamp_seconds");
    let verdict = || {
        verify(&settings, None, &Interrupt::default(), &mut |_| {})
            .unwrap()
            .verdict
    };
    assert_eq!(verdict(), Grade::Ok);
    expect("verify", "success");
    assert!(metric("glrl_backup_verified_timestamp_seconds") >= succeeded);
    assert!(mail.heard().is_empty());

    let failing = Behaviour {
        fill: Arc::new(|| Err(Error::new(Kind::Snapshot, "the snapshot has lost contents"))),
        ..Behaviour::default()
    };
    server.backup(&settings, &failing).unwrap_err();
    expect("backup", "fail");
    assert_eq!(mail.heard().len(), 1);
    assert!(
        mail.heard()[0].contains("the snapshot has lost contents"),
        "{:?}",
        mail.heard()
    );
    assert!((metric("glrl_backup_failures_in_a_row") - 1.0).abs() < 1e-9);
    assert!((metric("glrl_backup_last_success_timestamp_seconds") - succeeded).abs() < 1e-9);

    let archive = layout::path_of(&settings.target.directory, &manifest.id, layout::ARCHIVE);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    assert_eq!(verdict(), Grade::Corrupt);
    expect("verify", "fail");
    assert_eq!(mail.heard().len(), 2);

    settings.verify.max_age = Duration::ZERO;
    fs::remove_file(&archive).unwrap();
    for suffix in [layout::FILES, layout::MANIFEST] {
        fs::remove_file(layout::path_of(&settings.target.directory, &manifest.id, suffix)).unwrap();
    }
    assert_eq!(
        verify(&settings, None, &Interrupt::default(), &mut |_| {})
            .unwrap()
            .verdict,
        Grade::Stale
    );
    expect("verify", "stale");
    assert!(
        mail.heard()[2].contains("STALE: verification of test"),
        "{:?}",
        mail.heard()
    );
}

/// They are archived every few minutes, so that only a change is news.
fn logs_that_are_not_archived_are_told_once(on: &Programs) {
    let server = Server::start(on);
    let mut settings = server.settings();
    let hook = Receiver::http(&[200]);
    settings.notify = serde_json::from_value(json!({ "webhook": { "url": hook.url("/hook") } })).unwrap();
    let archive = || archive_binlogs(&settings, &Interrupt::default(), &mut |_| {});
    archive().unwrap();
    let logs = entry::directory(&settings);
    fs::remove_dir_all(&logs).unwrap();
    fs::write(&logs, "in the way").unwrap();
    archive().unwrap_err();
    archive().unwrap_err();
    fs::remove_file(&logs).unwrap();
    archive().unwrap();
    archive().unwrap();
    let events: Vec<_> = told(&hook);
    let of_logs = |event: &str| ("binlogs".to_owned(), event.to_owned());
    assert_eq!(events, [of_logs("fail"), of_logs("success")]);
}

/// Programs and events that a webhook has heard of.
fn told(hook: &Receiver) -> Vec<(String, String)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let event = |said: &String| serde_json::from_str::<Value>(said.split_once(' ').unwrap().1).unwrap();
    let events = hook.heard();
    let events = events.iter().map(event);
    events
        .map(|event| (text(&event, "program"), text(&event, "event")))
        .collect()
}
