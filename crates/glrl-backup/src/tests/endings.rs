//! However a run ends, nothing is left of it but what is complete, and the next one succeeds.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use glrl_node::system::programs::Program;
use mysql::prelude::Queryable;

use crate::{
    model::{
        error::{Error, Kind},
        interrupt::Interrupt,
        step::Step,
    },
    settings::Settings,
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server, Writer, names},
    },
};

on_both_flavours!(
    a_signal_ends_every_phase,
    a_panic_leaves_nothing,
    two_runs_at_once_are_one,
    a_snapshot_that_fills_up_is_no_backup,
    what_cannot_be_read_fails_the_backup,
    a_full_target_is_the_targets_fault,
    files_outside_the_volume_are_refused,
);

/// A server that can be backed up on a machine with other work to do.
fn server(on: &Programs) -> (Server, Settings) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    // Whoever waits for a lock until its budget is spent waits for good.
    settings.lock.budget = Duration::from_hours(1);
    (server, settings)
}

#[track_caller]
fn nothing_is_left(server: &Server, settings: &Settings) {
    assert_eq!(names(&settings.target.directory), Vec::<String>::new());
    let snapshots = names(server.directory.path())
        .into_iter()
        .filter(|name| name.starts_with("snapshot"))
        .count();
    assert_eq!(snapshots, 0);
}

fn a_signal_ends_every_phase(on: &Programs) {
    let (server, settings) = server(on);
    let writer = Writer::start(&server);
    for phase in ["lock", "snapshot", "open", "copy", "end"] {
        let interrupt = Interrupt::default();
        let signal = |wanted: &'static str| {
            let interrupt = interrupt.clone();
            move || {
                if phase == wanted {
                    interrupt.set();
                }
            }
        };
        let blocker = (phase == "lock").then(|| {
            // In the way of either flavour's lock.
            let mut conn = server.connect();
            conn.query_drop("LOCK TABLES shop.my WRITE").unwrap();
            let signal = signal("lock");
            spawn(move || {
                sleep(Duration::from_millis(500));
                signal();
                sleep(Duration::from_millis(500));
                drop(conn);
            })
        });
        let (take, opened, ended) = (signal("snapshot"), signal("open"), signal("end"));
        let looks = AtomicU32::new(0);
        let behaviour = Behaviour {
            take: Arc::new(move || {
                take();
                if phase == "snapshot" {
                    sleep(Duration::from_secs(1));
                }
                Ok(())
            }),
            opened: Arc::new(move |_| opened()),
            fill: Arc::new(move || {
                // The last look comes after the archive is written.
                looks.fetch_add(1, Ordering::Relaxed);
                ended();
                Ok(1.0)
            }),
            ..Behaviour::default()
        };
        let copying = signal("copy");
        let error = server
            .backup_with(&settings, &behaviour, &interrupt, &mut |step| {
                if matches!(step, Step::Frozen { .. }) {
                    copying();
                }
            })
            .unwrap_err();
        assert_eq!(
            (error.kind, error.kind.exit_code()),
            (Kind::Interrupted, 130),
            "{phase}: {error:?}"
        );
        writer.goes_on();
        if let Some(blocker) = blocker {
            blocker.join().unwrap();
        }
        nothing_is_left(&server, &settings);
    }
    writer.stop();
    server.backup(&settings, &Behaviour::default()).unwrap();
}

fn a_panic_leaves_nothing(on: &Programs) {
    let (server, settings) = server(on);
    let writer = Writer::start(&server);
    for phase in ["snapshot", "open"] {
        let panics = |wanted| move || assert_ne!(phase, wanted, "on purpose");
        let (take, opened) = (panics("snapshot"), panics("open"));
        let behaviour = Behaviour {
            take: Arc::new(move || {
                take();
                Ok(())
            }),
            opened: Arc::new(move |_| opened()),
            ..Behaviour::default()
        };
        assert!(catch_unwind(AssertUnwindSafe(|| server.backup(&settings, &behaviour))).is_err());
        writer.goes_on();
        nothing_is_left(&server, &settings);
    }
    writer.stop();
    server.backup(&settings, &Behaviour::default()).unwrap();
}

