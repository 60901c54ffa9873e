//! Binary logs are archived, and a restore goes on with them to a moment behind its backup.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use mysql::{Row, prelude::Queryable};

use crate::{
    binlogs::keep::reap as reap_binlogs,
    model::{
        error::{Kind, Result},
        interrupt::Interrupt,
        step::Step,
    },
    operate::job::archive_binlogs,
    restore::{Destination, Request, Restored, restore, until::Until},
    settings::Settings,
    store::{files, list::list, partial::Writer},
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server, names, patient},
    },
};

on_every_server!(
    two_hundred_tables_are_taken_to_a_transaction_in_the_middle,
    a_log_is_archived_once_and_never_overwritten,
    what_the_settings_of_the_server_allowed_is_replayed,
);
on_both_flavours!(
    a_whole_position_is_a_moment,
    a_log_that_ends_in_zeros_is_archived_and_replayed,
    a_replica_that_was_replayed_goes_on_behind_it,
    what_cannot_be_replayed_is_said,
    logs_of_before_a_restore_are_not_taken_for_those_behind_it,
);

fn until(server: &Server, settings: &Settings, name: &str, until: &str) -> Result<Restored> {
    let request = Request {
        id: None,
        to: Destination::Directory(server.directory.path().join(name)),
        until: Some(until.parse::<Until>().unwrap()),
    };
    restore(settings, &request, &Interrupt::default(), &mut |_| {})
}

fn archive(settings: &Settings) -> Vec<String> {
    archive_binlogs(settings, &Interrupt::default(), &mut |_| {})
        .unwrap()
        .logs
}

/// CHECKSUM TABLE of every table of `many`.
fn checksums(server: &Server) -> BTreeMap<String, Option<i64>> {
    let mut conn = server.connect();
    let tables: Vec<String> = conn.query("SHOW TABLES FROM many").unwrap();
    let list: Vec<String> = tables.iter().map(|table| format!("many.{table}")).collect();
    let rows: Vec<Row> = conn
        .query(format!("CHECKSUM TABLE {} EXTENDED", list.join(", ")))
        .unwrap();
    rows.into_iter()
        .map(|row| (row.get(0).unwrap(), row.get(1).unwrap()))
        .collect()
}

fn seconds(server: &Server) -> i64 {
    server
        .connect()
        .query_first("SELECT UNIX_TIMESTAMP()")
        .unwrap()
        .unwrap()
}

