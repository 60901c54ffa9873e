//! The lock is a budget.

use std::{
    sync::Arc,
    thread::{sleep, spawn},
    time::Duration,
};

use mysql::prelude::Queryable;

use crate::{
    model::{
        error::{Error, Kind},
        interrupt::Interrupt,
    },
    restore::{Destination, Request, restore},
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server, Writer, names},
    },
};

on_every_server!(
    a_statement_in_the_way_costs_the_budget_and_no_more,
    a_snapshot_that_hangs_does_not_hold_the_lock,
    a_lock_that_is_lost_fails_the_run,
    a_replica_that_waits_for_its_source_is_backed_up,
    what_is_committed_is_in_the_backup_before_it_is_in_the_log,
);
on_both_flavours!(a_snapshot_that_fails_frees_the_lock_at_once,);

fn a_statement_in_the_way_costs_the_budget_and_no_more(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(1);
    settings.lock.long_statement = Duration::from_mins(10);
    let mut blocker = server.connect();
    // What each of the two has to wait for, until it is killed.
    let table = if server.mariadb { "shop.my" } else { "shop.t" };
    let sql = format!("UPDATE {table} SET v = 'z' WHERE id = 1 AND SLEEP(1000) = 0");
    let kill = format!("KILL {}", blocker.connection_id());
    let blocker = spawn(move || drop(blocker.query_drop(sql)));
    server.until_some("STATE = 'User sleep'");
    let writer = Writer::start(&server);
    let error = server.backup(&settings, &Behaviour::default()).unwrap_err();
    assert_eq!(error.kind, Kind::LockBudget, "{error:?}");
    assert!(format!("{error:#}").contains("UPDATE"), "{error:?}");
    writer.goes_on();
    assert!(!blocker.is_finished());
    writer.stop();
    assert_eq!(names(&settings.target.directory), Vec::<String>::new());
    server.execute(&[&kill]);
    blocker.join().unwrap();
    settings.lock.budget = Duration::from_secs(20);
    server.backup(&settings, &Behaviour::default()).unwrap();
}

/// A server that writes its log every 45 minutes, and not when something is committed.
fn what_is_committed_is_in_the_backup_before_it_is_in_the_log(on: &Programs) {
    let server = Server::start_with(
        on,
        &[
            "--log-bin=binlog",
            "--server-id=7",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-log-at-timeout=2700",
        ],
    );
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB",
    ]);
    if server.mariadb {
        server.execute(&["CREATE SEQUENCE shop.s"]);
    }
    for id in 0..100 {
        server.execute(&[&format!("INSERT INTO shop.t VALUES ({id})")]);
    }
    server.backup(&settings, &Behaviour::default()).unwrap();
    let setting: Option<u8> = server
        .connect()
        .query_first("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")
        .unwrap();
    assert_eq!(setting, Some(0));
    let request = Request {
        id: None,
        to: Destination::Directory(server.directory.path().join("restored")),
        until: None,
    };
    let restored = restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();
    let copy = server.start_copy(&restored.datadir);
    assert_eq!(copy.count("shop.t"), 100);
    if server.mariadb {
        assert_eq!(copy.count("shop.s"), 1);
    }
}

/// Its applier is a statement of the server's own, which lasts as long as there is nothing to apply.
fn a_replica_that_waits_for_its_source_is_backed_up(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    settings.lock.long_statement = Duration::from_secs(1);
    server.execute(if server.mariadb {
        &[
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'nobody'",
            "START SLAVE SQL_THREAD",
        ]
    } else {
        &[
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1",
            "START REPLICA SQL_THREAD",
        ]
    });
    sleep(Duration::from_secs(3));
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    assert_eq!(manifest.coordinates.replicas.len(), 1, "{manifest:?}");
}

fn a_snapshot_that_hangs_does_not_hold_the_lock(on: &Programs) {
    let server = Arc::new(Server::start(on));
    server.fill();
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(3);
    let writer = Arc::new(Writer::start(&server));
    let slow = Behaviour {
        take: {
            let (server, writer) = (Arc::clone(&server), Arc::clone(&writer));
            Arc::new(move || {
                // It is at its work for as long as writers wait, and longer.
                server.until_some("STATE LIKE 'Waiting for%lock' AND INFO LIKE 'INSERT%'");
                writer.goes_on();
                Ok(())
            })
        },
        ..Behaviour::default()
    };
    let error = server.backup(&settings, &slow).unwrap_err();
    assert_eq!(error.kind, Kind::LockBudget, "{error:?}");
}

fn a_snapshot_that_fails_frees_the_lock_at_once(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    // Whoever waits for that waits for good.
    settings.lock.budget = Duration::from_hours(1);
    let writer = Writer::start(&server);
    let failing = Behaviour {
        take: Arc::new(|| Err(Error::new(Kind::Failed, "no extents left"))),
        ..Behaviour::default()
    };
    let error = server.backup(&settings, &failing).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (Kind::Failed, "no extents left")
    );
    writer.goes_on();
    writer.stop();
    assert_eq!(names(&settings.target.directory), Vec::<String>::new());
}

fn a_lock_that_is_lost_fails_the_run(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let settings = server.settings();
    let killer = std::sync::Mutex::new(server.connect());
    let lost = Behaviour {
        take: Arc::new(move || {
            // When the coordinates have been read. All others: the lock's connection among them.
            sleep(Duration::from_millis(500));
            let mut killer = killer.lock().unwrap();
            let ids: Vec<u64> = killer
                .query("SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER = 'root'")
                .unwrap();
            for id in ids {
                killer.query_drop(format!("KILL {id}")).unwrap();
            }
            Ok(())
        }),
        ..Behaviour::default()
    };
    let error = server.backup(&settings, &lost).unwrap_err();
    assert_eq!(error.kind, Kind::Snapshot, "{error:?}");
    assert!(format!("{error:#}").contains("the lock was lost"), "{error:?}");
    assert_eq!(names(&settings.target.directory), Vec::<String>::new());
}
