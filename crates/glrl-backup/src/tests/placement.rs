//! Where a server's files are, whatever paths say.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{
    model::{
        error::{Kind, Result},
        id::BackupId,
        manifest,
        server::Server as Asked,
        step::Step,
    },
    server::{placement, session::Session},
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server},
    },
    volume::{Snapshot, Volume},
};

on_every_server!(a_mount_that_the_server_alone_sees_is_refused,);
on_both_flavours!(
    a_mount_among_the_data_is_refused,
    a_mount_beside_the_data_is_said_not_to_be_in_the_backup,
    what_the_server_has_open_elsewhere_is_refused,
);

/// A mount, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path) -> Self {
        mount(Some("none"), at, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        fs::set_permissions(at, PermissionsExt::from_mode(0o777)).unwrap();
        Self(at.to_owned())
    }

    fn bind(of: &Path, at: &Path) -> Self {
        mount(Some(of), at, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Expects a refusal that says this, before the server is locked.
#[track_caller]
fn refused(server: &Server, said: &str) {
    let locked = Arc::new(AtomicBool::new(false));
    let noticed = locked.clone();
    let behaviour = Behaviour {
        take: Arc::new(move || {
            noticed.store(true, Ordering::Relaxed);
            Ok(())
        }),
        ..Behaviour::default()
    };
    let error = server.backup(&server.settings(), &behaviour).unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error:#}");
    assert!(format!("{error:#}").contains(said), "'{said}' is not said: {error:#}");
    assert!(!locked.load(Ordering::Relaxed));
}

fn a_mount_among_the_data_is_refused(on: &Programs) {
    let server = Server::start(on);
    let data = server.data();
    server.execute(&[
        "CREATE DATABASE big",
        "CREATE DATABASE small",
        "CREATE TABLE small.m (id INT) ENGINE=MyISAM",
        "FLUSH TABLES",
    ]);
    {
        let _mounted = Mounted::tmpfs(&data.join("big"));
        server.execute(&[
            "CREATE TABLE big.m (id INT) ENGINE=MyISAM",
            "INSERT INTO big.m VALUES (1)",
        ]);
        refused(&server, &format!("a mount (tmpfs at {})", data.join("big").display()));
        server.execute(&["DROP TABLE big.m"]);
    }
    // Of the same filesystem: a directory, a file.
    for (of, at) in [("small", "big"), ("small/m.MYI", "small/m.MYD")] {
        let _mounted = Mounted::bind(&data.join(of), &data.join(at));
        refused(&server, &format!(" at {})", data.join(at).display()));
    }
    // Mounted onto itself it is what it was.
    let _mounted = Mounted::bind(&data.join("small"), &data.join("small"));
    server.backup(&server.settings(), &Behaviour::default()).unwrap();
}

/// A volume of which only the place matters.
struct Place(PathBuf);

impl Volume for Place {
    fn mount_point(&self) -> &Path {
        &self.0
    }

    fn record(&self, _: PathBuf) -> manifest::Volume {
        unreachable!("it is not recorded")
    }

    fn holds(&self, path: &Path) -> Result<bool> {
        Ok(path.canonicalize().map_err(anyhow::Error::from)?.starts_with(&self.0))
    }

    fn reap(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn prepare(&self, _: &BackupId, _: Option<u64>) -> Result<Box<dyn Snapshot>> {
        unreachable!("no snapshot is made")
    }
}

fn a_mount_beside_the_data_is_said_not_to_be_in_the_backup(on: &Programs) {
    let server = Server::start(on);
    let settings = server.settings();
    let beside = server.directory.path().join("beside");
    fs::create_dir(&beside).unwrap();
    let _mounted = Mounted::tmpfs(&beside);
    let mut session = Session::open(&settings.server).unwrap();
    let mut asked = Asked::of(&mut session).unwrap();
    let volume = Place(server.directory.path().to_owned());
    let placed = placement::check(&mut session, &mut asked, &volume, &server.socket()).unwrap();
    assert_eq!(placed.datadir, Path::new("data"));
    assert_eq!(
        placed.not_included,
        [format!("a mount (tmpfs at {})", beside.display())]
    );
    assert_eq!(placed.warnings, Vec::<String>::new());
    let error = placement::check(&mut session, &mut asked, &Place("/".into()), &server.socket()).unwrap_err();
    assert!(error.to_string().contains("is on the root filesystem"), "{error}");
}

/// As a unit file with `BindPaths=` does it.
fn a_mount_that_the_server_alone_sees_is_refused(on: &Programs) {
    let scripts = tempfile::tempdir().unwrap();
    fs::set_permissions(scripts.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = scripts.path().join("server");
    let script = format!(
        "#!/bin/sh\nfor word in \"$@\"; do case $word in --datadir=*) data=${{word#--datadir=}};; esac; done\n\
         if [ -d \"$data/hidden\" ]; then\n\
         exec unshare --mount sh -c 'mount --bind \"$1/mysql\" \"$1/hidden\" && shift && exec \"$@\"' sh \"$data\" {0} \"$@\"\n\
         fi\nexec unshare --mount {0} \"$@\"\n",
        on.server.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut programs = on.clone();
    programs.server = program;
    let mut server = Server::start(&programs);
    let mut said = Vec::new();
    let told = |said: &mut Vec<String>, step: Step| {
        if let Step::Warning { message } = step {
            said.push(message);
        }
    };
    // In a mount namespace of its own that shows the same.
    server
        .backup_with(
            &server.settings(),
            &Behaviour::default(),
            &crate::model::interrupt::Interrupt::default(),
            &mut |step| told(&mut said, step),
        )
        .unwrap();
    assert_eq!(said, Vec::<String>::new());
    fs::create_dir(server.data().join("hidden")).unwrap();
    server.restart();
    refused(&server, "a mount that the server sees (");
}

fn what_the_server_has_open_elsewhere_is_refused(on: &Programs) {
    let server = Server::start(on);
    let place = server.data().join("big");
    server.execute(&["CREATE DATABASE big"]);
    let mounted = Mounted::tmpfs(&place);
    server.execute(&[
        "CREATE TABLE big.m (id INT) ENGINE=MyISAM",
        "INSERT INTO big.m VALUES (1)",
    ]);
    // The mount goes, and what is open on it stays.
    drop(mounted);
    refused(&server, "m.MYD)");
}