fn two_hundred_tables_are_taken_to_a_transaction_in_the_middle(on: &Programs) {
    let mut server = Server::start(on);
    server.execute(&["CREATE DATABASE many", "CREATE TABLE many.gone (id INT PRIMARY KEY)"]);
    let mut conn = server.connect();
    for table in 0..200 {
        conn.query_drop(format!(
            "CREATE TABLE many.t{table} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), b BLOB) ENGINE=InnoDB"
        ))
        .unwrap();
        conn.query_drop(format!("INSERT INTO many.t{table} (v) VALUES ('first')"))
            .unwrap();
    }
    let settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();

    let mut write = |from: u32, to: u32| {
        for number in from..to {
            let table = number * 7 % 200;
            conn.query_drop("BEGIN").unwrap();
            conn.query_drop(format!(
                "INSERT INTO many.t{table} (v, b) VALUES (CONCAT('ä;\\'\\n', {number}), UNHEX('00FF0D0A00'))"
            ))
            .unwrap();
            conn.query_drop(format!("UPDATE many.t{table} SET v = UUID() WHERE id = 1"))
                .unwrap();
            conn.query_drop("COMMIT").unwrap();
        }
    };
    write(0, 250);
    server.execute(&[
        "CREATE USER reader@localhost IDENTIFIED BY 'It is 1 secret'",
        "GRANT SELECT ON many.* TO reader@localhost",
        "CREATE TABLE many.later (id INT PRIMARY KEY) ENGINE=InnoDB",
        "DROP TABLE many.gone",
        "FLUSH BINARY LOGS",
    ]);
    write(250, 500);
    let (middle, sums) = (server.gtid().unwrap(), checksums(&server));
    // Whole seconds, and the next transaction in a later one.
    let time = seconds(&server) + 1;
    while seconds(&server) < time + 1 {
        std::thread::sleep(Duration::from_millis(50));
    }
    server.execute(&["DROP TABLE many.later", "DELETE FROM many.t0", "FLUSH BINARY LOGS"]);
    write(500, 1000);
    let (end, last_sums) = (server.gtid().unwrap(), checksums(&server));
    assert_ne!(sums, last_sums);
    assert!(archive(&settings).len() >= 3);

    let time = jiff::Timestamp::from_second(time).unwrap().to_string();
    for (name, moment, gtid, sums) in [
        ("middle", middle.as_str(), &middle, &sums),
        ("time", &time, &middle, &sums),
        ("end", "end", &end, &last_sums),
    ] {
        let restored = until(&server, &settings, name, moment).unwrap();
        let replayed = restored.replayed.clone().unwrap();
        assert_eq!(restored.gtid.as_ref(), Some(gtid), "{name}: {restored:?}");
        let copy = server.start_copy(&restored.datadir);
        assert_eq!(copy.gtid().as_ref(), Some(gtid), "{name}");
        assert_eq!(checksums(&copy), *sums, "{name}");
        let grants: Vec<String> = copy.connect().query("SHOW GRANTS FOR reader@localhost").unwrap();
        assert!(
            grants.iter().any(|grant| grant.contains("SELECT ON `many`")),
            "{grants:?}"
        );
        let left = names(&restored.datadir)
            .into_iter()
            .filter(|name| name.contains("glrl"))
            .collect::<Vec<_>>();
        assert_eq!(left, Vec::<String>::new());
        #[expect(clippy::print_stderr, reason = "the figure that the test is for")]
        {
            eprintln!(
                "{} {name}: {} transactions of 200 tables, {} MiB restored in {:.1} s, of which replaying {:.1} s",
                on.server.display(),
                replayed.transactions,
                restored.bytes >> 20,
                restored.took.as_secs_f64(),
                replayed.took.as_secs_f64(),
            );
        }
    }

    // The volume is lost. What is restored in its place goes on from there.
    server.stop();
    server.clear();
    let request = Request {
        id: None,
        to: Destination::InPlace,
        until: Some(Until::End),
    };
    restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();
    server.launch();
    assert_eq!(server.gtid().as_ref(), Some(&end));
    assert_eq!(checksums(&server), last_sums);
    server.execute(&["INSERT INTO many.t0 (v) VALUES ('anew')"]);
    assert!(!archive(&settings).is_empty());
}

