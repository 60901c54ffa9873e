//! The throw-away server, and the one that a restore prints the command of, are told what the real one was told; and what they lack all the
//! same is no damage.

use std::{fs, os::unix::fs::FileExt, path::PathBuf, sync::Arc, time::Duration};

use mysql::prelude::Queryable;

use crate::{
    model::verdict::{Grade, Outcome, Verdict},
    settings::Settings,
    tests::{
        copies::{Printed, restored},
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server, patient, verified},
    },
};

on_every_server!(odd_settings_are_told_to_every_copy,);
on_both_flavours!(a_replica_of_several_sources_verifies);
on_every_server!(@ with_page_sizes mariadb: every_page_size_is_checked);
// The release whose plugins `tests/servers.sh` brings.
on_every_server!(@ with_plugins mariadb_jammy: keys_are_given_or_missed_by_name, an_engine_is_loaded_or_missed_by_name);
on_every_server!(@ with_keyring mysql_jammy: a_keyring_is_given_or_missed_by_name);

/// Expects this word because of a check whose detail says all of this.
#[track_caller]
pub(crate) fn expect(verdict: &Verdict, word: Grade, said: &[&str]) {
    assert_eq!(verdict.verdict, word, "{verdict:#?}");
    let failed = verdict.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let details: String = failed
        .map(|check| format!("{}: {}\n", check.name, check.detail))
        .collect();
    for said in said {
        assert!(details.contains(said), "not said: {said}\n{details}");
    }
}

pub(crate) fn rows(copy: &Printed, table: &str) -> u64 {
    copy.connect()
        .query_first(format!("SELECT COUNT(*) FROM {table}"))
        .unwrap()
        .unwrap()
}

fn odd_settings_are_told_to_every_copy(on: &Programs) {
    let made_with = [
        "--innodb-page-size=8k",
        "--innodb-data-file-path=one:12M;two:12M:autoextend",
        "--lower-case-table-names=1",
    ];
    let server = Server::start_in_volume(on, &made_with, |volume| {
        let mut options = vec![
            format!("--innodb-undo-directory={}", volume.join("undo").display()),
            format!("--log-bin={}", volume.join("logs/binlog").display()),
            "--server-id=7".to_owned(),
            "--innodb-file-per-table=0".to_owned(),
        ];
        if on.mariadb {
            options.push(format!("--innodb-log-group-home-dir={}", volume.join("redo").display()));
            options.push("--character-set-server=latin1".to_owned());
        }
        options
    });
    server.execute(&[
        "CREATE DATABASE SHOP",
        "CREATE TABLE SHOP.T (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(2000))",
        "INSERT INTO shop.t (v) VALUES (REPEAT('x', 2000))",
    ]);
    for _ in 0..12 {
        server.execute(&["INSERT INTO shop.t (v) SELECT v FROM shop.t"]);
    }
    let settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let done = restored(&settings, &server.directory.path().join("a copy's place")).unwrap();
    let copy = Printed::start(&done);
    assert_eq!(rows(&copy, "shop.T"), 4096);
    copy.stop();
}

fn every_page_size_is_checked(on: &Programs) {
    for size in ["4k", "16k", "32k", "64k"] {
        let page = format!("--innodb-page-size={size}");
        let made_with = [
            page.as_str(),
            "--innodb-data-file-path=ibdata1:12M;ibdata2:12M:autoextend",
        ];
        let server = Server::start_in_volume(on, &made_with, |_| {
            vec![
                "--innodb-file-per-table=0".to_owned(),
                "--innodb-buffer-pool-size=64M".to_owned(),
            ]
        });
        server.execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(2000))",
        ]);
        server.execute(&["INSERT INTO shop.t (v) VALUES (REPEAT('x', 2000))"]);
        for _ in 0..13 {
            server.execute(&["INSERT INTO shop.t (v) SELECT v FROM shop.t"]);
        }
        let settings = patient(&server);
        server.backup(&settings, &Behaviour::default()).unwrap();
        let verdict = verified(&settings);
        assert_eq!(verdict.verdict, Grade::Ok, "{size}: {verdict:#?}");
        let read = verdict
            .checks
            .iter()
            .any(|check| check.name == "innochecksum" && check.outcome == Outcome::Ok);
        assert!(read, "{size}: {verdict:#?}");
        // A page of the second file is broken, which the server does not read: it is free.
        std::thread::sleep(Duration::from_millis(1100));
        let broken = Behaviour {
            opened: Arc::new(|snapshot| {
                let second = fs::File::options()
                    .write(true)
                    .open(snapshot.join("data/ibdata2"))
                    .unwrap();
                let end = second.metadata().unwrap().len();
                second.write_all_at(&[0xa5; 3000], end - 70_000).unwrap();
            }),
            ..Behaviour::default()
        };
        server.backup(&settings, &broken).unwrap();
        expect(&verified(&settings), Grade::Corrupt, &["innochecksum"]);
    }
}

