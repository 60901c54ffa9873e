//! What is restored is what was backed up, and a server starts on it; what was not finished is no datadir.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::support::{Behaviour, Programs, Server, Writer, names, on_both_flavours, on_every_server};
use crate::backup::{Destination, Interrupt, Kind, Request, Settings, Step, restore};

on_every_server!(
    a_restored_directory_is_a_datadir,
    a_volume_is_restored_in_place_when_its_server_is_stopped,
);
on_both_flavours!(
    a_restore_that_ends_early_leaves_nothing,
    what_is_damaged_is_not_restored,
);

fn to(directory: &Path) -> Request {
    Request {
        id: None,
        to: Destination::Directory(directory.to_owned()),
        until: None,
    }
}

fn in_place() -> Request {
    Request {
        id: None,
        to: Destination::InPlace,
        until: None,
    }
}

fn backed_up(on: &Programs) -> (Server, Settings) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    settings.lock.budget = std::time::Duration::from_secs(20);
    server.backup(&settings, &Behaviour::default()).unwrap();
    (server, settings)
}

fn a_restored_directory_is_a_datadir(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let settings = server.settings();
    let writer = Writer::start(&server);
    let manifest = server.backup(&settings, &Behaviour::default()).unwrap();
    writer.stop();
    let directory = server.directory.path().join("restored/data");
    let restored = restore(&settings, &to(&directory), &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(
        (restored.files, restored.bytes),
        (manifest.files.count, manifest.files.bytes)
    );
    assert_eq!(restored.gtid, manifest.coordinates.gtid);
    // As the original: owners, modes.
    for name in ["", "ibdata1", "shop", "mysql"] {
        let (copy, original) = (
            fs::metadata(directory.join(name)).unwrap(),
            fs::metadata(server.data().join(name)).unwrap(),
        );
        assert_eq!((copy.uid(), copy.mode()), (original.uid(), original.mode()), "{name}");
    }
    // A server of its own reads it, and its rows are those of the moment.
    let mut copy = server.start_copy(&directory);
    assert_eq!(copy.gtid(), manifest.coordinates.gtid);
    assert_eq!(copy.count("shop.my"), 2);
    assert!(copy.count("shop.t") >= 4096);
    // Nothing is overwritten, nor put where a server runs.
    let refused = |place: &Path, said: &str| {
        let error = restore(&settings, &to(place), &Interrupt::default(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error:?}");
        assert!(error.to_string().contains(said), "{said}: {error}");
    };
    refused(&directory, "has files open below");
    refused(&server.data().join("new"), "has files open below");
    copy.stop();
    refused(&directory, "is not empty");
}

fn a_volume_is_restored_in_place_when_its_server_is_stopped(on: &Programs) {
    let (mut server, settings) = backed_up(on);
    let refused = |said: &str| {
        let error = restore(&settings, &in_place(), &Interrupt::default(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error:?}");
        assert!(error.to_string().contains(said), "{said}: {error}");
    };
    refused("it answers at");
    // It runs, and its socket is gone.
    fs::rename(server.socket(), server.data().join("elsewhere")).unwrap();
    refused("has files open below");
    fs::rename(server.data().join("elsewhere"), server.socket()).unwrap();
    let rows = server.count("shop.t");
    server.execute(&["DROP TABLE shop.t"]);
    server.stop();
    refused("is not empty: ");
    server.clear();
    let restored = restore(&settings, &in_place(), &Interrupt::default(), &mut |_| {}).unwrap();
    assert!(restored.next.starts_with("systemctl start m"), "{}", restored.next);
    server.launch();
    assert!(server.count("shop.t") <= rows && server.count("shop.t") >= 4096);
}

fn a_restore_that_ends_early_leaves_nothing(on: &Programs) {
    let (server, settings) = backed_up(on);
    let directory = server.directory.path().join("restored");
    for phase in ["restoring", "copying", "syncing"] {
        let interrupt = Interrupt::default();
        let mut told = false;
        let error = restore(&settings, &to(&directory), &interrupt, &mut |step| {
            let now = match step {
                Step::Restoring { .. } => "restoring",
                Step::Copying { .. } => "copying",
                Step::Syncing => "syncing",
                _ => "",
            };
            if now == phase {
                told = true;
                interrupt.set();
            }
        });
        // A small archive is read before progress is told once; and what is on its way to the disk is not held up.
        match (phase, error) {
            ("copying", Ok(_)) if !told => fs::remove_dir_all(&directory).unwrap(),
            ("syncing", result) => {
                result.unwrap();
                fs::remove_dir_all(&directory).unwrap();
            }
            (_, result) => assert_eq!(result.unwrap_err().kind, Kind::Interrupted, "{phase}"),
        }
        assert!(!directory.exists(), "{phase}");
    }
    restore(&settings, &to(&directory), &Interrupt::default(), &mut |_| {}).unwrap();
}

fn what_is_damaged_is_not_restored(on: &Programs) {
    let (server, settings) = backed_up(on);
    let directory = server.directory.path().join("restored");
    let archive = names(&settings.target.directory)
        .into_iter()
        .find(|name| name.ends_with(".tar.zst"))
        .unwrap();
    let archive = settings.target.directory.join(archive);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let error = restore(&settings, &to(&directory), &Interrupt::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt, "{error:?}");
    assert!(error.to_string().contains("its contents have changed"), "{error}");
    assert!(!directory.exists());
}