/// Statements that another server refuses, or takes otherwise, and that are in no binary log with what makes the difference.
fn what_the_settings_of_the_server_allowed_is_replayed(on: &Programs) {
    let mut options = vec![
        "--log-bin=binlog",
        "--server-id=7",
        "--log-bin-trust-function-creators=1",
        "--innodb-strict-mode=OFF",
        "--default-storage-engine=MyISAM",
        "--binlog-format=STATEMENT",
        "--secure-file-priv=",
    ];
    if !on.mariadb {
        options.push("--partial-revokes=ON");
    }
    let server = Server::start_with(on, &options);
    let settings = patient(&server);
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB",
        "INSERT INTO shop.t VALUES (7)",
        "CREATE USER reader@localhost",
        "GRANT SELECT ON *.* TO reader@localhost",
    ]);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let file = server.directory.path().join("tmp/rows");
    server.execute(&[
        "CREATE EVENT shop.gone ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t",
        "DROP EVENT shop.gone",
        "CREATE EVENT shop.e ON SCHEDULE EVERY 1 SECOND DO DELETE FROM shop.t",
        "CREATE EVENT shop.altered ON SCHEDULE EVERY 1 DAY COMMENT 'it''s \\\\ odd' DO DELETE FROM shop.t",
        "ALTER EVENT shop.altered ON SCHEDULE EVERY 2 DAY",
        "CREATE ROLE clerk, `odd``role`",
        "GRANT SELECT ON shop.* TO clerk",
        "GRANT clerk TO reader@localhost WITH ADMIN OPTION",
        "GRANT `odd``role` TO clerk",
        "CREATE FUNCTION shop.f() RETURNS INT RETURN (SELECT COUNT(*) FROM shop.t)",
        "CREATE TABLE shop.odd (id INT PRIMARY KEY) ENGINE=InnoDB KEY_BLOCK_SIZE=9",
        "CREATE TABLE shop.own (id INT PRIMARY KEY)",
        &format!("SELECT 8 INTO OUTFILE '{}'", file.display()),
        &format!("LOAD DATA INFILE '{}' INTO TABLE shop.own", file.display()),
    ]);
    if !on.mariadb {
        server.execute(&["REVOKE SELECT ON shop.* FROM reader@localhost"]);
    }
    archive(&settings);
    let restored = until(&server, &settings, "end", "end").unwrap();
    let copy = server.start_copy(&restored.datadir);
    let asked = |sql: &str| -> (Vec<String>, Vec<String>) {
        (server.connect().query(sql).unwrap(), copy.connect().query(sql).unwrap())
    };
    for sql in [
        "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop'",
        "SELECT CONCAT(EVENT_NAME, DEFINER, INTERVAL_VALUE, EVENT_COMMENT) FROM information_schema.EVENTS ORDER BY 1",
        "SELECT CONCAT(User, '@', Host) FROM mysql.user ORDER BY 1",
        if on.mariadb {
            "SELECT CONCAT_WS(' ', Host, User, Role, Admin_option) FROM mysql.roles_mapping ORDER BY 1"
        } else {
            "SELECT CONCAT_WS(' ', TO_USER, FROM_USER, WITH_ADMIN_OPTION) FROM mysql.role_edges ORDER BY 1"
        },
        "SELECT CONCAT(TABLE_NAME, ENGINE) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1",
        "SELECT id FROM shop.own",
        "SHOW GRANTS FOR reader@localhost",
    ] {
        let (one, other) = asked(sql);
        assert_eq!(one, other, "{sql}");
        assert!(!one.is_empty(), "{sql}");
    }
}

/// Of one domain, or source, the backup has all already.
fn a_whole_position_is_a_moment(on: &Programs) {
    let server = Server::start(on);
    let settings = patient(&server);
    server.execute(&["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"]);
    if server.mariadb {
        server.execute(&["SET gtid_domain_id = 1", "INSERT INTO shop.t VALUES (1)"]);
    } else {
        server.execute(&[
            "SET gtid_next = '11111111-2222-3333-4444-555555555555:1'",
            "INSERT INTO shop.t VALUES (1)",
            "SET gtid_next = 'AUTOMATIC'",
        ]);
    }
    server.backup(&settings, &Behaviour::default()).unwrap();
    server.execute(&["INSERT INTO shop.t VALUES (2)", "INSERT INTO shop.t VALUES (3)"]);
    let position = server.gtid().unwrap();
    server.execute(&["INSERT INTO shop.t VALUES (4)"]);
    archive(&settings);
    let restored = until(&server, &settings, "position", &position).unwrap();
    let copy = server.start_copy(&restored.datadir);
    assert_eq!(copy.count("shop.t"), 3);
    if !server.mariadb {
        return;
    }
    // Of one domain more than was asked for lies before the last of the other.
    server.execute(&["SET gtid_domain_id = 1", "INSERT INTO shop.t VALUES (5)"]);
    archive(&settings);
    let first = position.replace("1-7-1", "1-7-2");
    let mut warnings = Vec::new();
    let request = Request {
        id: None,
        to: Destination::Directory(server.directory.path().join("passed")),
        until: Some(first.parse::<Until>().unwrap()),
    };
    let restored = restore(&settings, &request, &Interrupt::default(), &mut |step| {
        if let Step::Warning { message } = step {
            warnings.push(message);
        }
    });
    assert_eq!(server.start_copy(&restored.unwrap().datadir).count("shop.t"), 5);
    assert!(
        warnings.iter().any(|said| said.contains("is restored too")),
        "{warnings:?}"
    );
}

