//! MySQL's keyring component: what a throw-away server is told of it, and what is said where it, or a key of it, is not here. It is set up by files, which
//! are beside the program, or where those say so in the datadir.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use nix::unistd::User;

use crate::{
    model::{error::Result, interrupt::Interrupt, step::Step, verdict::Grade},
    operate::job::archive_binlogs,
    restore::{Destination, Request, Restored, restore},
    settings::Settings,
    tests::{
        copies::{Printed, restored},
        servers::{Programs, on_every_server},
        support::{Behaviour, Server, patient, verified},
        told::{expect, rows},
    },
};

on_every_server!(@ mysql_sid mysql_sid: a_component_is_given_or_missed_by_name, a_component_of_the_instance_comes_along);
on_every_server!(@ mysql_jammy mysql_jammy: a_component_is_given_or_missed_by_name, a_component_of_the_instance_comes_along);

const NAMED: &str = r#"{"components": "file://component_keyring_file"}"#;

/// A machine: a program with libraries, and a file of keys, empty at first.
struct Machine {
    directory: tempfile::TempDir,
    on: Programs,
}

impl Machine {
    fn new(on: &Programs) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let on = on.with_components(directory.path());
        fs::create_dir(directory.path().join("keys")).unwrap();
        let machine = Self { directory, on };
        fs::write(machine.keys(), "").unwrap();
        owned(&machine.keys());
        owned(machine.keys().parent().unwrap());
        machine
    }

    fn keys(&self) -> PathBuf {
        self.directory.path().join("keys/ring")
    }

    /// Tells its servers these things: the program's, and the component's.
    fn tell(&self, program: &str, component: &str) {
        fs::write(self.directory.path().join("programs/mysqld.my"), program).unwrap();
        let settings = self.directory.path().join("plugins/component_keyring_file.cnf");
        fs::write(settings, component).unwrap();
    }
}

/// Makes a path the servers' account's own.
fn owned(path: &Path) {
    let user = User::from_name("mysql").unwrap().unwrap();
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

fn at(keys: &Path) -> String {
    format!(r#"{{"path": "{}", "read_only": false}}"#, keys.display())
}

fn encrypted(server: &Server) {
    server.execute(&[
        "CREATE DATABASE shop",
        "CREATE TABLE shop.t (id INT PRIMARY KEY, v TEXT) ENCRYPTION='Y'",
        "INSERT INTO shop.t VALUES (1, REPEAT('a', 6000)), (2, REPEAT('b', 6000)), (3, REPEAT('c', 6000))",
        "CREATE TABLE shop.plain (id INT PRIMARY KEY)",
        "INSERT INTO shop.plain VALUES (1)",
    ]);
}

fn backed(server: &Server, settings: &Settings, behaviour: &Behaviour) {
    // Ids are of whole seconds.
    sleep(Duration::from_millis(1100));
    server.backup(settings, behaviour).unwrap();
}

fn to_the_end(settings: &Settings, to: &Path) -> Result<Restored> {
    let request = Request {
        id: None,
        to: Destination::Directory(to.to_owned()),
        until: Some("end".parse().unwrap()),
    };
    let mut warnings = Vec::new();
    let restored = restore(settings, &request, &Interrupt::default(), &mut |step| {
        if let Step::Warning { message } = step {
            warnings.push(message);
        }
    })?;
    // The original has the file still, and is not to lose it.
    assert!(
        warnings
            .iter()
            .any(|message| message.contains("/keys/ring has the keys of the original and of this copy")),
        "{warnings:?}"
    );
    Ok(restored)
}

fn a_component_is_given_or_missed_by_name(on: &Programs) {
    let original = Machine::new(on);
    original.tell(NAMED, &at(&original.keys()));
    let mut server = Server::start_with(&original.on, &["--log-bin=binlog", "--server-id=7"]);
    encrypted(&server);
    let mut settings = patient(&server);
    settings.verify.tables = vec!["shop.t".to_owned()];
    let to = server.directory.path().join("copy");
    // A machine that is told nothing, and one whose keys are others. Without a key MySQL cannot recover; behind a clean shutdown it starts, and
    // cannot read these tables, nor replay into them.
    let (here, other) = (Machine::new(on), Machine::new(on));
    other.tell(NAMED, &at(&other.keys()));
    for clean in [false, true] {
        if clean {
            server.restart();
        }
        backed(&server, &settings, &Behaviour::default());
        settings.verify.server = Some(other.on.server.to_str().unwrap().parse().unwrap());
        let said = [
            "component_keyring_file",
            "mysqld.my name the component",
            "component_keyring_file.cnf the file",
        ];
        expect(&verified(&settings), Grade::Unverified, &said);
        settings.verify.server = Some(here.on.server.to_str().unwrap().parse().unwrap());
        let said = [
            "component_keyring_file",
            "mysqld.my && echo",
            &original.keys().display().to_string(),
        ];
        expect(&verified(&settings), Grade::Unverified, &said);
    }
    server.execute(&["INSERT INTO shop.t VALUES (4, 'later')", "FLUSH BINARY LOGS"]);
    archive_binlogs(&settings, &Interrupt::default(), &mut |_| {}).unwrap();
    let error = to_the_end(&settings, &to).unwrap_err().to_string();
    assert!(error.contains("component_keyring_file") && !to.exists(), "{error}");
    // What is said to be done is done.
    let (_, commands) = error.split_once("name both here: ").unwrap();
    assert!(
        Command::new("sh").args(["-c", commands]).status().unwrap().success(),
        "{commands}"
    );
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let copy = Printed::start(&to_the_end(&settings, &to).unwrap());
    assert_eq!(rows(&copy, "shop.t"), 4);
    copy.stop();
    // With its key, a page that is damaged is damaged.
    let damaged = Behaviour {
        opened: Arc::new(|snapshot| {
            let table = fs::File::options()
                .write(true)
                .open(snapshot.join("shop/t.ibd"))
                .unwrap();
            table.write_all_at(&[0xa5; 300], 4 * (16 << 10) + 5000).unwrap();
        }),
        ..Behaviour::default()
    };
    backed(&server, &settings, &damaged);
    expect(&verified(&settings), Grade::Corrupt, &["shop.t"]);
}

/// What is told in the datadir, keys among it, is in the backup, and a copy has its own.
fn a_component_of_the_instance_comes_along(on: &Programs) {
    let original = Machine::new(on);
    let locally =
        |machine: &Machine| machine.tell(r#"{"read_local_manifest": true}"#, r#"{"read_local_config": true}"#);
    locally(&original);
    let mut server = Server::start_with(&original.on, &["--log-bin=binlog", "--server-id=7"]);
    server.stop();
    let keys = server.data().join("ring");
    for (name, text) in [
        ("ring", ""),
        ("mysqld.my", NAMED),
        ("component_keyring_file.cnf", &at(&keys)),
    ] {
        fs::write(server.data().join(name), text).unwrap();
        owned(&server.data().join(name));
    }
    server.launch();
    encrypted(&server);
    let mut settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let here = Machine::new(on);
    settings.verify.server = Some(here.on.server.to_str().unwrap().parse().unwrap());
    expect(&verified(&settings), Grade::Unverified, &["component_keyring_file"]);
    locally(&here);
    let verdict = verified(&settings);
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let before = fs::read(&keys).unwrap();
    let copy = Printed::start(&restored(&settings, &server.directory.path().join("copy")).unwrap());
    copy.execute(&["ALTER INSTANCE ROTATE INNODB MASTER KEY"]);
    assert_eq!(rows(&copy, "shop.t"), 3);
    copy.stop();
    assert_eq!(fs::read(&keys).unwrap(), before);
}
