//! What the server has is in the backup, and what is wrong with it on the server is no fault of the backup.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use mysql::prelude::Queryable;

use crate::{
    model::{
        interrupt::Interrupt,
        inventory::{Inventory, Item, Kind},
        layout::{MANIFEST, path_of},
        manifest::{Manifest, Tables},
        step::Step,
        verdict::{Check, Grade, Outcome, Verdict},
    },
    operate::job::verify,
    restore::{Destination, Request, restore},
    settings::Settings,
    store::{hash::Hashing, list::list},
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server, patient, verified},
    },
};

on_every_server!(
    what_is_broken_on_the_server_is_a_warning,
    everything_that_the_server_has_is_listed,
    nothing_is_made_or_dropped_between_the_list_and_the_lock,
);
on_both_flavours!(
    what_the_copy_lacks_or_has_beyond_the_list_is_corrupt,
    a_backup_of_a_release_without_a_list_is_verified,
    an_account_that_sees_little_is_told_so,
);

#[track_caller]
fn check<'a>(verdict: &'a Verdict, name: &str) -> &'a Check {
    let found = verdict.checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}: {verdict:#?}"))
}

fn listed(settings: &Settings, manifest: &Manifest) -> Inventory {
    Inventory::load(&settings.target.directory, manifest, None)
        .unwrap()
        .unwrap()
}

fn item(kind: Kind, schema: &str, name: &str) -> Item {
    let json = serde_json::json!({ "kind": kind, "schema": schema, "name": name, "of_type": "BASE TABLE" });
    serde_json::from_value(json).unwrap()
}

/// Puts another list in the place of a backup's, hashes and all.
fn replace(settings: &Settings, manifest: &Manifest, inventory: &Inventory) {
    let directory = &settings.target.directory;
    let mut hashing = Hashing::new(File::create(manifest.tables_in(directory)).unwrap());
    inventory.write(&mut hashing, &[]).unwrap();
    let manifest = Manifest {
        tables: Some(Tables {
            count: inventory.items.len() as u64,
            complete: inventory.complete,
            list: hashing.finish().1,
        }),
        ..manifest.clone()
    };
    let text = serde_json::to_vec(&manifest).unwrap();
    fs::write(path_of(directory, &manifest.id, MANIFEST), text).unwrap();
}

fn everything_that_the_server_has_is_listed(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    server.execute(&[
        "CREATE VIEW shop.v AS SELECT 1",
        "CREATE PROCEDURE shop.p() SELECT 1",
        "CREATE FUNCTION shop.p() RETURNS INT DETERMINISTIC RETURN 1",
        "CREATE TRIGGER shop.g BEFORE INSERT ON shop.t FOR EACH ROW SET @a = 1",
        "CREATE DATABASE nothing",
    ]);
    let settings = patient(&server);
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    let inventory = listed(&settings, &manifest);
    assert!(inventory.complete);
    let mut found: Vec<_> = inventory
        .items
        .iter()
        .filter(|item| !["mysql", "sys"].contains(&&*item.schema) && item.of_type != "IGNORED")
        .map(|item| {
            let engine = item.engine.clone().unwrap_or_default();
            // Each server has a collation of its own.
            let of_type = if item.kind == Kind::Schema && item.of_type.ends_with("_ci") {
                "COLLATION"
            } else {
                &item.of_type
            };
            format!("{:?} {} {of_type} {engine}", item.kind, item.shown())
        })
        .collect();
    found.sort();
    let expected = [
        "Event shop.e  ",
        "Routine shop.p FUNCTION ",
        "Routine shop.p PROCEDURE ",
        "Schema nothing COLLATION ",
        "Schema shop COLLATION ",
        "Schema wéird-name COLLATION ",
        "Table shop.blobs BASE TABLE InnoDB",
        "Table shop.my BASE TABLE MyISAM",
        "Table shop.t BASE TABLE InnoDB",
        "Table shop.v VIEW ",
        "Table wéird-name.a b`c BASE TABLE InnoDB",
        "Trigger shop.g  ",
    ];
    assert_eq!(found, expected);
    // A manifest is not encrypted.
    let text = fs::read_to_string(path_of(&settings.target.directory, &manifest.id, MANIFEST)).unwrap();
    assert!(!text.contains("blobs") && !text.contains("shop"), "{text}");
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    assert_eq!(check(&verdict, "inventory").outcome, Outcome::Ok);
}