/// As a power cut leaves it on MariaDB; MySQL cuts it off when it is started.
fn a_log_that_ends_in_zeros_is_archived_and_replayed(on: &Programs) {
    let mut server = Server::start(on);
    let settings = patient(&server);
    server.execute(&["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"]);
    let stood = server
        .backup(&settings, &Behaviour::default())
        .unwrap()
        .coordinates
        .binlog;
    server.execute(&["INSERT INTO shop.t VALUES (1)"]);
    server.stop();
    let mut log = fs::File::options()
        .append(true)
        .open(server.data().join(stood.unwrap().file))
        .unwrap();
    std::io::Write::write_all(&mut log, &[0; 5000]).unwrap();
    server.launch();
    server.execute(&["INSERT INTO shop.t VALUES (2)"]);
    archive(&settings);
    let restored = until(&server, &settings, "end", "end").unwrap();
    assert_eq!(server.start_copy(&restored.datadir).count("shop.t"), 2);
}

/// It must not get once more what was replayed.
fn a_replica_that_was_replayed_goes_on_behind_it(on: &Programs) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let source = Server::start_with(
        on,
        &[
            "--log-bin=binlog",
            "--server-id=1",
            "--skip-networking=0",
            &format!("--port={port}"),
        ],
    );
    source.execute(&[
        "CREATE USER replica@'%' IDENTIFIED BY 'secret'",
        "GRANT REPLICATION SLAVE ON *.* TO replica@'%'",
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)",
        "INSERT INTO shop.t VALUES (1, 0)",
    ]);
    let mut server = Server::start_with(
        on,
        &[
            "--log-bin=binlog",
            "--server-id=2",
            "--log-slave-updates",
            "--skip-slave-start",
        ],
    );
    let settings = patient(&server);
    let (change, start) = if on.mariadb {
        (
            format!(
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'replica', \
                 MASTER_PASSWORD = 'secret', MASTER_USE_GTID = slave_pos"
            ),
            "START SLAVE",
        )
    } else {
        (
            format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'replica', \
                 SOURCE_PASSWORD = 'secret', GET_SOURCE_PUBLIC_KEY = 1, SOURCE_AUTO_POSITION = 1"
            ),
            "START REPLICA",
        )
    };
    server.execute(&[&change, start]);
    let reaches = |server: &Server, wanted: u64| {
        for _ in 0..300 {
            let mut conn = server.connect();
            let value: mysql::Result<Option<u64>> = conn.query_first("SELECT v FROM shop.t WHERE id = 1");
            if value.is_ok_and(|value| value == Some(wanted)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("it does not reach {wanted}");
    };
    reaches(&server, 0);
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    let add = "UPDATE shop.t SET v = v + 1";
    source.execute(&["SET SESSION binlog_format = STATEMENT", add, add]);
    reaches(&server, 2);
    archive(&settings);
    let restored = until(&server, &settings, "end", "end").unwrap();
    // The server that has replayed has left the replica's files as they were, and none of its own.
    let of_replica = |name: &String| name.contains("relay") || name.contains(".info") || name.contains("glrl");
    let list = files::load(&settings.target.directory, &manifest, None).unwrap();
    let wanted: Vec<String> = list.into_keys().filter(of_replica).collect();
    let found: Vec<String> = names(&restored.datadir).into_iter().filter(of_replica).collect();
    assert_eq!(found, wanted);
    // Of two replicas with one server_id the source sends the other away.
    server.stop();
    let copy = server.start_copy(&restored.datadir);
    reaches(&copy, 2);
    copy.execute(&[start]);
    source.execute(&["SET SESSION binlog_format = STATEMENT", add]);
    reaches(&copy, 3);
}

/// What is in a directory, by name.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    names(directory)
        .into_iter()
        .map(|name| (name.clone(), fs::read(directory.join(name)).unwrap()))
        .collect()
}

