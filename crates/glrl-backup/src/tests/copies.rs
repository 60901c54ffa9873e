//! A copy can never hurt the original: whatever names a path of it, a copy that is started, written to and cleared up leaves it as it was.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use mysql::{Conn, OptsBuilder, Row, prelude::Queryable};
use nix::{
    mount::{MsFlags, mount, umount},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    model::{
        error::{Kind, Result},
        interrupt::Interrupt,
        verdict::Grade,
    },
    operate::job::verify,
    restore::{Destination, Request, Restored, restore},
    settings::Settings,
    tests::{
        servers::{Programs, on_every_server},
        support::{Behaviour, Server, names, patient},
    },
};

on_every_server!(a_copy_cannot_hurt_its_original,);
on_every_server!(@ any_mariadb mariadb: a_partition_elsewhere_is_refused, no_other_way_leads_to_the_original);

pub(crate) fn restored(settings: &Settings, to: &Path) -> Result<Restored> {
    let request = Request {
        id: None,
        to: Destination::Directory(to.to_owned()),
        until: None,
    };
    restore(settings, &request, &Interrupt::default(), &mut |_| {})
}

/// A server that was started by the command that a restore prints, as a shell takes it.
pub(crate) struct Printed {
    child: Child,
    socket: String,
}

impl Printed {
    pub(crate) fn start(restored: &Restored) -> Self {
        let (_, command) = restored.next.split_once("reads it: ").unwrap();
        let log = restored.to.with_extension("log");
        let child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdout(fs::File::create(&log).unwrap())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let socket = restored.datadir.join("glrl-copy.sock");
        let mut printed = Self {
            child,
            socket: socket.display().to_string(),
        };
        let deadline = Instant::now() + Duration::from_mins(2);
        while printed.try_connect().is_none() {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(printed.child.try_wait().unwrap().is_none(), "{command}\n{}", said());
            assert!(Instant::now() < deadline, "{command}\n{}", said());
            sleep(Duration::from_millis(50));
        }
        printed
    }

    fn try_connect(&self) -> Option<Conn> {
        let options = OptsBuilder::new()
            .socket(Some(&self.socket))
            .user(Some("root"))
            .prefer_socket(false);
        Conn::new(options).ok()
    }

    pub(crate) fn connect(&self) -> Conn {
        self.try_connect().unwrap()
    }

