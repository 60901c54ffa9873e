//! What is restored is what was backed up, and a server starts on it; what was not finished is no datadir.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use glrl_node::system::programs::Program;

use crate::{
    model::{error::Kind, interrupt::Interrupt, step::Step},
    restore::{Destination, Request, restore},
    settings::Settings,
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server, Writer, names, patient},
    },
};

on_every_server!(
    a_restored_directory_is_a_datadir,
    a_volume_is_restored_in_place_when_its_server_is_stopped,
);
on_both_flavours!(
    owners_modes_and_attributes_come_back,
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

/// What a file or directory is: owner, group, mode, and what getfacl(1) and getfattr(1) say.
fn attributes(path: &Path) -> (u32, u32, u32, String) {
    let meta = fs::symlink_metadata(path).unwrap();
    let said = |program: &str, options: &[&str]| {
        let said = Program::new(program)
            .args(options.iter().copied())
            .args([path])
            .stdout()
            .unwrap();
        let text = String::from_utf8(said).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("# file: "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let lists = said("getfacl", &["--numeric", "--absolute-names"]);
    let more = said(
        "getfattr",
        &["--dump", "--absolute-names", "--match=^(user|trusted)\\."],
    );
    (meta.uid(), meta.gid(), meta.mode(), format!("{lists}\n{more}"))
}

/// A volume with files of others: each is afterwards what it was, beside the server and in its datadir, restored elsewhere and in place.
fn owners_modes_and_attributes_come_back(on: &Programs) {
    let mut server = Server::start_within(on, &["--log-bin=binlog", "--server-id=7"]);
    server.fill();
    let volume = server.volume();
    let mut paths = Vec::new();
    for (path, uid, gid, mode) in [
        ("www/index", 33, 33, 0o444),
        ("keys/k", 0, 0, 0o600),
        ("keys/closed", 33, 4, 0o000),
        ("data/roots", 0, 0, 0o640),
        ("data/number", 54321, 54322, 0o604),
    ] {
        let path = volume.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        paths.push(path);
    }
    chown(volume.join("www"), Some(33), Some(0)).unwrap();
    fs::set_permissions(volume.join("www"), PermissionsExt::from_mode(0o1755)).unwrap();
    let run = |program: &str, arguments: &[&str], path: &Path| {
        let program = Program::new(program).args(arguments.iter().copied());
        program.args([path]).stdout().unwrap();
    };
    run("setfacl", &["--modify=u:33:rw,g:4:r,m:r"], &volume.join("keys/k"));
    run("setfacl", &["--default", "--modify=u:33:rwx"], &volume.join("www"));
    run(
        "setfattr",
        &["--name=user.note", "--value=a b"],
        &volume.join("www/index"),
    );
    for name in [
        "",
        "www",
        "keys",
        "data",
        "data/shop",
        "data/mysql",
        "data/ibdata1",
        "data/shop/my.MYD",
        "data/binlog.000001",
    ] {
        paths.push(volume.join(name));
    }
    let was: Vec<_> = paths.iter().map(|path| attributes(path)).collect();
    let settings = patient(&server);
    server.backup(&settings, &Behaviour::default()).unwrap();
    let directory = server.directory.path().join("elsewhere");
    restore(&settings, &to(&directory), &Interrupt::default(), &mut |_| {}).unwrap();
    let compare = |root: &Path| {
        for (path, was) in paths.iter().zip(&was) {
            let within = path.strip_prefix(&volume).unwrap();
            assert_eq!(attributes(&root.join(within)), *was, "{}", within.display());
        }
    };
    compare(&directory);
    let mut copy = server.start_copy(&directory.join("data"));
    assert_eq!(copy.count("shop.my"), 2);
    copy.stop();
    server.stop();
    server.clear();
    restore(&settings, &in_place(), &Interrupt::default(), &mut |_| {}).unwrap();
    compare(&volume);
    server.launch();
    assert_eq!(server.count("shop.my"), 2);
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
