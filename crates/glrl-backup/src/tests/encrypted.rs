//! Encrypted backups: who has the key verifies and restores them, and who has not can still tell a good one from a damaged one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    binlogs::keep::reap as reap_binlogs,
    fixtures,
    model::{
        error::{Kind, Result},
        interrupt::Interrupt,
        manifest::Manifest,
        verdict::{Grade, Outcome, Verdict},
    },
    operate::{
        job::{archive_binlogs, verify},
        status::{Health, status},
    },
    restore::{Destination, Request, Restored, restore},
    settings::{Settings, encryption::EncryptionSettings},
    store::{
        list::{Listed, list},
        partial::Writer,
    },
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server, names},
    },
};

on_both_flavours!(
    an_encrypted_backup_is_verified_and_restored_to_a_later_moment,
    a_damaged_encrypted_backup_is_corrupt_with_and_without_the_key,
    encrypted_and_other_backups_lie_side_by_side,
    logs_of_before_and_after_a_switch_are_one_series,
);

fn start(on: &Programs) -> (Server, Settings) {
    let server = Server::start(on);
    server.fill();
    // Its event writes.
    server.execute(&["SET GLOBAL event_scheduler = OFF"]);
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    (server, settings)
}

/// The same, with this secret key in place of its own.
fn with(settings: &Settings, key: &EncryptionSettings) -> Settings {
    let mut settings = settings.clone();
    settings.encryption.identity_file.clone_from(&key.identity_file);
    settings
}

fn without(settings: &Settings) -> Settings {
    with(settings, &EncryptionSettings::default())
}

fn verified(settings: &Settings, manifest: &Manifest) -> Verdict {
    verify(settings, Some(&manifest.id), &Interrupt::default(), &mut |_| {}).unwrap()
}

/// Expects this word because of this check, whose detail says this.
#[track_caller]
fn expect(verdict: &Verdict, word: Grade, name: &str, outcome: Outcome, said: &str) {
    assert_eq!(verdict.verdict, word, "{verdict:#?}");
    let found = verdict
        .checks
        .iter()
        .any(|check| check.name == name && check.outcome == outcome && check.detail.contains(said));
    assert!(found, "{name} does not say '{said}': {verdict:#?}");
}

fn restored(settings: &Settings, manifest: &Manifest, to: &Path, until: Option<&str>) -> Result<Restored> {
    let request = Request {
        // One that was found corrupt is only restored when it is named.
        id: Some(manifest.id.clone()),
        to: Destination::Directory(to.to_owned()),
        until: until.map(|until| until.parse().unwrap()),
    };
    restore(settings, &request, &Interrupt::default(), &mut |_| {})
}