    pub(crate) fn execute(&self, statements: &[&str]) {
        let mut conn = self.connect();
        for sql in statements {
            conn.query_drop(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    pub(crate) fn stop(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The hash of each file, and the target of each link.
fn contents(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for name in names(directory) {
        let path = directory.join(name);
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(contents(&path));
        } else if kind.is_symlink() {
            found.insert(path.clone(), fs::read_link(&path).unwrap().display().to_string());
        } else if kind.is_file() {
            let hash = blake3::hash(&fs::read(&path).unwrap());
            found.insert(path, hash.to_string());
        }
    }
    found
}

/// CHECKSUM TABLE of these, read anew.
fn checksums(conn: &mut Conn, tables: &[&str]) -> Vec<Option<i64>> {
    conn.query_drop("FLUSH TABLES").unwrap();
    let rows: Vec<Row> = conn
        .query(format!("CHECKSUM TABLE {} EXTENDED", tables.join(", ")))
        .unwrap();
    rows.into_iter()
        .map(|row| row.get::<Option<i64>, _>(1).unwrap())
        .collect()
}

/// A server with whatever names places in its volume, and its tables.
fn with_places(on: &Programs) -> (Server, Vec<&'static str>) {
    let server = Server::start_in_volume(on, &["--innodb-page-size=16k"], |volume| {
        let at = |option: &str, place: &str| format!("--{option}={}", volume.join(place).display());
        let mut options = vec![
            at("log-bin", "logs/binlog"),
            at("log-bin-index", "logs/names.index"),
            at("relay-log", "logs/relay"),
            at("innodb-undo-directory", "undo"),
            at("innodb-log-group-home-dir", "redo"),
            "--server-id=7".to_owned(),
            "--symbolic-links=1".to_owned(),
        ];
        options.extend(if on.mariadb {
            vec![at("aria-log-dir-path", "aria")]
        } else {
            vec![
                at("innodb-directories", "extra"),
                at("innodb-doublewrite-dir", "double"),
                at("innodb-temp-tablespaces-dir", "temporary"),
            ]
        });
        options
    });
    let extra = server.volume().join("extra").display().to_string();
    let row = "VALUES (1, REPEAT('live', 300)), (2, 'live')";
    let elsewhere = |name: &str, engine: &str, options: &str| {
        server.execute(&[
            &format!("CREATE TABLE shop.{name} (id INT PRIMARY KEY, v VARCHAR(2000)) ENGINE={engine} {options}"),
            &format!("INSERT INTO shop.{name} {row}"),
        ]);
    };
    server.execute(&["CREATE DATABASE shop"]);
    let mut tables = vec!["shop.plain", "shop.i", "shop.m"];
    elsewhere("plain", "InnoDB", "");
    elsewhere("i", "InnoDB", &format!("DATA DIRECTORY='{extra}'"));
    elsewhere(
        "m",
        "MyISAM",
        &format!("DATA DIRECTORY='{extra}' INDEX DIRECTORY='{extra}'"),
    );
    let partitioned = format!(
        "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (2) DATA DIRECTORY='{extra}', PARTITION p1 VALUES LESS THAN MAXVALUE)"
    );
    if on.mariadb {
        elsewhere(
            "a",
            "Aria",
            &format!("DATA DIRECTORY='{extra}' INDEX DIRECTORY='{extra}'"),
        );
        tables.push("shop.a");
        server.execute(&[
            "CHANGE MASTER 'one' TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='r', MASTER_PASSWORD='x'",
        ]);
    } else {
        server.execute(&[
            &format!("CREATE TABLESPACE g ADD DATAFILE '{extra}/g.ibd'"),
            &format!("CREATE UNDO TABLESPACE u ADD DATAFILE '{extra}/u.ibu'"),
            "SET PERSIST_ONLY innodb_print_all_deadlocks = ON",
            &format!("SET PERSIST general_log_file = '{extra}/general.log'"),
            "SET PERSIST general_log = ON",
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_USER='r', SOURCE_PASSWORD='x' FOR CHANNEL 'one'",
        ]);
        elsewhere("g", "InnoDB", "TABLESPACE g");
        elsewhere("p", "InnoDB", &partitioned);
        tables.extend(["shop.g", "shop.p"]);
    }
    (server, tables)
}

/// Writes to a copy whatever may reach a file.
fn write(copy: &Printed, tables: &[&str], mariadb: bool) {
    for table in tables {
        copy.execute(&[
            &format!("UPDATE {table} SET v = 'COPY'"),
            &format!("INSERT INTO {table} VALUES (3, REPEAT('COPY', 400))"),
            &format!("ALTER TABLE {table} ADD COLUMN w INT DEFAULT 4, ALGORITHM=COPY"),
            &format!("ALTER TABLE {table} DROP COLUMN w"),
            &format!("TRUNCATE TABLE {table}"),
            &format!("INSERT INTO {table} VALUES (1, 'COPY')"),
        ]);
    }
    for table in tables.iter().filter(|table| **table == "shop.p") {
        copy.execute(&[
            &format!("ALTER TABLE {table} REBUILD PARTITION p0"),
            &format!("ALTER TABLE {table} TRUNCATE PARTITION p0"),
            &format!("ALTER TABLE {table} REORGANIZE PARTITION p0, p1 INTO (PARTITION p0 VALUES LESS THAN (2), PARTITION p1 VALUES LESS THAN MAXVALUE)"),
            &format!("OPTIMIZE TABLE {table}"),
        ]);
    }
    // A `.cfg` beside the file, and then no file.
    copy.execute(&[
        "FLUSH TABLES shop.i FOR EXPORT",
        "UNLOCK TABLES",
        "ALTER TABLE shop.i DISCARD TABLESPACE",
        "DROP TABLE shop.i",
    ]);
    copy.execute(&["FLUSH TABLES", "FLUSH LOGS"]);
    let logs: Vec<Row> = copy.connect().query("SHOW BINARY LOGS").unwrap();
    let last: String = logs.last().unwrap().get(0).unwrap();
    copy.execute(&[&format!("PURGE BINARY LOGS TO '{last}'")]);
    if mariadb {
        copy.execute(&["RESET SLAVE 'one' ALL"]);
    } else {
        copy.execute(&["RESET REPLICA ALL FOR CHANNEL 'one'"]);
    }
}

fn a_copy_cannot_hurt_its_original(on: &Programs) {
    let (mut server, tables) = with_places(on);
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let verdict = verify(&settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let before = checksums(&mut server.connect(), &tables);
    let to = server.directory.path().join("copy");
    let done = restored(&settings, &to).unwrap();
    // While the original runs.
    let copy = Printed::start(&done);
    assert_eq!(checksums(&mut copy.connect(), &tables), before);
    write(&copy, &tables, on.mariadb);
    copy.stop();
    assert_eq!(checksums(&mut server.connect(), &tables), before);
    server.execute(&[&format!("CHECK TABLE {}", tables.join(", "))]);
    // While it is stopped, when no lock keeps its files.
    server.stop();
    let files = contents(&server.volume());
    let copy = Printed::start(&done);
    write_again(&copy, &tables);
    copy.stop();
    fs::remove_dir_all(&to).unwrap();
    let done = restored(&settings, &to).unwrap();
    let copy = Printed::start(&done);
    write(&copy, &tables, on.mariadb);
    copy.execute(&["DROP DATABASE shop"]);
    copy.stop();
    let verdict = verify(&settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let now = contents(&server.volume());
    let changed: Vec<_> = files
        .iter()
        .filter(|(path, hash)| now.get(*path) != Some(hash))
        .collect();
    assert!(changed.is_empty() && now.len() == files.len(), "{changed:#?}");
    server.launch();
    assert_eq!(checksums(&mut server.connect(), &tables), before);
}

fn write_again(copy: &Printed, tables: &[&str]) {
    for table in tables.iter().filter(|table| **table != "shop.i") {
        copy.execute(&[&format!("UPDATE {table} SET v = 'AGAIN'")]);
    }
}

/// The definition of a partitioned table of MariaDB names the place of a partition, and ALTER TABLE of a copy would make its file there.
fn a_partition_elsewhere_is_refused(on: &Programs) {
    let server = Server::start_in_volume(on, &[], |_| vec!["--symbolic-links=1".to_owned()]);
    let extra = server.volume().join("extra").display().to_string();
    let partitioned = |engine: &str| {
        format!(
            "CREATE TABLE shop.p_{engine} (id INT PRIMARY KEY) ENGINE={engine} PARTITION BY RANGE (id) \
             (PARTITION p0 VALUES LESS THAN (2) DATA DIRECTORY='{extra}', PARTITION p1 VALUES LESS THAN MAXVALUE)"
        )
    };
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    let to = server.directory.path().join("copy");
    server.execute(&["CREATE DATABASE shop"]);
    for (engine, named) in [("MyISAM", "data/shop/p_MyISAM.frm"), ("InnoDB", "p_InnoDB#P#p0.isl")] {
        server.execute(&[&partitioned(engine)]);
        sleep(Duration::from_millis(1100));
        server.backup(&settings, &Behaviour::default()).unwrap();
        let error = restored(&settings, &to).unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error:?}");
        let said = error.to_string();
        assert!(
            said.contains(named) && said.contains("glrl restore --in-place --backup mysql-test-"),
            "{said}"
        );
        assert!(!to.exists());
        server.execute(&[&format!("DROP TABLE shop.p_{engine}")]);
    }
}

/// The ways to the original beside its own place.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Its volume is mounted a second time.
    Alias,
    /// A process of the same account, as its server is, sees the place as everybody but the copy's server does.
    Process,
}

/// A process of the account that owns a file, ended when it is dropped.
struct OfAccount(Child);

impl OfAccount {
    fn start(file: &Path) -> Self {
        let owner = fs::metadata(file).unwrap();
        let process = Command::new("setpriv")
            .args([format!("--reuid={}", owner.uid()), format!("--regid={}", owner.gid())])
            .args(["--clear-groups", "sleep", "1000"])
            .spawn()
            .unwrap();
        Self(process)
    }
}

impl Drop for OfAccount {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file of the copy names a table of the original by a way that is not its place.
fn no_other_way_leads_to_the_original(on: &Programs) {
    let mut server = Server::start_in_volume(on, &[], |_| Vec::new());
    let extra = server.volume().join("extra");
    server.execute(&[
        "CREATE DATABASE shop",
        &format!(
            "CREATE TABLE shop.i (id INT PRIMARY KEY) DATA DIRECTORY='{}'",
            extra.display()
        ),
        "INSERT INTO shop.i VALUES (1)",
    ]);
    // Recovery would make it anew.
    server.restart();
    let alias = server.directory.path().join("alias");
    fs::create_dir(&alias).unwrap();
    fs::set_permissions(&alias, PermissionsExt::from_mode(0o755)).unwrap();
    let process = OfAccount::start(&extra.join("shop/i.ibd"));
    let settings = patient(&server);
    for way in [Way::Alias, Way::Process] {
        let there = match way {
            Way::Alias => alias.join("extra/shop/i.ibd"),
            Way::Process => PathBuf::from(format!("/proc/{}/root{}/shop/i.ibd", process.0.id(), extra.display())),
        };
        let behaviour = Behaviour {
            opened: Arc::new(move |snapshot| {
                fs::write(snapshot.join("data/shop/i.isl"), there.display().to_string()).unwrap();
                fs::remove_file(snapshot.join("extra/shop/i.ibd")).unwrap();
            }),
            ..Behaviour::default()
        };
        server.backup(&settings, &behaviour).unwrap();
        sleep(Duration::from_millis(1100));
        let none = None::<&str>;
        if matches!(way, Way::Alias) {
            mount(Some(&server.volume()), &alias, none, MsFlags::MS_BIND, none).unwrap();
        }
        let table = extra.join("shop/i.ibd");
        let before = blake3::hash(&fs::read(&table).unwrap());
        let verdict = verify(&settings, None, &Interrupt::default(), &mut |_| {});
        if matches!(way, Way::Alias) {
            umount(&alias).unwrap();
        }
        let verdict = verdict.unwrap();
        assert_eq!(verdict.verdict, Grade::Corrupt, "{way:?}: {verdict:#?}");
        assert_eq!(blake3::hash(&fs::read(&table).unwrap()), before, "{way:?}");
    }
}