fn a_log_is_archived_once_and_never_overwritten(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    // Its event writes.
    server.execute(&["SET GLOBAL event_scheduler = OFF"]);
    let settings = patient(&server);
    let directory = settings.target.directory.join("mysql-test.binlogs");
    let first = archive(&settings);
    assert!(!first.is_empty());
    let before = contents(&directory);
    // Nothing new, not even an empty log.
    assert_eq!(archive(&settings), Vec::<String>::new());
    assert_eq!(contents(&directory), before);
    // A run that died, at both of its moments: the copy is unfinished, and the record is missing.
    server.execute(&["INSERT INTO shop.my VALUES (3, 'c')"]);
    let writer = Writer::this(&settings);
    let unfinished = directory.join(writer.partial("binlog.000009-20261101T031500Z.zst"));
    fs::write(&unfinished, "x").unwrap();
    let second = archive(&settings);
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(!unfinished.exists());
    let record = format!("{}.json", second[0]);
    fs::rename(directory.join(&record), directory.join(writer.partial(&record))).unwrap();
    assert_eq!(archive(&settings), second);
    // Another machine, at the same moment: that is its own.
    let theirs = Writer::this(&Settings {
        state_directory: "/srv/other".parse().unwrap(),
        ..settings.clone()
    });
    let writing = [
        theirs.partial("binlog.000003-20261101T031500Z.zst"),
        theirs.partial("binlog.000004-20261101T031500Z.json"),
        "binlog.000004-20261101T031500Z.zst".to_owned(),
    ];
    for name in &writing {
        fs::write(directory.join(name), "x").unwrap();
    }
    assert_eq!(archive(&settings), Vec::<String>::new());
    for name in &writing {
        fs::remove_file(directory.join(name)).unwrap();
    }
    // Its names begin anew, and the contents are others.
    let archived = contents(&directory);
    let mut conn = server.connect();
    // MySQL's name for it since 8.2, and everybody else's.
    conn.query_drop("RESET BINARY LOGS AND GTIDS")
        .or_else(|_| conn.query_drop("RESET MASTER"))
        .unwrap();
    server.execute(&["INSERT INTO shop.my VALUES (4, 'd')"]);
    let third = archive(&settings);
    assert_eq!(third.len(), 1, "{third:?}");
    assert!(third[0].starts_with("binlog.000001-"), "{third:?}");
    let now = contents(&directory);
    assert!(archived.iter().all(|(name, bytes)| now.get(name) == Some(bytes)));
    assert_eq!(now.len(), archived.len() + 2);
    // From a backup of now on, the older ones are of no use.
    std::thread::sleep(Duration::from_millis(1100));
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    assert_eq!(reap_binlogs(&settings, &[], false).unwrap(), Vec::<String>::new());
    let mut useless = reap_binlogs(&settings, std::slice::from_ref(&manifest), true).unwrap();
    assert_eq!(contents(&directory), now);
    assert_eq!(reap_binlogs(&settings, &[manifest], false).unwrap(), useless);
    let mut older: Vec<String> = first.into_iter().chain(second).chain(third).collect();
    older.retain(|name| !name.starts_with("binlog.000002-"));
    useless.retain(|name| !name.starts_with("binlog.000002-"));
    useless.sort();
    older.sort();
    assert_eq!(useless, older);
}

/// The backup is restored to before a mistake, and the server writes on; before there is another backup, the data is lost again.
fn logs_of_before_a_restore_are_not_taken_for_those_behind_it(on: &Programs) {
    let mut server = Server::start(on);
    let settings = patient(&server);
    server.execute(&["CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)"]);
    server.backup(&settings, &Behaviour::default()).unwrap();
    // Twice, so that the logs part in the backup's own, and then in a later one.
    let mut sure = Vec::new();
    for round in [0, 10] {
        let insert = |server: &Server, id: u32| server.execute(&[&format!("INSERT INTO shop.t VALUES ({id})")]);
        insert(&server, round + 1);
        let good = server.gtid().unwrap();
        insert(&server, round + 2);
        insert(&server, round + 3);
        let mistake = server.gtid().unwrap();
        let before = seconds(&server) + 1;
        while seconds(&server) <= before {
            std::thread::sleep(Duration::from_millis(50));
        }
        archive(&settings);
        server.stop();
        server.clear();
        let request = Request {
            id: None,
            to: Destination::InPlace,
            until: Some(good.parse().unwrap()),
        };
        restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();
        server.launch();
        insert(&server, round + 4);
        archive(&settings);
        sure.extend([round + 1, round + 4]);
        let before = jiff::Timestamp::from_second(before).unwrap().to_string();
        let with_mistake = if round == 0 {
            vec![1, 2, 3]
        } else {
            vec![1, 4, 11, 12, 13]
        };
        for (name, moment, rows) in [
            ("end", "end", &sure),
            ("before", before.as_str(), &with_mistake),
            ("mistake", &mistake, &with_mistake),
        ] {
            let restored = until(&server, &settings, &format!("{name}-{round}"), moment).unwrap();
            let copy = server.start_copy(&restored.datadir);
            let found: Vec<u32> = copy.connect().query("SELECT id FROM shop.t ORDER BY id").unwrap();
            assert_eq!(found, *rows, "{name} {round}");
        }
    }
}

