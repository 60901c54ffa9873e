//! The law: what is restored is what the server had under the lock, or the verdict names what is missing, or the backup is refused.
//!
//! Databases are made up, from a seed that is printed (`GLRL_SEED` sets it): all engines that a server has, odd names, many kinds of columns, places
//! inside and outside of the volume. Each server gets ten of them, or as many as `GLRL_DATABASES` says.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use mysql::{Conn, Row, prelude::Queryable};

use crate::{
    model::{
        error::Kind,
        interrupt::Interrupt,
        verdict::{Grade, Outcome},
    },
    operate::job::verify,
    restore::{Destination, Request, restore},
    server::session::quote,
    settings::Settings,
    tests::{
        chance::Chance,
        servers::{Programs, on_every_server},
        support::{Behaviour, Server},
    },
};

on_every_server!(what_is_restored_is_what_there_was_or_is_named,);

/// A name that no other has: `number` tells it apart.
fn name_of(chance: &mut Chance, number: usize) -> String {
    let odd = chance.one(&[
        "t",
        "Orders",
        "orders",
        "a b",
        "a.b",
        "per%cent",
        "back`tick",
        "wéird-name",
        "日本",
        "quo'te",
        "da\"sh--",
        "select",
        "#hash",
        "x/y",
        "an_identifier_that_is_nearly_as_long_as_a_server_allows",
    ]);
    format!("{odd}{number}")
}

/// Chooses how a table is made that this server can have: what comes behind its name.
fn definition(chance: &mut Chance, on: &Programs, volume: &Path) -> String {
    let elsewhere = format!("DATA DIRECTORY='{}'", volume.join("extra").display());

    let columns = "(id INT PRIMARY KEY, v VARCHAR(200), b BLOB, n INT, KEY (n))";
    let mut kinds = vec![
            (format!("{columns} ENGINE=InnoDB")),
            (format!("{columns} ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8")),
            (format!("{columns} ENGINE=InnoDB ROW_FORMAT=REDUNDANT")),
            (
                format!("{columns} ENGINE=InnoDB PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (4), PARTITION p1 VALUES LESS THAN MAXVALUE)")),
            (format!("{columns} ENGINE=InnoDB {elsewhere}")),
            (
                "(id INT PRIMARY KEY, v VARCHAR(200), b BLOB, n INT, w INT AS (n + 1) VIRTUAL, s INT AS (n * 2) STORED, FULLTEXT (v)) ENGINE=InnoDB".to_owned()),
            (format!("{columns} ENGINE=MyISAM")),
            (
                "(id INT PRIMARY KEY, v VARCHAR(200), b BLOB, n INT, g POINT NOT NULL DEFAULT (POINT(1, 2)), SPATIAL INDEX (g)) ENGINE=MyISAM".to_owned()),
            ("(id INT NOT NULL, v VARCHAR(200) NOT NULL, b VARCHAR(99) NOT NULL, n INT NOT NULL) ENGINE=CSV".to_owned()),
            ("(id INT PRIMARY KEY, v VARCHAR(200), b VARCHAR(99), n INT) ENGINE=MEMORY".to_owned()),
        ];
    if on.mariadb {
        kinds.push(format!("{columns} ENGINE=Aria TRANSACTIONAL=1"));
        kinds.push(format!("{columns} ENGINE=Aria TRANSACTIONAL=0 ROW_FORMAT=DYNAMIC"));
        kinds.push(format!("{columns} ENGINE=InnoDB WITH SYSTEM VERSIONING"));
        kinds.push(format!(
            "{columns} ENGINE=MyISAM {elsewhere} INDEX DIRECTORY='{}'",
            volume.join("extra").display()
        ));
    } else {
        kinds.push(format!("{columns} ENGINE=InnoDB TABLESPACE=general"));
        kinds.push(format!("{columns} ENGINE=InnoDB TABLESPACE=innodb_system"));
        kinds.push("(id INT, v VARCHAR(200), b BLOB, n INT) ENGINE=ARCHIVE".to_owned());
        kinds.push(format!("{columns} ENGINE=BLACKHOLE"));
    }
    let which = usize::try_from(chance.below(kinds.len() as u64)).unwrap();
    kinds.swap_remove(which)
}

