//! Backups for tests that need a directory of them and no server: complete to `list`, with nothing in them.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use age::{secrecy::ExposeSecret, x25519};
use glrl_node::system::clock;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    model::{
        binlog,
        id::BackupId,
        layout::{ARCHIVE, FILES, MANIFEST, path_of},
        manifest::Manifest,
        verdict::{Grade, Verdict},
    },
    settings::{Settings, encryption::EncryptionSettings},
    store::binlog::entry,
};

/// Settings whose directories are in `directory`, which has to live on.
pub(crate) fn settings(directory: &Path) -> Settings {
    let path = |name: &str| {
        let path = directory.join(name);
        fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().parse().unwrap()
    };
    let mut settings = Settings {
        instance: "db1".parse().unwrap(),
        state_directory: path("state"),
        ..Settings::default()
    };
    settings.target.directory = path("target");
    settings.target.mounted = false;
    settings
}

/// A new pair of keys: the public one as a recipient, the secret one in a file of this name.
pub(crate) fn key(directory: &Path, name: &str) -> EncryptionSettings {
    let identity = x25519::Identity::generate();
    let path = directory.join(name);
    let text = format!("# made up\n{}\n", identity.to_string().expose_secret());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    EncryptionSettings {
        recipients: vec![identity.to_public().to_string().parse().unwrap()],
        identity_file: Some(path.to_str().unwrap().parse().unwrap()),
        ..EncryptionSettings::default()
    }
}

/// A backup that was begun so many hours ago.
pub(crate) fn backup(settings: &Settings, hours_ago: i64) -> Manifest {
    let started = clock::now() - SignedDuration::from_hours(hours_ago);
    let id = BackupId::new(&settings.instance, started);
    let directory = &settings.target.directory;
    let archive = format!("archive of {id}");
    let manifest = manifest(&id, started, &archive);
    fs::write(path_of(directory, &id, ARCHIVE), archive).unwrap();
    fs::write(path_of(directory, &id, FILES), "files").unwrap();
    rewrite(settings, &manifest);
    manifest
}

/// Writes a backup's manifest as if that had been done when it was ended.
pub(crate) fn rewrite(settings: &Settings, manifest: &Manifest) {
    let path = path_of(&settings.target.directory, &manifest.id, MANIFEST);
    let mut file = File::create(path).unwrap();
    serde_json::to_writer(&mut file, manifest).unwrap();
    file.set_modified(manifest.ended.into()).unwrap();
}

/// An archived binary log whose last event was written so many hours ago, and which goes on from another one. Returns its name in the
/// archive.
pub(crate) fn log(settings: &Settings, file: &str, hours_ago: i64, previous: Option<&str>) -> String {
    let ended = clock::now() - SignedDuration::from_hours(hours_ago);
    let name = format!("{file}-20261101T031500Z");
    let digests = json!({ "bytes": 4, "blake3": "", "sha256": "" });
    let entry: binlog::Entry = serde_json::from_value(json!({
        "schema": 1, "name": name, "file": file, "begun": ended, "ended": ended, "previous": previous, "server": null,
        "transactions": 1, "first": null, "last": null, "log": digests, "tail": "", "archive": digests, "archived": ended,
    }))
    .unwrap();
    let directory = entry::directory(settings);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.zst")), "log").unwrap();
    let record = serde_json::to_vec(&entry).unwrap();
    fs::write(directory.join(format!("{name}.json")), record).unwrap();
    name
}

fn manifest(id: &BackupId, started: Timestamp, archive: &str) -> Manifest {
    let hash = blake3::hash(archive.as_bytes()).to_string();
    serde_json::from_value(json!({
        "schema": 1, "id": id, "host": "db1", "glrl": "0.1.0",
        "started": started, "ended": started + SignedDuration::from_secs(41),
        "server": {
            "flavour": "mariadb", "version": "10.11.19", "version_text": "10.11.19-MariaDB", "uuid": null,
            "plugins": [], "variables": {},
        },
        "coordinates": { "binlog": null, "gtid": null, "gtid_slave_pos": null, "replicas": [] },
        "lock": { "mode": "BACKUP STAGE", "wait_ms": 12.0, "hold_ms": 132.4, "budget_ms": 5000.0 },
        "volume": { "group": "mysql", "name": "data", "mount_point": "/var/lib/mysql", "filesystem": "xfs", "datadir": "." },
        "snapshot": { "name": "glrl_backup_1", "bytes": 1 << 30, "fill_percent": 2.5 },
        "archive": { "format": "tar+zstd", "level": 3, "bytes": archive.len(), "blake3": hash, "sha256": "" },
        "files": {
            "count": 1204, "bytes": 2_576_980_377_u64, "stored": 0, "left_out": [],
            "list": { "bytes": 5, "blake3": "", "sha256": "" },
        },
    }))
    .unwrap()
}

/// A verdict on it, of now.
pub(crate) fn verdict(manifest: &Manifest, word: Grade) -> Verdict {
    let outcome = if word == Grade::Ok { "ok" } else { "failed" };
    serde_json::from_value(json!({
        "verdict": word, "id": manifest.id, "archive": manifest.archive.digests.blake3,
        "at": clock::now(), "took_ms": 61500.0, "host": "verify1",
        "checks": [{ "name": "tables", "outcome": outcome, "word": word, "detail": "shop.orders" }],
    }))
    .unwrap()
}
