//! What a run does to the backups before it.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc, thread::sleep, time::Duration};

use jiff::SignedDuration;

use crate::{
    fixtures,
    model::{
        error::{Error, Kind},
        interrupt::Interrupt,
        step::Step,
    },
    operate::job::{archive_binlogs, prune},
    store::list::list,
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server, names},
    },
};

on_both_flavours!(
    seven_failed_runs_push_out_none_of_seven_good_backups,
    logs_that_went_with_a_backup_are_not_archived_anew,
    logs_of_a_clock_that_was_set_back_are_archived,
    a_log_that_is_archived_is_not_read_again,
);

fn seven_failed_runs_push_out_none_of_seven_good_backups(on: &Programs) {
    let server = Server::start(on);
    let mut settings = server.settings();
    settings.keep.last = 7;
    settings.lock.budget = Duration::from_secs(20);
    let mut good = Vec::new();
    for _ in 0..7 {
        good.push(server.backup(&settings, &Behaviour::default()).unwrap().id);
        // Ids are of whole seconds.
        sleep(Duration::from_secs(1));
    }
    let failing = Behaviour {
        fill: Arc::new(|| Err(Error::new(Kind::Snapshot, "the snapshot has lost contents"))),
        ..Behaviour::default()
    };
    let ids = || {
        list(&settings)
            .unwrap()
            .into_iter()
            .map(|backup| backup.id)
            .collect::<Vec<_>>()
    };
    let files = names(&settings.target.directory);
    for _ in 0..7 {
        assert_eq!(server.backup(&settings, &failing).unwrap_err().kind, Kind::Snapshot);
        sleep(Duration::from_secs(1));
    }
    assert_eq!(ids(), good);
    assert_eq!(names(&settings.target.directory), files);

    // A good one does, and says so.
    let mut told = Vec::new();
    let newest = server
        .backup_with(&settings, &Behaviour::default(), &Interrupt::default(), &mut |step| {
            told.push(step);
        })
        .unwrap();
    let gone: Vec<_> = told
        .iter()
        .filter_map(|step| match step {
            Step::Judged { judged, .. } => Some((judged.id.clone(), judged.keep)),
            _ => None,
        })
        .collect();
    assert_eq!(gone, [(good[0].clone(), false)]);
    good.remove(0);
    good.push(newest.id);
    assert_eq!(ids(), good);
}

fn logs_that_went_with_a_backup_are_not_archived_anew(on: &Programs) {
    let server = Server::start(on);
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    let interrupt = Interrupt::default();
    let archive = || archive_binlogs(&settings, &interrupt, &mut |_| {}).unwrap().logs;
    server.backup(&settings, &Behaviour::default()).unwrap();
    server.execute(&["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"]);
    let first = archive();
    assert!(!first.is_empty());
    // Events are of whole seconds.
    sleep(Duration::from_millis(1100));
    server.backup(&settings, &Behaviour::default()).unwrap();
    server.execute(&["INSERT INTO shop.t VALUES (1)"]);
    let second = archive();
    assert_eq!(second.len(), 1, "{second:?}");

    settings.keep.last = 1;
    let pruned = prune(&settings, false, &interrupt, &mut |_| {}).unwrap();
    assert_eq!((pruned.kept(), &pruned.logs), (1, &first));
    // The server has them still.
    let again = archive_binlogs(&settings, &interrupt, &mut |_| {}).unwrap();
    assert_eq!((again.logs, again.before), (Vec::new(), 1));
    server.execute(&["INSERT INTO shop.t VALUES (2)"]);
    assert_eq!(
        archive_binlogs(&settings, &interrupt, &mut |_| {}).unwrap().logs.len(),
        1
    );
}

/// As if the clock had been set back an hour after the backup: what follows looks older than it.
fn logs_of_a_clock_that_was_set_back_are_archived(on: &Programs) {
    let server = Server::start(on);
    let mut settings = server.settings();
    settings.keep.last = 1;
    settings.lock.budget = Duration::from_secs(20);
    let mut backup = server.backup(&settings, &Behaviour::default()).unwrap();
    backup.started += SignedDuration::from_hours(1);
    fixtures::rewrite(&settings, &backup);
    let interrupt = Interrupt::default();
    let mut archived = Vec::new();
    for sql in ["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"] {
        server.execute(&[sql]);
        archived.push(archive_binlogs(&settings, &interrupt, &mut |_| {}).unwrap().logs.len());
    }
    assert_eq!(archived, [1, 1]);
    assert!(prune(&settings, false, &interrupt, &mut |_| {}).unwrap().is_empty());
}

/// What is between its first event and its last 64 KiB can be anything.
fn a_log_that_is_archived_is_not_read_again(on: &Programs) {
    let server = Server::start(on);
    let settings = server.settings();
    let interrupt = Interrupt::default();
    let archive = || archive_binlogs(&settings, &interrupt, &mut |_| {}).unwrap();
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (text LONGTEXT)",
        "SET SESSION binlog_format = ROW",
        "INSERT INTO shop.t VALUES (REPEAT('x', 300000))",
    ]);
    let name = archive().logs.pop().unwrap();
    let log = server.data().join(name.rsplit_once('-').unwrap().0);
    let log = File::options().write(true).open(log).unwrap();
    log.write_all_at(&[0xff; 1000], 1000).unwrap();
    let again = archive();
    assert_eq!((again.logs, again.before > 0), (Vec::new(), true));
}