fn what_the_copy_lacks_or_has_beyond_the_list_is_corrupt(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let settings = patient(&server);
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    let good = listed(&settings, &manifest);
    for (kind, said) in [
        (Kind::Schema, "schema gone is missing"),
        (Kind::Table, "table gone.x is missing"),
        (Kind::Trigger, "trigger gone.x is missing"),
        (Kind::Routine, "routine gone.x is missing"),
        (Kind::Event, "event gone.x is missing"),
    ] {
        let mut more = good.clone();
        more.items
            .push(item(kind, "gone", if kind == Kind::Schema { "" } else { "x" }));
        replace(&settings, &manifest, &more);
        let verdict = verified(&settings);
        assert_eq!(verdict.verdict, Grade::Corrupt, "{verdict:#?}");
        assert_eq!(check(&verdict, "inventory").detail, said);
    }
    let mut less = good;
    less.items.retain(|item| item.name != "my");
    replace(&settings, &manifest, &less);
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Corrupt, "{verdict:#?}");
    assert_eq!(
        check(&verdict, "inventory").detail,
        "table shop.my was not on the server"
    );
    // A list that is not what was written, or is not there, is damage too.
    fs::write(manifest.tables_in(&settings.target.directory), "x").unwrap();
    assert_eq!(check(&verified(&settings), "list of tables").word, Grade::Corrupt);
    if on.mariadb {
        // Its tables are files: a schema that is a mount, as the snapshot has it.
        let emptied = Behaviour {
            opened: Arc::new(|snapshot| {
                for name in crate::tests::support::names(&snapshot.join("shop")) {
                    if name != "db.opt" {
                        fs::remove_file(snapshot.join("shop").join(name)).unwrap();
                    }
                }
            }),
            ..Behaviour::default()
        };
        std::thread::sleep(Duration::from_millis(1100));
        server.backup(&settings, &emptied).unwrap();
        let verdict = verified(&settings);
        assert_eq!(verdict.verdict, Grade::Corrupt, "{verdict:#?}");
        assert!(
            check(&verdict, "inventory").detail.contains("table shop.my is missing"),
            "{verdict:#?}"
        );
    }
}

fn a_backup_of_a_release_without_a_list_is_verified(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let settings = patient(&server);
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    let directory = &settings.target.directory;
    fs::remove_file(manifest.tables_in(directory)).unwrap();
    assert!(list(&settings).unwrap()[0].broken.is_some());
    let mut text = serde_json::to_value(&manifest).unwrap();
    text.as_object_mut().unwrap().remove("tables").unwrap();
    fs::write(path_of(directory, &manifest.id, MANIFEST), text.to_string()).unwrap();
    assert_eq!(list(&settings).unwrap()[0].broken, None);
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    assert_eq!(check(&verdict, "inventory").outcome, Outcome::Warning);
}

fn an_account_that_sees_little_is_told_so(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let grant = if on.mariadb {
        "RELOAD, PROCESS, REPLICATION CLIENT, REPLICA MONITOR, BINLOG MONITOR"
    } else {
        "RELOAD, BACKUP_ADMIN, PROCESS, REPLICATION CLIENT"
    };
    server.execute(&[
        "CREATE USER 'b'@'localhost'",
        &format!("GRANT {grant} ON *.* TO 'b'@'localhost'"),
        if on.mariadb {
            "GRANT SELECT ON mysql.* TO 'b'@'localhost'"
        } else {
            "DO 1"
        },
    ]);
    let mut settings = patient(&server);
    settings.server.user = Some("b".to_owned());
    let mut said = String::new();
    server
        .backup_with(&settings, &Behaviour::default(), &Interrupt::default(), &mut |step| {
            if let Step::Warning { message } = step {
                said += &message;
            }
        })
        .unwrap();
    assert!(said.contains("it needs SELECT, TRIGGER and EVENT on *.*"), "{said}");
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    assert_eq!(check(&verdict, "inventory").outcome, Outcome::Warning);
}