/// Makes a database, of one to five tables with rows, and often a view, a trigger, a routine, an event. Some lie elsewhere in the volume, behind a link.
fn make(chance: &mut Chance, server: &Server, number: usize) {
    let mut conn = server.connect();
    let schema = name_of(chance, number);
    let quoted = quote(&schema);
    let mut run = |sql: &str| conn.query_drop(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    run(&format!("CREATE DATABASE {quoted} CHARACTER SET utf8mb4"));
    if server.mariadb && chance.below(4) == 0 {
        // Moved by hand, as some do, when it was empty.
        let plain = format!("moved{number}");
        let (from, to) = (server.data().join(&plain), server.volume().join("extra").join(&plain));
        run(&format!("CREATE DATABASE {plain}"));
        fs::rename(&from, &to).unwrap();
        symlink(format!("../extra/{plain}"), &from).unwrap();
        run(&format!("CREATE TABLE {plain}.t (id INT) ENGINE=MyISAM"));
        run(&format!("INSERT INTO {plain}.t VALUES (1), (2)"));
    }
    for table in 0..=chance.below(5) {
        let definition = definition(chance, &server.programs, &server.volume());
        let name = name_of(chance, usize::try_from(table).unwrap());
        // MariaDB has the files of all schemas beside each other there, by the tables' bare names.
        let name = if definition.contains("INDEX DIRECTORY") {
            format!("elsewhere{number}_{table}")
        } else {
            name
        };
        let name = format!("{quoted}.{}", quote(&name));
        run(&format!("CREATE TABLE {name} {definition}"));
        for id in 0..chance.below(9) {
            let length = chance.below(80);
            let n = chance.below(5);
            run(&format!(
                "INSERT INTO {name} (id, v, b, n) VALUES ({id}, REPEAT('{}', {length}), REPEAT('x', {length}), {n})",
                chance.one(&["a", "é", "日", "0"])
            ));
        }
    }
    run(&format!("CREATE TABLE {quoted}.`child` (id INT) ENGINE=MyISAM"));
    run(&format!("INSERT INTO {quoted}.`child` VALUES (1), (2)"));
    for (chosen, sql) in [
        (
            2,
            format!("CREATE TABLE {quoted}.`merge` (id INT) ENGINE=MERGE UNION=({quoted}.`child`)"),
        ),
        (2, format!("CREATE VIEW {quoted}.`v` AS SELECT 1")),
        (
            2,
            format!("CREATE TRIGGER {quoted}.`g` BEFORE INSERT ON {quoted}.`child` FOR EACH ROW SET @a = 1"),
        ),
        (2, format!("CREATE PROCEDURE {quoted}.`p`() SELECT 1")),
        (
            3,
            format!("CREATE EVENT {quoted}.`e` ON SCHEDULE EVERY 1 DAY DO SELECT 1"),
        ),
    ] {
        if chance.below(chosen) == 0 {
            run(&sql);
        }
    }
    if server.mariadb && chance.below(2) == 0 {
        run(&format!("CREATE SEQUENCE {quoted}.`seq`"));
        run(&format!("DO NEXTVAL({quoted}.`seq`)"));
    }
}

/// Every table with its engine, rows and checksum; and everything else there is, by name.
fn contents(conn: &mut Conn) -> BTreeMap<String, String> {
    const OURS: &str = "NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')";
    let text = |row: &Row, index: usize| row.get::<Option<String>, _>(index).unwrap().unwrap_or_default();
    let mut found = BTreeMap::new();
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA {OURS}"
    );
    for row in conn.query::<Row, _>(sql).unwrap() {
        let [schema, name, of_type, engine] = [0, 1, 2, 3].map(|index| text(&row, index));
        let quoted = format!("{}.{}", quote(&schema), quote(&name));
        let mut said = format!("{of_type} {engine}");
        if of_type != "VIEW" {
            let rows: u64 = conn
                .query_first(format!("SELECT COUNT(*) FROM {quoted}"))
                .unwrap()
                .unwrap();
            let sum: (String, Option<String>) = conn
                .query_first(format!("CHECKSUM TABLE {quoted} EXTENDED"))
                .unwrap()
                .unwrap();
            said += &format!(", {rows} rows, checksum {:?}", sum.1);
        }
        found.insert(format!("{schema}.{name}"), said);
    }
    for (kind, sql) in [
        (
            "schema",
            "SELECT SCHEMA_NAME, '' FROM information_schema.SCHEMATA WHERE SCHEMA_NAME",
        ),
        (
            "trigger",
            "SELECT TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA",
        ),
        (
            "routine",
            "SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA",
        ),
        (
            "event",
            "SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA",
        ),
    ] {
        for row in conn.query::<Row, _>(format!("{sql} {OURS}")).unwrap() {
            found.insert(format!("{kind} {}.{}", text(&row, 0), text(&row, 1)), String::new());
        }
    }
    found
}