fn what_cannot_be_replayed_is_said(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    // Its event writes.
    server.execute(&["SET GLOBAL event_scheduler = OFF"]);
    let mut settings = patient(&server);
    let before = server.gtid().unwrap();
    server.execute(&["INSERT INTO shop.my VALUES (3, 'c')"]);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let refused = |settings: &Settings, moment: &str, kind: Kind, said: &str| {
        let error = until(&server, settings, "restored", moment).unwrap_err();
        assert_eq!(error.kind, kind, "{moment}: {error:?}");
        assert!(format!("{error:#}").contains(said), "{said}: {error:?}");
        assert!(!server.directory.path().join("restored").exists());
    };
    refused(&settings, "end", Kind::Refused, "no binary log is archived");
    let other = if server.mariadb {
        "9-9-9".to_owned()
    } else {
        "11111111-2222-3333-4444-555555555555:9".to_owned()
    };
    server.execute(&["INSERT INTO shop.my VALUES (4, 'd')", "FLUSH BINARY LOGS"]);
    server.execute(&["INSERT INTO shop.my VALUES (5, 'e')", "FLUSH BINARY LOGS"]);
    server.execute(&["INSERT INTO shop.my VALUES (6, 'f')"]);
    let last = server.gtid().unwrap();
    settings.binlogs.flush = false;
    assert!(archive(&settings).len() >= 2);
    refused(&settings, &last, Kind::Refused, "is not in the archived binary logs");
    refused(&settings, &other, Kind::Refused, "is not in the archived binary logs");
    refused(&settings, &before, Kind::Stale, "no backup of test");
    refused(&settings, "2020-01-01T00:00:00Z", Kind::Stale, "no backup of test");
    // Begun before that moment, and the server locked after it: it holds what was committed between the two.
    let newest = list(&settings).unwrap().pop().unwrap().manifest.unwrap();
    let (begun, locked) = (newest.started, newest.lock.at.unwrap());
    assert!(
        begun < locked && locked < newest.ended,
        "{begun} {locked} {}",
        newest.ended
    );
    let mut late = newest.clone();
    late.lock.at = Some(begun + jiff::SignedDuration::from_secs(90));
    let path = settings.target.directory.join(format!("{}.json", late.id));
    fs::write(&path, serde_json::to_vec(&late).unwrap()).unwrap();
    let between = jiff::Timestamp::from_second(begun.as_second() + 60)
        .unwrap()
        .to_string();
    let request = Request {
        id: Some(late.id.clone()),
        to: Destination::Directory(server.directory.path().join("restored")),
        until: Some(between.parse().unwrap()),
    };
    let error = restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("name an older backup"), "{error}");
    refused(&settings, &between, Kind::Stale, "no backup of test");
    fs::write(&path, serde_json::to_vec(&newest).unwrap()).unwrap();
    settings.binlogs.flush = true;
    let newest = archive(&settings);
    let directory = settings.target.directory.join("mysql-test.binlogs");
    let all = names(&directory);
    let entry = |part: &str| all.iter().find(|name| name.contains(part)).unwrap();
    assert_eq!(newest.len(), 1);

    // A byte of the last one, then the one before it, is gone.
    let log = directory.join(format!("{}.zst", newest[0]));
    let good = fs::read(&log).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&log, bad).unwrap();
    refused(&settings, "end", Kind::Corrupt, &newest[0]);
    fs::write(&log, good).unwrap();
    let middle = fs::read(directory.join(entry("binlog.000002"))).unwrap();
    assert!(!middle.is_empty());
    fs::remove_file(
        directory.join(
            all.iter()
                .find(|name| name.contains("binlog.000002") && name.ends_with("json"))
                .unwrap(),
        ),
    )
    .unwrap();
    refused(&settings, &last, Kind::Refused, "and what is between them is not");
}
