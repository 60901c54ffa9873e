//! Sessions with backups that are there: a directory of them is made, and `pages/backups.md` is run beside it.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use serde_json::json;

/// A backup as far as `list` looks at it: a manifest, and an archive of the length that it names.
fn backup(target: &Path, instance: &str, time: &str) -> String {
    let id = format!("mysql-{instance}-{time}Z");
    let archive = format!("archive of {id}");
    let stamp = format!(
        "{}-{}-{}T{}:{}:{}",
        &time[..4],
        &time[4..6],
        &time[6..8],
        &time[9..11],
        &time[11..13],
        &time[13..15]
    );
    let digests = json!({ "bytes": archive.len(), "blake3": id, "sha256": "" });
    let mut manifest = json!({
        "schema": 1, "id": id, "host": "db1", "glrl": "0.1.0", "started": format!("{stamp}Z"), "ended": format!("{stamp}.5Z"),
        "server": {
            "flavour": "mariadb", "version": "10.11.19", "version_text": "10.11.19-MariaDB", "uuid": null,
            "plugins": [], "variables": {},
        },
        "coordinates": { "binlog": null, "gtid": null, "gtid_slave_pos": null, "replicas": [] },
        "lock": { "mode": "BACKUP STAGE", "wait_ms": 12.0, "hold_ms": 132.4, "budget_ms": 5000.0 },
        "volume": { "group": "mysql", "name": "data", "mount_point": "/var/lib/mysql", "filesystem": "xfs", "datadir": "." },
        "snapshot": { "name": "glrl_backup_1", "bytes": 0, "fill_percent": 2.5 },
        "archive": { "format": "tar+zstd", "level": 3 },
        "files": { "count": 1204, "bytes": 1, "stored": 0, "list": digests, "left_out": [] },
    });
    for (name, value) in digests.as_object().expect("a map") {
        manifest["archive"][name] = value.clone();
    }
    let path = target.join(format!("{id}.json"));
    fs::write(&path, manifest.to_string()).expect("a file");
    // Written when it says so.
    let written: jiff::Timestamp = format!("{stamp}Z").parse().expect("a time");
    File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(written.into()))
        .expect("a file");
    fs::write(target.join(format!("{id}.files.zst")), &archive).expect("a file");
    fs::write(target.join(format!("{id}.tar.zst")), archive).expect("a file");
    id
}

/// `TRYCMD=overwrite` does not reach the page, which is run elsewhere: what is said instead is in the failure.
#[test]
fn backups_that_are_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let inside = directory.path().join("backups.in");
    let [target, state, verdicts] = ["target", "state", "verdicts"].map(|name| {
        let path = inside.join(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    });
    for time in [
        "20261001T020000",
        "20261101T020000",
        "20261102T020000",
        "20261103T020000",
    ] {
        backup(&target, "db1", time);
    }
    let proven = backup(&target, "db1", "20261020T020000");
    let verdict = json!({
        "verdict": "ok", "id": proven, "archive": proven, "at": "2026-10-20T05:00:00Z", "took_ms": 61500.0, "host": "verify1",
        "checks": [{ "name": "tables", "outcome": "ok", "word": "ok", "detail": "" }],
    });
    fs::write(verdicts.join(format!("{proven}.json")), verdict.to_string()).expect("a file");
    backup(&target, "db2", "20261105T020000");
    let broken = backup(&target, "db1", "20261104T020000");
    fs::remove_file(target.join(format!("{broken}.tar.zst"))).expect("a file");
    fs::write(target.join("somebody-elses"), "").expect("a file");
    let settings = format!(
        "instance: db1\ntarget: {{ directory: {}, mounted: false }}\nstate_directory: {}\nverify: {{ verdicts: {} }}\n",
        target.display(),
        state.display(),
        verdicts.display()
    );
    fs::write(inside.join("backup.yml"), settings).expect("a file");
    let page = directory.path().join("backups.md");
    fs::write(&page, include_str!("pages/backups.md")).expect("a file");
    trycmd::TestCases::new()
        .env("NO_COLOR", "1")
        .env("TZ", "UTC")
        .case(&page);
    assert!(target.join("somebody-elses").exists());
}

