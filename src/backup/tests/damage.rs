//! Backups that are not what they were, and those that never were good: the verdict names the cause.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::support::{Behaviour, Programs, Server, names, on_both_flavours};
use crate::backup::{
    BackupId, Check, Interrupt, Outcome, Settings, Verdict, Word, hash::Hashing, manifest::Manifest, verify,
};

on_both_flavours!(
    a_changed_archive_is_corrupt,
    the_newest_backup_counts_even_if_an_older_one_is_good,
    an_old_backup_is_stale,
    a_page_that_was_broken_before_the_archive_was_made_is_corrupt,
    a_page_of_a_blob_that_no_index_leads_to_is_corrupt,
    a_damaged_myisam_table_is_corrupt,
    data_of_another_moment_than_the_lock_is_corrupt,
    what_cannot_be_verified_here_is_not_called_good,
    an_archive_without_its_files_is_corrupt,
    tables_that_are_asked_for_must_have_rows,
);

/// A server with one backup.
struct Backed {
    server: Server,
    settings: Settings,
    id: BackupId,
}

impl Backed {
    fn new(on: &Programs, behaviour: &Behaviour) -> Self {
        let mut server = Server::start(on);
        server.fill();
        // Pages are damaged in the files: they must be there, not in the redo log alone.
        server.restart();
        let mut settings = server.settings();
        settings.lock.budget = Duration::from_secs(20);
        let id = server.backup(&settings, behaviour).unwrap().id;
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
    fn expect(&self, word: Word, name: &str, said: &str) {
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

fn a_changed_archive_is_corrupt(on: &Programs) {
    let backed = Backed::new(on, &Behaviour::default());
    assert_eq!(backed.verify().verdict, Word::Ok);
    let archive = backed.path(".tar.zst");
    let good = fs::read(&archive).unwrap();

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&archive, &flipped).unwrap();
    backed.expect(Word::Corrupt, "archive", "its contents have changed");

    fs::write(&archive, &good[..good.len() - 1000]).unwrap();
    backed.expect(Word::Corrupt, "archive", "bytes, the manifest says");

    fs::remove_file(&archive).unwrap();
    backed.expect(Word::Corrupt, "archive", "is missing");

    fs::write(&archive, &good).unwrap();
    assert_eq!(backed.verify().verdict, Word::Ok);

    fs::write(backed.path(".json"), "{").unwrap();
    backed.expect(Word::Corrupt, "manifest", "reading");
}

fn the_newest_backup_counts_even_if_an_older_one_is_good(on: &Programs) {
    let backed = Backed::new(on, &Behaviour::default());
    std::thread::sleep(Duration::from_millis(1100));
    let newer = backed
        .server
        .backup(&backed.settings, &Behaviour::default())
        .unwrap()
        .id;
    fs::remove_file(backed.settings.target.directory.join(format!("{newer}.tar.zst"))).unwrap();
    backed.expect(Word::Corrupt, "archive", "is missing");
    let older = verify(&backed.settings, Some(&backed.id), &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(older.verdict, Word::Ok, "{older:#?}");
}

fn an_old_backup_is_stale(on: &Programs) {
    let mut backed = Backed::new(on, &Behaviour::default());
    backed.change_manifest(|manifest| manifest.started -= jiff::SignedDuration::from_hours(27));
    backed.expect(Word::Stale, "fresh", "27 h 0 min old, at most 26 h 0 min are allowed");
    assert_eq!(backed.verify().exit_code(), 15);
    backed.settings.instance = "another".parse().unwrap();
    let none = backed.verify();
    assert_eq!((none.verdict, none.id.is_none()), (Word::Stale, true), "{none:#?}");
}

fn a_page_that_was_broken_before_the_archive_was_made_is_corrupt(on: &Programs) {
    // The snapshot's copy of a table is damaged in its middle, as a disk does it; all hashes are right.
    let backed = Backed::new(
        on,
        &Behaviour {
            opened: Arc::new(|snapshot| {
                let table = File::options().write(true).open(snapshot.join("shop/t.ibd")).unwrap();
                let length = table.metadata().unwrap().len();
                let page = length / (16 << 10) / 2;
                table.write_all_at(&[0xa5; 3000], page * (16 << 10) + 5000).unwrap();
            }),
            ..Behaviour::default()
        },
    );
    let verdict = backed.verify();
    assert_eq!(verdict.verdict, Word::Corrupt, "{verdict:#?}");
    let named = verdict
        .checks
        .iter()
        .any(|check| check.outcome == Outcome::Failed && check.detail.contains("shop"));
    assert!(named, "{verdict:#?}");
    let hashes = verdict
        .checks
        .iter()
        .filter(|check| check.name == "archive" || check.name == "files");
    assert!(
        hashes.clone().count() == 2 && hashes.clone().all(|check| check.outcome == Outcome::Ok),
        "{verdict:#?}"
    );
}

fn a_page_of_a_blob_that_no_index_leads_to_is_corrupt(on: &Programs) {
    let backed = Backed::new(
        on,
        &Behaviour {
            opened: Arc::new(|snapshot| {
                let path = snapshot.join("shop/blobs.ibd");
                let bytes = fs::read(&path).unwrap();
                let table = File::options().write(true).open(&path).unwrap();
                // The last page that is full of the blob.
                let page = bytes
                    .chunks(16 << 10)
                    .rposition(|page| page[1000..9000].iter().all(|byte| *byte == b'y'))
                    .unwrap();
                table.write_all_at(b"n", page as u64 * (16 << 10) + 5000).unwrap();
            }),
            ..Behaviour::default()
        },
    );
    let verdict = backed.verify();
    assert_eq!(verdict.verdict, Word::Corrupt, "{verdict:#?}");
    // MariaDB answers the statement with a checksum, and complains in its log.
    let noticed = verdict
        .checks
        .iter()
        .any(|check| matches!(check.name.as_str(), "rows" | "error log") && check.detail.contains("blobs"));
    assert!(noticed, "{verdict:#?}");
}

fn a_damaged_myisam_table_is_corrupt(on: &Programs) {
    let backed = Backed::new(
        on,
        &Behaviour {
            opened: Arc::new(|snapshot| {
                let data = File::options().write(true).open(snapshot.join("shop/my.MYD")).unwrap();
                data.set_len(data.metadata().unwrap().len() / 2).unwrap();
            }),
            ..Behaviour::default()
        },
    );
    backed.expect(Word::Corrupt, "check table", "shop.my");
}

fn data_of_another_moment_than_the_lock_is_corrupt(on: &Programs) {
    let backed = Backed::new(on, &Behaviour::default());
    let manifest = backed.manifest();
    let gtid = manifest.coordinates.gtid.unwrap();
    backed.change_manifest(|manifest| manifest.coordinates.gtid = Some(format!("{gtid}9")));
    backed.expect(Word::Corrupt, "gtid", "the manifest says");
}

fn what_cannot_be_verified_here_is_not_called_good(on: &Programs) {
    let mut backed = Backed::new(on, &Behaviour::default());
    backed.change_manifest(|manifest| manifest.server.version.1 += 1);
    backed.expect(Word::Unverified, "server", "a server of its release series");
    backed.change_manifest(|manifest| manifest.server.version.1 -= 1);
    backed.change_manifest(|manifest| manifest.files.stored = 1 << 60);
    backed.expect(Word::Unverified, "scratch space", "MiB left");
    backed.change_manifest(|manifest| manifest.files.stored = 0);
    if on.mariadb {
        // MySQL takes all there is first, and is killed for it.
        let memory = std::mem::replace(&mut backed.settings.verify.memory, crate::value::Size::mib(10 << 20));
        backed.expect(Word::Unverified, "server", "Out of memory");
        backed.settings.verify.memory = memory;
    }
    backed.change_manifest(|manifest| {
        manifest.volume.mount_point = "/usr".into();
        manifest.coordinates.binlog = None;
    });
    backed.expect(Word::Unverified, "server", "no data belongs there");
    backed.settings.verify.user = "nobody-there".to_owned();
    backed.expect(Word::Unverified, "scratch space", "no user nobody-there");
}

/// Replaces the archive by another one, hashes and all, as somebody could who can write to the target.
fn replace_archive(backed: &Backed, build: impl FnOnce(&mut tar::Builder<zstd::Encoder<'static, Hashing<File>>>)) {
    let file = File::create(backed.path(".tar.zst")).unwrap();
    let mut builder = tar::Builder::new(zstd::Encoder::new(Hashing::new(file), 1).unwrap());
    build(&mut builder);
    let mut encoder = builder.into_inner().unwrap();
    encoder.flush().unwrap();
    let (_, digests) = encoder.finish().unwrap().finish();
    backed.change_manifest(|manifest| manifest.archive.digests = digests);
}

fn an_archive_without_its_files_is_corrupt(on: &Programs) {
    let backed = Backed::new(on, &Behaviour::default());
    replace_archive(&backed, |_| ());
    backed.expect(Word::Corrupt, "files", "are missing from the archive");
}

fn tables_that_are_asked_for_must_have_rows(on: &Programs) {
    let mut backed = Backed::new(on, &Behaviour::default());
    backed.settings.verify.tables = vec!["shop.t".to_owned(), "shop.my".to_owned()];
    let verdict = backed.verify();
    let counted = |check: &Check| check.name == "tables" && check.detail.contains("shop.my has 2 rows, checksum ");
    assert!(
        verdict.verdict == Word::Ok && verdict.checks.iter().any(counted),
        "{verdict:#?}"
    );
    backed.settings.verify.tables = vec![
        "shop.t".to_owned(),
        "wéird-name.a b`c".to_owned(),
        "shop.gone".to_owned(),
    ];
    backed.expect(
        Word::Corrupt,
        "tables",
        "wéird-name.a b`c has no rows; shop.gone is not there",
    );
}