/// Others make and drop everything all the time; of what is listed nothing may be gone, or have come, when the snapshot is taken.
fn nothing_is_made_or_dropped_between_the_list_and_the_lock(on: &Programs) {
    let server = Server::start(on);
    server.execute(&["CREATE DATABASE u", "CREATE TABLE u.t (id INT)"]);
    let settings = patient(&server);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let threads: Vec<_> = [
        ["CREATE TABLE u.new (id INT)", "DROP TABLE u.new"],
        ["CREATE PROCEDURE u.p() SELECT 1", "DROP PROCEDURE u.p"],
        ["CREATE DATABASE other", "DROP DATABASE other"],
        [
            "CREATE TRIGGER u.g BEFORE INSERT ON u.t FOR EACH ROW SET @a = 1",
            "DROP TRIGGER u.g",
        ],
        ["CREATE EVENT u.e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "DROP EVENT u.e"],
    ]
    .into_iter()
    .map(|statements| {
        let (stop, mut conn) = (stop.clone(), server.connect());
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for sql in statements {
                    // MySQL lets a statement that comes between its two locks fail, as a deadlock.
                    let _ = conn.query_drop(sql);
                }
            }
        })
    })
    .collect();
    for _ in 0..3 {
        let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
        let verdict = verify(&settings, Some(&manifest.id), &Interrupt::default(), &mut |_| {}).unwrap();
        assert_eq!(check(&verdict, "inventory").outcome, Outcome::Ok, "{verdict:#?}");
        assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
        std::thread::sleep(Duration::from_millis(1100));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
}

fn what_is_broken_on_the_server_is_a_warning(on: &Programs) {
    let mut server = Server::start(on);
    server.fill();
    server.execute(&[
        "CREATE TABLE shop.one (id INT) ENGINE=MyISAM",
        "CREATE TABLE shop.two (id INT) ENGINE=MyISAM",
        "CREATE TABLE shop.three (id INT) ENGINE=MyISAM",
        "CREATE TABLE shop.gone (id INT) ENGINE=MERGE UNION=(shop.one, shop.two)",
        "CREATE TABLE shop.shape (id INT) ENGINE=MERGE UNION=(shop.one, shop.three)",
        "CREATE TABLE shop.well (id INT) ENGINE=MERGE UNION=(shop.one)",
        "DROP TABLE shop.two",
        "ALTER TABLE shop.three ADD c TEXT",
        "CREATE TABLE shop.discarded (id INT PRIMARY KEY) ENGINE=InnoDB",
        "ALTER TABLE shop.discarded DISCARD TABLESPACE",
        "CREATE TABLE shop.nofile (id INT PRIMARY KEY) ENGINE=InnoDB",
        "CREATE TABLE shop.nodata (id INT) ENGINE=MyISAM",
        "CREATE VIEW shop.noview AS SELECT * FROM shop.nodata",
        "FLUSH TABLES",
    ]);
    let mut broken = vec![
        "shop.discarded",
        "shop.gone",
        "shop.nodata",
        "shop.nofile",
        "shop.shape",
    ];
    if on.mariadb {
        server.execute(&["CREATE TABLE shop.aria (id INT) ENGINE=Aria", "FLUSH TABLES"]);
        fs::remove_file(server.data().join("shop/aria.MAD")).unwrap();
        broken.insert(0, "shop.aria");
    }
    fs::remove_file(server.data().join("shop/nodata.MYD")).unwrap();
    server.stop();
    fs::remove_file(server.data().join("shop/nofile.ibd")).unwrap();
    server.launch();
    let settings = patient(&server);
    let mut said = String::new();
    let manifest = server
        .backup_with(&settings, &Behaviour::default(), &Interrupt::default(), &mut |step| {
            if let Step::Warning { message } = step {
                said += &message;
            }
        })
        .unwrap();
    let inventory = listed(&settings, &manifest);
    let found: Vec<String> = inventory.broken().map(Item::shown).collect();
    assert_eq!(found, broken);
    assert!(said.contains("that the server itself cannot open"), "{said}");
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let told = check(&verdict, "broken tables");
    assert_eq!(told.outcome, Outcome::Warning);
    let number = format!("{} tables, broken on the server itself: ", broken.len());
    assert!(
        told.detail.starts_with(&number) && told.detail.contains("shop.gone: "),
        "{told:?}"
    );
    let request = Request {
        id: None,
        to: Destination::Directory(server.directory.path().join("restored")),
        until: None,
    };
    restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();

    // What the server can read and its copy cannot is damage, beside all that.
    std::thread::sleep(Duration::from_millis(1100));
    let damaged = Behaviour {
        opened: Arc::new(|snapshot| fs::remove_file(snapshot.join("shop/my.MYD")).unwrap()),
        ..Behaviour::default()
    };
    server.backup(&settings, &damaged).unwrap();
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Corrupt, "{verdict:#?}");
    assert!(
        check(&verdict, "check table").detail.starts_with("shop.my: "),
        "{verdict:#?}"
    );
}