fn two_runs_at_once_are_one(on: &Programs) {
    let (server, settings) = server(on);
    let other = settings.clone();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let slow = Behaviour {
            opened: Arc::new(|_| sleep(Duration::from_secs(2))),
            ..Behaviour::default()
        };
        let server = &server;
        let first = scope.spawn(move || server.backup(&settings, &slow));
        sleep(Duration::from_millis(700));
        let error = server.backup(&other, &Behaviour::default()).unwrap_err();
        assert_eq!(error.kind.exit_code(), 11);
        assert!(
            error.to_string().contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        first.join().unwrap().unwrap();
    });
    assert!(began.elapsed() > Duration::from_secs(2));
}

fn a_snapshot_that_fills_up_is_no_backup(on: &Programs) {
    let (server, settings) = server(on);
    // Full when it is looked at for the last time, as LVM says it.
    let lost = Behaviour {
        fill: Arc::new(|| Err(Error::new(Kind::Snapshot, "the snapshot has lost contents"))),
        ..Behaviour::default()
    };
    assert_eq!(server.backup(&settings, &lost).unwrap_err().kind.exit_code(), 13);
    nothing_is_left(&server, &settings);
}

fn what_cannot_be_read_fails_the_backup(on: &Programs) {
    let (server, settings) = server(on);
    // A directory in the place of a file, once that has been looked at, cannot be read; as root little else cannot.
    let broken = Behaviour {
        opened: Arc::new(|snapshot| {
            let device = snapshot.join("shop/t.ibd");
            fs::remove_file(&device).unwrap();
            Program::new("mknod")
                .args([device.to_str().unwrap(), "b", "1", "1"])
                .stdout()
                .unwrap();
        }),
        ..Behaviour::default()
    };
    let error = server.backup(&settings, &broken).unwrap_err();
    assert!(error.to_string().contains("shop/t.ibd"), "{error:?}");
    nothing_is_left(&server, &settings);
}

fn a_full_target_is_the_targets_fault(on: &Programs) {
    let (server, mut settings) = server(on);
    let image = server.directory.path().join("image");
    fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
    Program::new("mkfs.ext4")
        .args(["-q", image.to_str().unwrap()])
        .stdout()
        .unwrap();
    let target = settings.target.directory.clone();
    Program::new("mount")
        .args(["-o", "loop", image.to_str().unwrap(), target.as_str()])
        .stdout()
        .unwrap();
    fs::remove_dir(target.join("lost+found")).unwrap();
    settings.target.mounted = true;
    settings.archive.level = 1;
    let error = server.backup(&settings, &Behaviour::default()).unwrap_err();
    let left = names(&target);
    Program::new("umount").args([target.as_str()]).stdout().unwrap();
    assert_eq!(error.kind.exit_code(), 14, "{error:?}");
    assert!(format!("{error:?}").contains("No space left"), "{error:?}");
    assert_eq!(left, Vec::<String>::new());
    // And now it is not mounted at all.
    let error = server.backup(&settings, &Behaviour::default()).unwrap_err();
    assert_eq!(error.kind.exit_code(), 14, "{error:?}");
    nothing_is_left(&server, &settings);
}

fn files_outside_the_volume_are_refused(on: &Programs) {
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let place = outside.path().display();
    let log = (format!("--log-bin={place}/binlog"), "log_bin_basename");
    // Pages are written there first: what a crash has torn is repaired from it.
    let pages = (format!("--innodb-doublewrite-dir={place}"), "innodb_doublewrite_dir");
    for (option, variable) in std::iter::once(log).chain((!on.mariadb).then_some(pages)) {
        let server = Server::start_with(on, &["--server-id=7", &option]);
        let settings = server.settings();
        let error = server.backup(&settings, &Behaviour::default()).unwrap_err();
        assert_eq!((error.kind, error.kind.exit_code()), (Kind::Refused, 3), "{error:?}");
        assert!(error.to_string().contains(variable), "{error}");
        nothing_is_left(&server, &settings);
    }

    let (server, settings) = crate::tests::endings::server(on);
    symlink(outside.path(), server.data().join("moved")).unwrap();
    let error = server.backup(&settings, &Behaviour::default()).unwrap_err();
    assert!(error.to_string().contains("a link"), "{error}");
    assert_eq!(error.kind, Kind::Refused);
}