/// What the roles write is what the programs read.
#[test]
fn settings_of_the_roles_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let target = directory.path().join("target");
    fs::create_dir(&target).expect("a directory");
    for name in ["mysql-tells", "verify-tells", "mysql-encrypted", "verify-encrypted"] {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/bundled/{name}.yml"));
        let case: serde_json::Value = crate::support::read(&case).expect("a case");
        let text = case["after"]["files"]["/etc/glrl/backup.yml"]["content"].as_str();
        let path = directory.path().join("backup.yml");
        fs::write(&path, text.expect("the settings")).expect("a file");
        let glrl = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            let glrl = Command::new(env!("CARGO_BIN_EXE_glrl"))
                .args(["backup", "list", "--set", "target.mounted=false", "--settings"])
                .arg(&path)
                .arg("--target")
                .arg(&target)
                .output()
                .expect("glrl runs");
            (glrl.status.code(), String::from_utf8_lossy(&glrl.stderr).into_owned())
        };
        assert_eq!(glrl(0o600), (Some(0), String::new()), "{name}");
        // One that holds a URL as good as a password is not for others, and not to be shown.
        let (status, said) = glrl(0o644);
        assert_eq!(status, Some(if name == "mysql-tells" { 65 } else { 0 }), "{said}");
        assert!(!said.contains("0123456789"), "{said}");
    }
}

/// A directory of another machine that stands still holds up whoever reads it. A FIFO in the place of a manifest does the same.
/// As `glrl backup list --settings <(generate)` gives them.
#[test]
fn settings_may_come_through_a_pipe() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = format!(
        "target: {{ directory: {}, mounted: false }}",
        directory.path().display()
    );
    let output = Command::new("sh")
        .args(["-c", "echo \"$1\" | \"$0\" backup list --settings /dev/stdin"])
        .args([env!("CARGO_BIN_EXE_glrl"), &settings])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "there are no backups");
}

#[test]
fn whoever_waits_for_the_target_is_given_up_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let [target, state] = ["target", "state"].map(|name| directory.path().join(name));
    fs::create_dir(&target).expect("a directory");
    let id = backup(&target, "db1", "20261101T020000");
    let manifest = target.join(format!("{id}.json"));
    fs::remove_file(&manifest).expect("a file");
    nix::unistd::mkfifo(&manifest, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    let settings = directory.path().join("backup.yml");
    let text = format!(
        "instance: db1\ntarget: {{ directory: {}, mounted: false, stall_timeout: 1s }}\nstate_directory: {}\nkeep: {{ last: 1 }}\n",
        target.display(),
        state.display()
    );
    fs::write(&settings, text).expect("a file");
    let run = |command: &str, tells: bool| {
        let told = directory.path().join(format!("told of {command}"));
        let glrl = Command::new(env!("CARGO_BIN_EXE_glrl"))
            .args(command.split(' '))
            .arg("--settings")
            .arg(&settings)
            .arg("--set")
            .arg(format!(
                "notify.command={{run: [tee, '{}'], events: [fail]}}",
                told.display()
            ))
            .current_dir(&directory)
            .output()
            .expect("glrl runs");
        let said = String::from_utf8_lossy(&glrl.stderr).into_owned();
        assert_eq!(glrl.status.code(), Some(14), "{command}: {said}");
        assert!(said.contains("nothing went forward for 1 s"), "{command}: {said}");
        let event = fs::read_to_string(&told).unwrap_or_default();
        assert_eq!(event.contains("nothing went forward"), tells, "{command}: {event}");
    };
    std::thread::scope(|scope| {
        for (command, tells) in [
            ("verify", true),
            ("restore --to restored", false),
            ("backup prune", true),
        ] {
            scope.spawn(move || run(command, tells));
        }
    });
    let history = fs::read_to_string(state.join("verify/db1/history.json")).expect("the record");
    assert!(history.contains("nothing went forward"), "{history}");
}