fn a_replica_of_several_sources_verifies(on: &Programs) {
    let server = Server::start(on);
    for (name, port) in [("one", 1), ("two", 2)] {
        server.execute(&[&if on.mariadb {
            format!(
                "CHANGE MASTER '{name}' TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='r', MASTER_PASSWORD='x', \
                 MASTER_USE_GTID=slave_pos"
            )
        } else {
            format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='r', SOURCE_PASSWORD='x', \
                 SOURCE_AUTO_POSITION=1 FOR CHANNEL '{name}'"
            )
        }]);
    }
    let settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    // A copy that is started does not begin to replicate.
    let copy = Printed::start(&restored(&settings, &server.directory.path().join("copy")).unwrap());
    let [ask, runs] = if on.mariadb {
        ["SHOW ALL SLAVES STATUS", "Slave_IO_Running"]
    } else {
        ["SHOW REPLICA STATUS", "Replica_IO_Running"]
    };
    let replicas: Vec<mysql::Row> = copy.connect().query(ask).unwrap();
    let stands = |row: &mysql::Row| row.get::<String, _>(runs).unwrap() == "No";
    assert!(replicas.iter().all(stands));
    copy.stop();
}

/// A file of keys that the servers' account can read.
fn keys(server: &Server, name: &str, text: &str) -> PathBuf {
    let path = server.directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn keys_are_given_or_missed_by_name(on: &Programs) {
    let outer = tempfile::tempdir().unwrap();
    fs::set_permissions(outer.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = outer.path().join("keys");
    let one = "1;00112233445566778899aabbccddeeff\n";
    fs::write(&file, format!("{one}2;ffeeddccbbaa99887766554433221100\n")).unwrap();
    let option = format!("--file-key-management-filename={}", file.display());
    let mut server = Server::start_with(
        on,
        &["--plugin-load-add=file_key_management.so", &option, "--log-bin=binlog"],
    );
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (id INT PRIMARY KEY, v TEXT) ENCRYPTED=YES",
        "INSERT INTO shop.t VALUES (1, REPEAT('a', 6000)), (2, REPEAT('b', 6000)), (3, REPEAT('c', 6000))",
        "CREATE TABLE shop.`odd name` (id INT) ENCRYPTED=YES ENCRYPTION_KEY_ID=2",
        "INSERT INTO shop.`odd name` VALUES (1)",
        "CREATE TABLE shop.plain (id INT)",
        "INSERT INTO shop.plain VALUES (1)",
    ]);
    let backed = |server: &Server, settings: &Settings, behaviour: &Behaviour| {
        std::thread::sleep(Duration::from_millis(1100));
        server.backup(settings, behaviour).unwrap();
    };
    let mut settings = patient(&server);
    // With what is in the redo log, the server cannot start; behind a clean shutdown it starts, and cannot read these tables.
    for clean in [false, true] {
        if clean {
            server.restart();
        }
        backed(&server, &settings, &Behaviour::default());
        settings.verify.tables = vec!["shop.t".to_owned()];
        settings.verify.server_options.clear();
        let proposed = format!("--set 'verify.server_options=[\"{option}\"]'");
        expect(
            &verified(&settings),
            Grade::Unverified,
            &["file_key_management.so", &proposed],
        );
        settings.verify.server_options = vec![option.clone()];
        let verdict = verified(&settings);
        assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    }
    // One of two keys, and another one of the same number.
    let first = keys(&server, "first", one);
    settings.verify.server_options = vec![format!("--file-key-management-filename={}", first.display())];
    settings.verify.tables.clear();
    expect(&verified(&settings), Grade::Unverified, &["shop.odd name"]);
    let other = keys(
        &server,
        "other",
        "1;ff112233445566778899aabbccddeeff\n2;ff112233445566778899aabbccddeeff\n",
    );
    settings.verify.server_options = vec![format!("--file-key-management-filename={}", other.display())];
    expect(&verified(&settings), Grade::Unverified, &["shop.t"]);
    // Given by their options, the keys are a part of the command that is printed.
    settings.verify.server_options = vec![option];
    let copy = Printed::start(&restored(&settings, &server.directory.path().join("copy")).unwrap());
    assert_eq!(rows(&copy, "shop.t"), 3);
    copy.stop();
    // A page is damaged.
    let damaged = Behaviour {
        opened: Arc::new(|snapshot| {
            let table = fs::File::options()
                .write(true)
                .open(snapshot.join("shop/t.ibd"))
                .unwrap();
            table.write_all_at(&[0xa5; 300], 3 * (16 << 10) + 5000).unwrap();
        }),
        ..Behaviour::default()
    };
    backed(&server, &settings, &damaged);
    expect(&verified(&settings), Grade::Corrupt, &["shop.t"]);
}