fn ends(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// What of the backup has this end.
fn path(settings: &Settings, manifest: &Manifest, suffix: &str) -> PathBuf {
    settings.target.directory.join(format!("{}{suffix}", manifest.id))
}

fn an_encrypted_backup_is_verified_and_restored_to_a_later_moment(on: &Programs) {
    let (server, mut settings) = start(on);
    let directory = server.directory.path();
    let [key, other, third] = ["key", "other", "third"].map(|name| fixtures::key(directory, name));
    // As on a database's node: public keys alone.
    settings.encryption.recipients = [key.recipients.clone(), other.recipients.clone()].concat();
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    server.execute(&["INSERT INTO shop.my VALUES (3, 'c')", "FLUSH BINARY LOGS"]);
    let gtid = server.gtid();
    server.execute(&["INSERT INTO shop.my VALUES (4, 'd')"]);
    let logs = archive_binlogs(&settings, &Interrupt::default(), &mut |_| {})
        .unwrap()
        .logs;
    assert!(logs.len() >= 2, "{logs:?}");
    // A second run knows them again.
    let again = archive_binlogs(&settings, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(again.logs, Vec::<String>::new());

    // Nothing but the records is in the clear.
    for place in [directory.join("target"), directory.join("target/mysql-test.binlogs")] {
        for name in names(&place) {
            let path = place.join(&name);
            if path.is_dir() {
                continue;
            }
            let sealed = fs::read(&path).unwrap().starts_with(b"age-encryption.org/v1\n");
            assert_eq!(sealed, ends(&name, "age"), "{name}");
            assert_ne!(sealed, ends(&name, "json"), "{name}");
        }
    }
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(path(&settings, &manifest, ".json")).unwrap()).unwrap();
    let to: Vec<String> = settings.encryption.recipients.iter().map(ToString::to_string).collect();
    assert_eq!(record["encryption"]["recipients"], serde_json::json!(to));
    assert_eq!(record["encryption"]["format"], "age-encryption.org/v1");

    // Nor does a record say what is in a log that one can guess.
    let log = fs::read(server.data().join("binlog.000001")).unwrap();
    let end = &log[log.len().saturating_sub(64 << 10)..];
    for name in names(&directory.join("target/mysql-test.binlogs"))
        .iter()
        .filter(|name| ends(name, "json"))
    {
        let record = fs::read_to_string(directory.join("target/mysql-test.binlogs").join(name)).unwrap();
        for hash in [blake3::hash(end), blake3::hash(&log)] {
            assert!(!record.contains(&hash.to_string()), "{record}");
        }
    }

    // Without the key it is neither good nor bad.
    let verdict = verified(&settings, &manifest);
    expect(&verdict, Grade::Unverified, "key", Outcome::Failed, "--identity FILE");
    expect(&verdict, Grade::Unverified, "archive", Outcome::Ok, "hashes match");
    expect(
        &verdict,
        Grade::Unverified,
        "list of files",
        Outcome::Ok,
        "hashes match",
    );
    let verdict = verified(&with(&settings, &third), &manifest);
    expect(
        &verdict,
        Grade::Unverified,
        "key",
        Outcome::Failed,
        &third.recipients[0].to_string(),
    );
    for key in [&key, &other] {
        let verdict = verified(&with(&settings, key), &manifest);
        expect(&verdict, Grade::Ok, "files", Outcome::Ok, "every hash matches");
    }
    // A good verdict stays when one without the key follows.
    verified(&settings, &manifest);
    let word = |listed: &Listed| listed.verdict.as_ref().map(|verdict| verdict.verdict);
    assert_eq!(
        list(&settings).unwrap().iter().map(word).collect::<Vec<_>>(),
        [Some(Grade::Ok)]
    );

    let to = directory.join("restored");
    for (settings, said) in [
        (settings.clone(), "--identity FILE"),
        (with(&settings, &third), "holds the secret key of"),
    ] {
        let error = restored(&settings, &manifest, &to, None).unwrap_err();
        assert_eq!(error.kind, Kind::Settings, "{error:?}");
        assert!(format!("{error:#}").contains(said), "{error:?}");
        assert!(!to.exists());
    }
    let restored = restored(&with(&settings, &key), &manifest, &to, gtid.as_deref().or(Some("end"))).unwrap();
    let copy = server.start_copy(&restored.datadir);
    if gtid.is_some() {
        assert_eq!((copy.gtid(), copy.count("shop.my")), (gtid, 3));
    } else {
        assert_eq!(copy.count("shop.my"), 4);
    }
}

fn a_damaged_encrypted_backup_is_corrupt_with_and_without_the_key(on: &Programs) {
    let (server, mut settings) = start(on);
    settings.encryption = fixtures::key(server.directory.path(), "key");
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    server.execute(&["FLUSH BINARY LOGS"]);
    let logs = archive_binlogs(&settings, &Interrupt::default(), &mut |_| {})
        .unwrap()
        .logs;
    let to = server.directory.path().join("restored");
    for (suffix, check) in [(".tar.zst.age", "archive"), (".files.zst.age", "list of files")] {
        let path = path(&settings, &manifest, suffix);
        let good = fs::read(&path).unwrap();
        // In its header, in its middle, in its last code.
        for at in [30, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            for settings in [settings.clone(), without(&settings)] {
                let verdict = verified(&settings, &manifest);
                expect(
                    &verdict,
                    Grade::Corrupt,
                    check,
                    Outcome::Failed,
                    "its contents have changed",
                );
            }
        }
        let error = restored(&settings, &manifest, &to, None).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt, "{error:?}");
        assert!(format!("{error:#}").contains("its contents have changed"), "{error:?}");
        assert!(!to.exists());
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(verified(&settings, &manifest).verdict, Grade::Ok);

    let log = settings
        .target
        .directory
        .join(format!("mysql-test.binlogs/{}.zst.age", logs[logs.len() - 1]));
    let mut bad = fs::read(&log).unwrap();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    fs::write(&log, bad).unwrap();
    let error = restored(&settings, &manifest, &to, Some("end")).unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt, "{error:?}");
    assert!(!to.exists());
}

