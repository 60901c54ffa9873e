//! Binary logs that are lost before they were archived, and times that go back in them: it is said when it comes to be, and not by the restore alone.

use std::{fs, time::Duration};

use mysql::prelude::Queryable;

use crate::{
    binlogs::Archived,
    model::{
        error::{Error, Kind, Result},
        interrupt::Interrupt,
        step::Step,
    },
    operate::{
        job::archive_binlogs,
        status::{Health, status},
    },
    restore::{Destination, Request, restore, until::Until},
    settings::Settings,
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server},
    },
};

on_every_server!(logs_that_were_purged_are_missed_until_the_next_backup,);
on_both_flavours!(
    each_way_to_lose_logs_is_noticed,
    what_loses_nothing_is_no_gap,
    a_clock_that_was_set_back_is_said,
);

fn begin(on: &Programs) -> (Server, Settings) {
    let server = Server::start(on);
    server.execute(&["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"]);
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    (server, settings)
}

/// Archives, and returns what was warned of too.
fn archive(settings: &Settings) -> (Result<Archived>, Vec<String>) {
    let mut warnings = Vec::new();
    let archived = archive_binlogs(settings, &Interrupt::default(), &mut |step| {
        if let Step::Warning { message } = step {
            warnings.push(message);
        }
    });
    (archived, warnings)
}

fn back_up(server: &Server, settings: &Settings) {
    server.backup(settings, &Behaviour::default()).unwrap();
    // Ids are of whole seconds, and so are the times in logs.
    std::thread::sleep(Duration::from_millis(2100));
}

fn is_ok(settings: &Settings) {
    let status = status(settings).unwrap();
    assert_eq!(status.health, Health::Ok, "{:?}", status.problems);
}

/// The run that finds it fails, the next warn, and status says it all the time.
#[track_caller]
fn is_missed(settings: &Settings, said: &str) -> Error {
    let (found, _) = archive(settings);
    let error = found.unwrap_err();
    assert_eq!(error.kind, Kind::Failed, "{error:?}");
    assert!(
        error.to_string().contains("binary logs are missing") && error.to_string().contains(said),
        "{error}"
    );
    for _ in 0..2 {
        let status = status(settings).unwrap();
        let messages: Vec<_> = status.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            (status.health, messages),
            (Health::Failed, vec![error.to_string().as_str()])
        );
        let (again, warnings) = archive(settings);
        assert_eq!(again.unwrap().gap, Some(error.to_string()));
        assert_eq!(warnings, [error.to_string()]);
    }
    error
}

fn insert(server: &Server, ids: std::ops::Range<u32>) {
    for id in ids {
        server.execute(&[&format!("INSERT INTO shop.t VALUES ({id})"), "FLUSH BINARY LOGS"]);
    }
}