/// Writes into a table's definition that MariaDB 10.6.4 made it, whose indexes with a hash a later one wants to have rebuilt.
fn make_older(definition: &Path) {
    let file = File::options().write(true).open(definition).unwrap();
    file.write_all_at(&100_604_u32.to_le_bytes(), 51).unwrap();
}

fn a_table_of_an_older_release_is_a_warning(on: &Programs) {
    let mut server = Server::start(on);
    server.execute(&["CREATE DATABASE u"]);
    for engine in ["InnoDB", "MyISAM"] {
        server.execute(&[
            &format!(
                "CREATE TABLE u.{engine} (id INT PRIMARY KEY, b TEXT, UNIQUE (b)) ENGINE={engine} \
                 DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci"
            ),
            &format!("INSERT INTO u.{engine} VALUES (1, 'a'), (2, 'b')"),
        ]);
    }
    server.stop();
    for engine in ["InnoDB", "MyISAM"] {
        make_older(&server.data().join(format!("u/{engine}.frm")));
    }
    server.launch();
    let settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let told = check(&verdict, "older format");
    assert!(
        told.outcome == Outcome::Warning && told.detail.starts_with("2 tables of"),
        "{told:?}"
    );

    // It hides no damage.
    std::thread::sleep(Duration::from_millis(1100));
    let damaged = Behaviour {
        opened: Arc::new(|snapshot| {
            let data = File::options().write(true).open(snapshot.join("u/MyISAM.MYD")).unwrap();
            data.set_len(data.metadata().unwrap().len() / 2).unwrap();
        }),
        ..Behaviour::default()
    };
    server.backup(&settings, &damaged).unwrap();
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Corrupt, "{verdict:#?}");
    assert!(verdict.why().unwrap().contains("u.MyISAM"), "{verdict:#?}");
}

#[test]
#[ignore = "starts a real server as root"]
fn a_table_of_an_older_release_of_mariadb_10_11_is_a_warning() {
    a_table_of_an_older_release_is_a_warning(&Programs::mariadb());
}

#[test]
#[ignore = "starts a real server as root"]
fn a_table_of_an_older_release_of_mariadb_11_8_is_a_warning() {
    a_table_of_an_older_release_is_a_warning(&Programs::mariadb_trixie());
}