fn encrypted_and_other_backups_lie_side_by_side(on: &Programs) {
    let (server, settings) = start(on);
    let mut sealed = settings.clone();
    sealed.encryption = fixtures::key(server.directory.path(), "key");
    let clear = server.backup(&settings, &Behaviour::default()).unwrap();
    server.execute(&["FLUSH BINARY LOGS"]);
    let first = archive_binlogs(&settings, &Interrupt::default(), &mut |_| {})
        .unwrap()
        .logs;
    std::thread::sleep(Duration::from_millis(1100));
    // What a run that died has left is known for what it is.
    let left = Writer::this(&sealed).partial("mysql-test-20261101T031500Z.tar.zst.age");
    let left = sealed.target.directory.join(left);
    fs::write(&left, "x").unwrap();
    let encrypted = server.backup(&sealed, &Behaviour::default()).unwrap();
    assert!(!left.exists());
    server.execute(&["INSERT INTO shop.my VALUES (3, 'c')"]);
    // What was archived in the clear is not archived anew.
    let second = archive_binlogs(&sealed, &Interrupt::default(), &mut |_| {})
        .unwrap()
        .logs;
    assert!(
        !second.is_empty() && second.iter().all(|log| !first.contains(log)),
        "{second:?}"
    );
    assert_eq!(verified(&settings, &clear).verdict, Grade::Ok);
    assert_eq!(verified(&sealed, &clear).verdict, Grade::Ok);
    assert_eq!(verified(&settings, &encrypted).verdict, Grade::Unverified);
    assert_eq!(verified(&sealed, &encrypted).verdict, Grade::Ok);
    // From the clear one over clear and encrypted logs.
    let to = server.directory.path().join("restored");
    let request = Request {
        id: Some(clear.id),
        to: Destination::Directory(to),
        until: Some("end".parse().unwrap()),
    };
    let done = restore(&sealed, &request, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(server.start_copy(&done.datadir).count("shop.my"), 3);

    // Kept and deleted without the key.
    let mut policy = without(&sealed);
    policy.keep.last = 1;
    std::thread::sleep(Duration::from_millis(1100));
    let newest = server.backup(&settings, &Behaviour::default()).unwrap();
    verified(&settings, &newest);
    let listed = list(&policy).unwrap();
    assert!(
        listed.len() == 3 && listed.iter().all(|backup| backup.broken.is_none()),
        "{listed:#?}"
    );
    crate::operate::job::prune(&policy, false, &Interrupt::default(), &mut |_| {}).unwrap();
    let id = newest.id.to_string();
    let left = names(&settings.target.directory);
    assert!(
        left.iter()
            .all(|name| name.starts_with(&id) || name == "mysql-test.binlogs"),
        "{left:?}"
    );
    let gone = reap_binlogs(&policy, &[newest], true).unwrap();
    assert_eq!(gone, Vec::<String>::new());
}

/// Encryption is switched on, off and on again between logs.
fn logs_of_before_and_after_a_switch_are_one_series(on: &Programs) {
    let (server, clear) = start(on);
    let mut sealed = clear.clone();
    sealed.encryption = fixtures::key(server.directory.path(), "key");
    let archive = |settings: &Settings| {
        archive_binlogs(settings, &Interrupt::default(), &mut |_| {})
            .unwrap()
            .logs
    };
    let manifest = server.backup(&clear, &Behaviour::default()).unwrap();
    let mut moments = Vec::new();
    let mut all = Vec::new();
    for (number, settings) in [&clear, &sealed, &clear, &sealed].into_iter().enumerate() {
        let insert = format!("INSERT INTO shop.my VALUES ({}, 'later')", number + 3);
        server.execute(&[&insert, "FLUSH BINARY LOGS"]);
        moments.push(server.gtid().unwrap());
        let logs = archive(settings);
        assert!(!logs.is_empty());
        let suffix = if settings.encryption.recipients.is_empty() {
            ".zst"
        } else {
            ".zst.age"
        };
        for log in &logs {
            assert!(path_of_log(&clear, log, suffix).exists(), "{log}");
        }
        all.extend(logs);
        // Each is known again, whatever is set now.
        for settings in [&clear, &sealed] {
            assert_eq!(archive(settings), Vec::<String>::new());
            let status = status(settings).unwrap();
            assert_eq!(status.health, Health::Ok, "{status:#?}");
        }
    }
    let to = |number: usize| server.directory.path().join(format!("restored-{number}"));
    for (number, moment) in moments.iter().enumerate() {
        let done = restored(&sealed, &manifest, &to(number), Some(moment)).unwrap();
        assert_eq!(server.start_copy(&done.datadir).count("shop.my"), 3 + number as u64);
        fs::remove_dir_all(to(number)).unwrap();
        // Without the key as far as the logs are in the clear, and no further.
        match restored(&clear, &manifest, &to(number), Some(moment)) {
            Ok(done) => {
                assert_eq!((number, done.gtid.as_ref()), (0, Some(moment)));
                assert_eq!(server.start_copy(&done.datadir).count("shop.my"), 3);
            }
            Err(error) => {
                let said = format!("{error:#}");
                assert!(number > 0 && said.contains("--identity"), "{said}");
                assert!(!to(number).exists());
            }
        }
    }
    // The key of this node is lost: what is encrypted cannot be known again, and is archived once more; what is in the clear is not.
    fs::remove_file(clear.state_directory.join("binlogs.key")).unwrap();
    let again = archive(&sealed);
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!(archive(&sealed), Vec::<String>::new());
    assert_eq!(status(&sealed).unwrap().health, Health::Ok);
    let done = restored(&sealed, &manifest, &to(9), Some("end")).unwrap();
    assert_eq!(server.start_copy(&done.datadir).count("shop.my"), 6);
    // All go together, without a key.
    std::thread::sleep(Duration::from_millis(1100));
    let newest = server.backup(&clear, &Behaviour::default()).unwrap();
    let mut gone = reap_binlogs(&clear, &[newest], true).unwrap();
    gone.sort();
    all.extend(again);
    all.sort();
    assert_eq!(gone, all);
}

fn path_of_log(settings: &Settings, log: &str, suffix: &str) -> PathBuf {
    let directory = settings.target.directory.join("mysql-test.binlogs");
    directory.join(format!("{log}{suffix}"))
}
