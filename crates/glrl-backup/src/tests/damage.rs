//! Which backup a verdict is on, and what it says where nobody can tell, or there is nothing in it. What is damaged is in `corrupt`.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use crate::{
    model::{
        id::BackupId,
        interrupt::Interrupt,
        manifest::Manifest,
        verdict::{Check, Grade, Outcome, Verdict},
    },
    operate::job::verify,
    settings::Settings,
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server, names},
    },
};

on_both_flavours!(
    the_newest_backup_counts_even_if_an_older_one_is_good,
    an_old_backup_is_stale,
    what_cannot_be_verified_here_is_not_called_good,
    tables_that_are_asked_for_must_have_rows,
);

/// A server with one backup.
struct Backed {
    server: Server,
    settings: Settings,
    id: BackupId,
}

impl Backed {
    fn new(on: &Programs) -> Self {
        let server = Server::start(on);
        server.fill();
        let mut settings = server.settings();
        settings.lock.budget = Duration::from_secs(20);
        let id = server.backup(&settings, &Behaviour::default()).unwrap().id;
        Self { server, settings, id }
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.settings.target.directory.join(format!("{}{suffix}", self.id))
    }

    fn verify(&self) -> Verdict {
        verify(&self.settings, None, &Interrupt::default(), &mut |_| {}).unwrap()
    }

    /// Verifies, and expects this word because of this check, whose detail says this. Nothing may be left behind.
    #[track_caller]
    fn expect(&self, word: Grade, name: &str, said: &str) {
        let verdict = self.verify();
        assert_eq!(verdict.verdict, word, "{verdict:#?}");
        let found = verdict
            .checks
            .iter()
            .any(|check| check.name == name && check.outcome == Outcome::Failed && check.detail.contains(said));
        assert!(found, "{name} does not say '{said}': {verdict:#?}");
        assert_eq!(names(&self.settings.verify.scratch), Vec::<String>::new());
    }

    fn manifest(&self) -> Manifest {
        serde_json::from_slice(&fs::read(self.path(".json")).unwrap()).unwrap()
    }

    fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        fs::write(self.path(".json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    }
}

fn the_newest_backup_counts_even_if_an_older_one_is_good(on: &Programs) {
    let backed = Backed::new(on);
    std::thread::sleep(Duration::from_millis(1100));
    let newer = backed
        .server
        .backup(&backed.settings, &Behaviour::default())
        .unwrap()
        .id;
    fs::remove_file(backed.settings.target.directory.join(format!("{newer}.tar.zst"))).unwrap();
    backed.expect(Grade::Corrupt, "archive", "is missing");
    let older = verify(&backed.settings, Some(&backed.id), &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(older.verdict, Grade::Ok, "{older:#?}");
}

fn an_old_backup_is_stale(on: &Programs) {
    let mut backed = Backed::new(on);
    backed.change_manifest(|manifest| manifest.started -= jiff::SignedDuration::from_hours(27));
    backed.expect(Grade::Stale, "fresh", "27 h 0 min old, at most 26 h 0 min are allowed");
    assert_eq!(backed.verify().exit_code(), 15);
    backed.settings.instance = "another".parse().unwrap();
    let none = backed.verify();
    assert_eq!((none.verdict, none.id.is_none()), (Grade::Stale, true), "{none:#?}");
}

fn what_cannot_be_verified_here_is_not_called_good(on: &Programs) {
    let mut backed = Backed::new(on);
    backed.change_manifest(|manifest| manifest.server.version.1 += 1);
    backed.expect(Grade::Unverified, "server", "a server of its release series");
    backed.change_manifest(|manifest| manifest.server.version.1 -= 1);
    backed.change_manifest(|manifest| manifest.files.stored = 1 << 60);
    backed.expect(Grade::Unverified, "scratch space", "MiB left");
    backed.change_manifest(|manifest| manifest.files.stored = 0);
    if on.mariadb {
        // MySQL takes all there is first, and is killed for it.
        let memory = std::mem::replace(
            &mut backed.settings.verify.memory,
            glrl_node::value::Size::mib(10 << 20),
        );
        backed.expect(Grade::Unverified, "server", "Out of memory");
        backed.settings.verify.memory = memory;
    }
    // One that ends before it has written a word has not looked at the data.
    let scripts = tempfile::tempdir().unwrap();
    fs::set_permissions(scripts.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mute = scripts.path().join("mute");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*) exec {} \"$@\" ;; esac\nexit 1\n",
        on.server.display()
    );
    fs::write(&mute, script).unwrap();
    fs::set_permissions(&mute, PermissionsExt::from_mode(0o755)).unwrap();
    let program = backed
        .settings
        .verify
        .server
        .replace(mute.to_str().unwrap().parse().unwrap());
    backed.expect(Grade::Unverified, "server", "it said nothing");
    backed.settings.verify.server = program;
    backed.change_manifest(|manifest| {
        manifest.volume.mount_point = "/usr".into();
        manifest.coordinates.binlog = None;
    });
    backed.expect(Grade::Unverified, "server", "no data belongs there");
    backed.settings.verify.user = "nobody-there".to_owned();
    backed.expect(Grade::Unverified, "scratch space", "no user nobody-there");
}

fn tables_that_are_asked_for_must_have_rows(on: &Programs) {
    let mut backed = Backed::new(on);
    backed.settings.verify.tables = vec!["shop.t".to_owned(), "shop.my".to_owned()];
    let verdict = backed.verify();
    let counted = |check: &Check| check.name == "tables" && check.detail.contains("shop.my has 2 rows, checksum ");
    assert!(
        verdict.verdict == Grade::Ok && verdict.checks.iter().any(counted),
        "{verdict:#?}"
    );
    backed.settings.verify.tables = vec![
        "shop.t".to_owned(),
        "wéird-name.a b`c".to_owned(),
        "shop.gone".to_owned(),
    ];
    backed.expect(
        Grade::Corrupt,
        "tables",
        "wéird-name.a b`c has no rows; shop.gone is not there",
    );
}