fn an_engine_is_loaded_or_missed_by_name(on: &Programs) {
    let options = [
        "--plugin-load-add=ha_archive.so",
        "--plugin-load-add=ha_blackhole.so",
        "--plugin-load-add=ha_federatedx.so",
    ];
    let server = Server::start_with(on, &options);
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.a (id INT) ENGINE=ARCHIVE",
        "INSERT INTO shop.a VALUES (1)",
        "CREATE TABLE shop.b (id INT) ENGINE=BLACKHOLE",
        "CREATE TABLE shop.plain (id INT)",
        "INSERT INTO shop.plain VALUES (1)",
    ]);
    let mut settings = patient(&server);
    settings.verify.tables = vec!["shop.a".to_owned()];
    server.backup(&settings, &Behaviour::default()).unwrap();
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let copy = Printed::start(&restored(&settings, &server.directory.path().join("copy")).unwrap());
    assert_eq!(rows(&copy, "shop.a"), 1);
    copy.stop();
    // Without the plugins: the others are read, and these named.
    settings.verify.server_options = vec!["--plugin-dir=/nowhere".to_owned()];
    let verdict = verified(&settings);
    expect(
        &verdict,
        Grade::Unverified,
        &[
            "ARCHIVE (ha_archive.so)",
            "shop.a cannot be read here",
            "every last row is OK",
        ],
    );
}

fn a_keyring_is_given_or_missed_by_name(on: &Programs) {
    let outer = tempfile::tempdir().unwrap();
    fs::set_permissions(outer.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let option = format!("--keyring-file-data={}", outer.path().join("keyring").display());
    let server = Server::start_with(
        on,
        &[
            "--early-plugin-load=keyring_file.so",
            &option,
            "--log-bin=binlog",
            "--server-id=7",
        ],
    );
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (id INT PRIMARY KEY) ENCRYPTION='Y'",
        "INSERT INTO shop.t VALUES (1)",
    ]);
    let mut settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();
    expect(
        &verified(&settings),
        Grade::Unverified,
        &["keyring_file.so", &format!("[\"{option}\"]")],
    );
    settings.verify.server_options = vec![option];
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let copy = Printed::start(&restored(&settings, &server.directory.path().join("copy")).unwrap());
    assert_eq!(rows(&copy, "shop.t"), 1);
    copy.stop();
}