fn purge(server: &Server) {
    let mut conn = server.connect();
    // MariaDB keeps a log until InnoDB has made a checkpoint.
    for _ in 0..100 {
        let logs: Vec<mysql::Row> = conn.query("SHOW BINARY LOGS").unwrap();
        if logs.len() == 1 {
            return;
        }
        let last: String = logs.last().unwrap().get(0).unwrap();
        conn.query_drop(format!("PURGE BINARY LOGS TO '{last}'")).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("logs are not purged");
}

fn logs_that_were_purged_are_missed_until_the_next_backup(on: &Programs) {
    let (server, settings) = begin(on);
    back_up(&server, &settings);
    archive(&settings).0.unwrap();
    insert(&server, 1..3);
    archive(&settings).0.unwrap();
    is_ok(&settings);
    let reached = server.gtid();
    insert(&server, 3..6);
    purge(&server);
    insert(&server, 6..7);
    let error = is_missed(&settings, "make a backup");
    if on.mariadb {
        assert!(error.to_string().contains(&reached.unwrap()), "{error}");
    }
    back_up(&server, &settings);
    is_ok(&settings);
    let (archived, warnings) = archive(&settings);
    assert_eq!((archived.unwrap().gap, warnings), (None, Vec::new()));
    insert(&server, 7..9);
    archive(&settings).0.unwrap();
    is_ok(&settings);
}

fn each_way_to_lose_logs_is_noticed(on: &Programs) {
    let (mut server, settings) = begin(on);
    back_up(&server, &settings);
    // Before anything was archived, and nothing is written since.
    insert(&server, 1..2);
    purge(&server);
    is_missed(&settings, "the backup itself");

    back_up(&server, &settings);
    insert(&server, 2..4);
    archive(&settings).0.unwrap();
    let mut conn = server.connect();
    // MySQL's name for it since 8.2, and everybody else's.
    conn.query_drop("RESET BINARY LOGS AND GTIDS")
        .or_else(|_| conn.query_drop("RESET MASTER"))
        .unwrap();
    insert(&server, 4..5);
    is_missed(&settings, "begun anew");

    back_up(&server, &settings);
    insert(&server, 5..6);
    archive(&settings).0.unwrap();
    insert(&server, 6..9);
    // One in the middle is damaged.
    let logs: Vec<mysql::Row> = server.connect().query("SHOW BINARY LOGS").unwrap();
    let names: Vec<String> = logs.iter().map(|log| log.get(0).unwrap()).collect();
    let damaged = &names[names.len() - 3];
    let path = server.data().join(damaged);
    let good = fs::read(&path).unwrap();
    fs::write(&path, [&good[..4], &[0xff; 13], &[3, 0, 0, 0], &good[21..]].concat()).unwrap();
    is_missed(&settings, &format!("{damaged} cannot be read"));
    fs::write(&path, good).unwrap();

    // The volume is restored from an older backup than the newest.
    back_up(&server, &settings);
    let older = status(&settings).unwrap().newest.unwrap().id;
    insert(&server, 9..10);
    archive(&settings).0.unwrap();
    back_up(&server, &settings);
    server.stop();
    server.clear();
    let request = Request {
        id: Some(older),
        to: Destination::InPlace,
        until: None,
    };
    restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();
    server.launch();
    insert(&server, 10..11);
    is_missed(&settings, "no further");
    back_up(&server, &settings);
    is_ok(&settings);
}

fn what_loses_nothing_is_no_gap(on: &Programs) {
    let (mut server, mut settings) = begin(on);
    // No backup yet: there is nothing to be lost to it.
    insert(&server, 1..3);
    purge(&server);
    archive(&settings).0.unwrap();
    back_up(&server, &settings);
    archive(&settings).0.unwrap();
    // Restarts, logs that are purged when they are archived, and one that is left open.
    insert(&server, 3..5);
    server.restart();
    archive(&settings).0.unwrap();
    insert(&server, 5..6);
    archive(&settings).0.unwrap();
    purge(&server);
    settings.binlogs.flush = false;
    server.execute(&["INSERT INTO shop.t VALUES (100)"]);
    archive(&settings).0.unwrap();
    is_ok(&settings);
    settings.binlogs.flush = true;
    archive(&settings).0.unwrap();
    is_ok(&settings);
    let request = Request {
        id: None,
        to: Destination::Directory(server.directory.path().join("restored")),
        until: Some(Until::End),
    };
    let restored = restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(
        server.start_copy(&restored.datadir).count("shop.t"),
        server.count("shop.t")
    );
    // One that is older than the newest backup says nothing about that.
    insert(&server, 6..8);
    purge(&server);
    back_up(&server, &settings);
    let (archived, warnings) = archive(&settings);
    assert_eq!((archived.unwrap().gap, warnings), (None, Vec::new()));
    is_ok(&settings);
}

fn a_clock_that_was_set_back_is_said(on: &Programs) {
    let (server, settings) = begin(on);
    back_up(&server, &settings);
    let now: i64 = server
        .connect()
        .query_first("SELECT UNIX_TIMESTAMP()")
        .unwrap()
        .unwrap();
    let mut conn = server.connect();
    let mut at = |ahead: i64, id: u32| {
        let time = now + ahead;
        conn.query_drop(format!("SET timestamp = {time}")).unwrap();
        conn.query_drop(format!("INSERT INTO shop.t VALUES ({id})")).unwrap();
    };
    at(5, 1);
    at(600, 2);
    at(10, 3);
    at(20, 4);
    archive(&settings).0.unwrap();
    let until = jiff::Timestamp::from_second(now + 300).unwrap().to_string();
    let mut warnings = Vec::new();
    let to = server.directory.path().join("restored");
    let request = Request {
        id: None,
        to: Destination::Directory(to),
        until: Some(until.parse().unwrap()),
    };
    let restored = restore(&settings, &request, &Interrupt::default(), &mut |step| {
        if let Step::Warning { message } = step {
            warnings.push(message);
        }
    })
    .unwrap();
    let rows = server.start_copy(&restored.datadir).count("shop.t");
    let said = warnings
        .iter()
        .any(|warning| warning.contains("the server's clock was set back"));
    if on.mariadb {
        assert_eq!((rows, said), (1, true), "{warnings:?}");
        let last = server.gtid().unwrap();
        assert!(
            warnings.iter().any(|warning| warning.contains(&last)),
            "{last}: {warnings:?}"
        );
    } else {
        // MySQL's commit times are the clock's, whatever the session's is.
        assert_eq!((rows, said), (4, false), "{warnings:?}");
    }
}