/// What lies outside of the volume in one way or another is refused, and named.
fn outside_is_refused(chance: &mut Chance, server: &Server, settings: &Settings, number: usize) {
    let outside = server.directory.path().join(format!("outside{number}"));
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, PermissionsExt::from_mode(0o777)).unwrap();
    let schema = format!("out{number}");
    let place = server.data().join(&schema);
    server.execute(&[&format!("CREATE DATABASE {schema}")]);
    let mut way = chance.one(&["link", "mount", "bind", "directory"]);
    if way == "directory" && !server.mariadb {
        way = "mount";
    }
    match way {
        "link" => {
            fs::rename(&place, outside.join(&schema)).unwrap();
            symlink(outside.join(&schema), &place).unwrap();
        }
        "mount" => nix::mount::mount(
            Some("none"),
            &place,
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .unwrap(),
        "bind" => nix::mount::mount(
            Some(&outside),
            &place,
            None::<&str>,
            nix::mount::MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap(),
        _ => server.execute(&[&format!(
            "CREATE TABLE {schema}.t (id INT) ENGINE=InnoDB DATA DIRECTORY='{}'",
            outside.display()
        )]),
    }
    let error = server.backup(settings, &Behaviour::default()).unwrap_err();
    let said = format!("{error:#}");
    assert_eq!(error.kind, Kind::Refused, "{way}: {said}");
    assert!(
        said.contains(&schema) || said.contains(&outside.display().to_string()),
        "{way}: {said}"
    );
    match way {
        "link" => {
            fs::remove_file(&place).unwrap();
            fs::rename(outside.join(&schema), &place).unwrap();
        }
        "mount" | "bind" => nix::mount::umount(&place).unwrap(),
        _ => {}
    }
    server.execute(&[&format!("DROP DATABASE {schema}")]);
}

fn what_is_restored_is_what_there_was_or_is_named(on: &Programs) {
    let databases = std::env::var("GLRL_DATABASES").map_or(10, |text| text.parse().unwrap());
    let mut chance = Chance::from_environment();
    let mut options = vec!["--log-bin=binlog", "--server-id=7"];
    let directories = "--innodb-directories={volume}/extra";
    if !on.mariadb {
        options.push(directories);
    }
    let mut server = Server::start_within(on, &options);
    let extra = server.volume().join("extra");
    fs::create_dir(&extra).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(server.data()).unwrap());
    chown(&extra, Some(owner), None).unwrap();
    if !server.mariadb {
        server.execute(&["CREATE TABLESPACE general ADD DATAFILE 'general.ibd'"]);
    }
    for number in 0..databases {
        make(&mut chance, &server, number);
    }
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_mins(2);
    for number in 0..=databases / 10 {
        outside_is_refused(&mut chance, &server, &settings, number);
    }
    let under_lock = Arc::new(Mutex::new((server.connect(), BTreeMap::new())));
    let look = under_lock.clone();
    let behaviour = Behaviour {
        take: Arc::new(move || {
            let (conn, found) = &mut *look.lock().unwrap();
            *found = contents(conn);
            Ok(())
        }),
        ..Behaviour::default()
    };
    server.backup(&settings, &behaviour).unwrap();
    let verdict = verify(&settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    drop(behaviour);
    let (conn, had) = Arc::into_inner(under_lock).unwrap().into_inner().unwrap();
    drop(conn);

    server.stop();
    server.clear();
    let request = Request {
        id: None,
        to: Destination::InPlace,
        until: None,
    };
    restore(&settings, &request, &Interrupt::default(), &mut |_| {}).unwrap();
    server.launch();
    let has = contents(&mut server.connect());
    let named: Vec<&str> = verdict
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Warning)
        .map(|check| &*check.detail)
        .collect();
    let mut memory = 0;
    for (name, what) in &had {
        let now = has.get(name).map_or("it is not there", String::as_str);
        if now != what {
            // More than a few are counted, not named.
            memory += 1;
            assert!(
                what.contains(" MEMORY, ") && now.contains(" MEMORY, 0 rows"),
                "{name} had {what} and has {now}"
            );
            assert!(
                memory > 5 || named.iter().any(|said| said.contains("(MEMORY: ")),
                "{name}: {named:?}"
            );
        }
    }
    let more: Vec<_> = has.keys().filter(|name| !had.contains_key(*name)).collect();
    assert_eq!(more, Vec::<&String>::new());
    assert!(had.len() > databases, "{had:#?}");
}
