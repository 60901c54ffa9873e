//! A backup under load, and its verification.

use crate::{
    model::{
        interrupt::Interrupt,
        verdict::{Grade, Outcome},
    },
    operate::job::verify,
    store::list::list,
    tests::{
        servers::{Programs, on_every_server},
        support::{Behaviour, Server, Writer, names},
    },
};

on_every_server!(a_backup_under_load_verifies,);

fn a_backup_under_load_verifies(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    // Tables that are open under the lock too.
    server.execute(&["SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON"]);
    let settings = server.settings();
    let writer = Writer::start(&server);
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    writer.stop();
    assert!(manifest.coordinates.binlog.is_some());
    assert!(
        manifest.lock.hold_ms > 0.0 && manifest.lock.hold_ms < 5000.0,
        "{:?}",
        manifest.lock
    );
    let id = manifest.id.to_string();
    let expected: Vec<String> = [".files.zst", ".json", ".tables.zst", ".tar.zst"]
        .iter()
        .map(|suffix| format!("{id}{suffix}"))
        .collect();
    assert_eq!(names(&settings.target.directory), expected);

    let verdict = verify(&settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    let passed = |name: &str| {
        verdict
            .checks
            .iter()
            .any(|check| check.name == name && check.outcome == Outcome::Ok)
    };
    for name in [
        "fresh",
        "archive",
        "files",
        "server",
        "gtid",
        "inventory",
        "check table",
        "rows",
        "shutdown",
        "innochecksum",
    ] {
        assert!(passed(name), "{name}: {verdict:#?}");
    }
    assert_eq!(names(&settings.verify.scratch), Vec::<String>::new());

    let listed = list(&settings).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        listed[0].verdict.as_ref().map(|verdict| verdict.verdict),
        Some(Grade::Ok)
    );
    assert_eq!(listed[0].broken, None);
}
