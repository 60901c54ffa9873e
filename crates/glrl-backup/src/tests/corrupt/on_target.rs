//! Files of a backup that are not what was written, or not whole, or another backup's.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use crate::{
    fixtures,
    model::{id::BackupId, interrupt::Interrupt, manifest::Manifest, verdict::Grade},
    operate::job::verify,
    settings::Settings,
    store::{files, hash::Hashing},
    tests::{
        corrupt::expect_corrupt,
        servers::Programs,
        support::{Behaviour, Server, names, patient, verified},
    },
};

/// A server with two backups of different contents, and an encrypted one.
struct Backed {
    server: Server,
    settings: Settings,
    older: BackupId,
    newest: BackupId,
    /// The target's files as they were, to start again from.
    good: PathBuf,
}

impl Backed {
    fn new(on: &Programs) -> Self {
        let mut server = Server::start(on);
        server.fill();
        server.execute(&[
            "SET GLOBAL event_scheduler = OFF",
            "CREATE TABLE shop.grows (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB",
            "INSERT INTO shop.grows VALUES (1, 'older')",
        ]);
        server.restart();
        server.execute(&["SET GLOBAL event_scheduler = OFF"]);
        let settings = patient(&server);
        let older = server.backup(&settings, &Behaviour::default()).unwrap().id;
        server.execute(&[
            "INSERT INTO shop.grows VALUES (2, 'newest')",
            "CREATE TABLE shop.later (id INT PRIMARY KEY)",
            // Its pages are in its file then.
            "FLUSH TABLES shop.grows FOR EXPORT",
        ]);
        sleep(Duration::from_millis(1100));
        let newest = server.backup(&settings, &Behaviour::default()).unwrap().id;
        let good = server.directory.path().join("good");
        copy(&settings.target.directory, &good);
        Self {
            server,
            settings,
            older,
            newest,
            good,
        }
    }

    /// Makes the target again what it was.
    fn mend(&self) {
        fs::remove_dir_all(&*self.settings.target.directory).unwrap();
        copy(&self.good, &self.settings.target.directory);
    }

    fn of(&self, id: &BackupId, suffix: &str) -> PathBuf {
        self.settings.target.directory.join(format!("{id}{suffix}"))
    }

    /// The path of what the newest backup has with this suffix.
    fn path(&self, suffix: &str) -> PathBuf {
        self.of(&self.newest, suffix)
    }

    /// Puts what the older backup has in the place of what the newest has.
    fn take_from_older(&self, suffix: &str) {
        fs::copy(self.of(&self.older, suffix), self.path(suffix)).unwrap();
    }

    fn change(&self, suffix: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(suffix)).unwrap();
        change(&mut bytes);
        fs::write(self.path(suffix), bytes).unwrap();
    }

    fn manifest_of(&self, id: &BackupId) -> Manifest {
        serde_json::from_slice(&fs::read(self.of(id, ".json")).unwrap()).unwrap()
    }

    fn edit(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.manifest_of(&self.newest);
        change(&mut manifest);
        fs::write(self.path(".json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    }

    /// Makes the archive anew, entry by entry, and its hashes right.
    fn rebuild(&self, of: &BackupId, mut each: impl FnMut(&str, Vec<u8>) -> Vec<Vec<u8>>) {
        let mut from = tar::Archive::new(zstd::Decoder::new(File::open(self.of(of, ".tar.zst")).unwrap()).unwrap());
        let file = Hashing::new(Vec::new());
        let mut to = tar::Builder::new(zstd::Encoder::new(file, 1).unwrap());
        for entry in from.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            let mut header = entry.header().clone();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            let whole = if header.entry_type().is_dir() {
                vec![contents]
            } else {
                header.set_entry_type(tar::EntryType::Regular);
                each(path.to_str().unwrap(), contents)
            };
            for contents in whole {
                header.set_size(contents.len() as u64);
                to.append_data(&mut header, &path, &*contents).unwrap();
            }
        }
        let (bytes, digests) = to.into_inner().unwrap().finish().unwrap().finish();
        fs::write(self.path(".tar.zst"), bytes).unwrap();
        self.edit(|manifest| manifest.archive.digests = digests);
    }

    /// Makes the list of files anew, and its hashes right.
    fn relist(&self, change: impl FnOnce(&mut files::List)) {
        let manifest = self.manifest_of(&self.newest);
        let mut list = files::load(&self.settings.target.directory, &manifest, None).unwrap();
        change(&mut list);
        let mut to = Hashing::new(Vec::new());
        files::write(&list.into_values().collect::<Vec<_>>(), &mut to, &[]).unwrap();
        let (bytes, digests) = to.finish();
        fs::write(self.path(".files.zst"), bytes).unwrap();
        self.edit(|manifest| manifest.files.list = digests);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// How a backup is damaged on the target.
type OnTarget = fn(&Backed);

/// What is done, how, and what the verdict says of it.
const ON_TARGET: &[(&str, OnTarget, &str)] = &[
    (
        "a bit of the archive is flipped",
        |backed| backed.change(".tar.zst", |bytes| bytes[1 << 18] ^= 1),
        "archive: its contents have changed",
    ),
    (
        "the first bit of the archive is flipped",
        |backed| backed.change(".tar.zst", |bytes| bytes[0] ^= 1),
        "archive: its contents have changed",
    ),
    (
        "the last bit of the archive is flipped",
        |backed| backed.change(".tar.zst", |bytes| *bytes.last_mut().unwrap() ^= 128),
        "archive: its contents have changed",
    ),
    (
        "a block of the archive is zeroed",
        |backed| backed.change(".tar.zst", |bytes| bytes[4096..8192].fill(0)),
        "archive: its contents have changed",
    ),
    (
        "the archive is empty",
        |backed| backed.change(".tar.zst", Vec::clear),
        "archive: it has 0 bytes, the manifest says",
    ),
    (
        "the archive is cut in half",
        |backed| backed.change(".tar.zst", |bytes| bytes.truncate(bytes.len() / 2)),
        "bytes, the manifest says",
    ),
    (
        "the last byte of the archive is lost",
        |backed| {
            backed.change(".tar.zst", |bytes| {
                bytes.pop();
            });
        },
        "bytes, the manifest says",
    ),
    (
        "the archive goes on behind its end",
        |backed| backed.change(".tar.zst", |bytes| bytes.extend([0; 512])),
        "bytes, the manifest says",
    ),
    (
        "the archive is missing",
        |backed| fs::remove_file(backed.path(".tar.zst")).unwrap(),
        "archive: ",
    ),
    (
        "the archive is that of the older backup",
        |backed| backed.take_from_older(".tar.zst"),
        "archive: it",
    ),
    (
        "the archives of both backups are swapped, and the hashes with them",
        |backed| {
            backed.take_from_older(".tar.zst");
            let older = backed.manifest_of(&backed.older);
            backed.edit(|manifest| manifest.archive = older.archive);
        },
        "files: ",
    ),
    (
        "the archive is no archive, and its hashes are right",
        |backed| {
            let mut to = Hashing::new(Vec::new());
            to.write_all(&[b'x'; 100_000]).unwrap();
            let (bytes, digests) = to.finish();
            fs::write(backed.path(".tar.zst"), bytes).unwrap();
            backed.edit(|manifest| manifest.archive.digests = digests);
        },
        "files: the archive cannot be read any further",
    ),
    (
        "the archive holds nothing, and its hashes are right",
        |backed| backed.rebuild(&backed.newest, |_, _| Vec::new()),
        "are missing from the archive",
    ),
    (
        "a file is missing in the archive",
        |backed| {
            backed.rebuild(&backed.newest, |path, contents| {
                if path == "shop/my.MYD" {
                    Vec::new()
                } else {
                    vec![contents]
                }
            });
        },
        "1 files are missing from the archive, among them shop/my.MYD",
    ),
    (
        "a file is twice in the archive",
        |backed| {
            backed.rebuild(&backed.newest, |path, contents| {
                let times = if path == "shop/my.MYD" { 2 } else { 1 };
                vec![contents; times]
            });
        },
        "the archive holds shop/my.MYD twice",
    ),
    (
        "a byte of a file in the archive is changed",
        |backed| {
            backed.rebuild(&backed.newest, |path, mut contents| {
                if path == "shop/my.MYD" {
                    contents[3] ^= 1;
                }
                vec![contents]
            });
        },
        "shop/my.MYD is not what was archived: its hash differs",
    ),
    (
        "a file of the older backup is put into the archive: it has fewer rows, and all of its pages are valid",
        |backed| {
            let mut older = Vec::new();
            backed.rebuild(&backed.older, |path, contents| {
                if path == "shop/grows.ibd" {
                    older.clone_from(&contents);
                }
                vec![contents]
            });
            // Building it has put the older archive in the place of the newest.
            fs::copy(
                backed.good.join(format!("{}.tar.zst", backed.newest)),
                backed.path(".tar.zst"),
            )
            .unwrap();
            backed.rebuild(&backed.newest, |path, contents| {
                vec![if path == "shop/grows.ibd" {
                    older.clone()
                } else {
                    contents
                }]
            });
        },
        "shop/grows.ibd is not what was archived",
    ),
    (
        "the archive has a file that the list has not",
        |backed| {
            backed.relist(|list| drop(list.remove("shop/my.MYD")));
            backed.edit(|manifest| manifest.files.count -= 1);
        },
        "the archive holds shop/my.MYD, which the list of files does not",
    ),
    (
        "the manifest says another BLAKE3",
        |backed| backed.edit(|manifest| manifest.archive.digests.blake3 = "0".repeat(64)),
        "archive: its contents have changed",
    ),
    (
        "the manifest says another SHA-256",
        |backed| backed.edit(|manifest| manifest.archive.digests.sha256 = "0".repeat(64)),
        "archive: its contents have changed",
    ),
    (
        "the manifest is missing",
        |backed| fs::remove_file(backed.path(".json")).unwrap(),
        "manifest: ",
    ),
    (
        "the manifest is empty",
        |backed| backed.change(".json", Vec::clear),
        "manifest: reading",
    ),
    (
        "the manifest is cut",
        |backed| backed.change(".json", |bytes| bytes.truncate(bytes.len() / 2)),
        "manifest: reading",
    ),
    (
        "the manifest is full of zeros",
        |backed| backed.change(".json", |bytes| bytes.fill(0)),
        "manifest: reading",
    ),
    (
        "the manifest is that of the older backup",
        |backed| backed.take_from_older(".json"),
        "is that of",
    ),
    (
        "the manifest says another position of the binary log",
        |backed| backed.edit(|manifest| manifest.coordinates.binlog.as_mut().unwrap().position -= 1),
        "binary log: ",
    ),
    (
        "the manifest says another transaction",
        |backed| backed.edit(|manifest| manifest.coordinates.gtid.as_mut().unwrap().push('9')),
        "gtid: recovered",
    ),
    (
        "the manifest says another number of files",
        |backed| backed.edit(|manifest| manifest.files.count += 1),
        "list of files: ",
    ),
    (
        "the list of files is missing",
        |backed| fs::remove_file(backed.path(".files.zst")).unwrap(),
        "list of files: ",
    ),
    (
        "the list of files is cut",
        |backed| backed.change(".files.zst", |bytes| bytes.truncate(bytes.len() / 2)),
        "list of files: ",
    ),
    (
        "a bit of the list of files is flipped",
        |backed| backed.change(".files.zst", |bytes| bytes[50] ^= 4),
        "list of files: ",
    ),
    (
        "the list of files is that of the older backup",
        |backed| backed.take_from_older(".files.zst"),
        "list of files: ",
    ),
    (
        "the list of files is edited, and its hashes are right",
        |backed| backed.relist(|list| list.get_mut("shop/my.MYD").unwrap().blake3 = "0".repeat(64)),
        "shop/my.MYD is not what was archived",
    ),
    (
        "the list of tables is missing",
        |backed| fs::remove_file(backed.path(".tables.zst")).unwrap(),
        "list of tables: ",
    ),
    (
        "the list of tables is cut",
        |backed| backed.change(".tables.zst", |bytes| bytes.truncate(bytes.len() / 2)),
        "list of tables: ",
    ),
    (
        "a bit of the list of tables is flipped",
        |backed| backed.change(".tables.zst", |bytes| bytes[50] ^= 4),
        "list of tables: ",
    ),
    (
        "the list of tables is that of the older backup, and its hashes are right",
        |backed| {
            backed.take_from_older(".tables.zst");
            let older = backed.manifest_of(&backed.older);
            backed.edit(|manifest| manifest.tables = older.tables);
        },
        "inventory: table shop.later was not on the server",
    ),
];

pub(crate) fn what_is_damaged_on_the_target_is_corrupt(on: &Programs) {
    let backed = Backed::new(on);
    assert_eq!(verified(&backed.settings).verdict, Grade::Ok);
    for (damage, make, said) in ON_TARGET {
        make(&backed);
        expect_corrupt(damage, &verified(&backed.settings), said);
        assert_eq!(names(&backed.settings.verify.scratch), Vec::<String>::new(), "{damage}");
        backed.mend();
    }
    assert_eq!(verified(&backed.settings).verdict, Grade::Ok);
    encrypted(&backed);
}

/// The same of what is encrypted, for who has the key and who has not.
fn encrypted(backed: &Backed) {
    let key = fixtures::key(backed.server.directory.path(), "key");
    let mut settings = backed.settings.clone();
    settings.encryption.recipients.clone_from(&key.recipients);
    sleep(Duration::from_millis(1100));
    let id = backed.server.backup(&settings, &Behaviour::default()).unwrap().id;
    let archive = backed.of(&id, ".tar.zst.age");
    let good = fs::read(&archive).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    fs::write(&archive, &changed).unwrap();
    let mut with_key = settings.clone();
    with_key.encryption.identity_file.clone_from(&key.identity_file);
    for settings in [&settings, &with_key] {
        let verdict = verified(settings);
        expect_corrupt("a byte of an encrypted archive", &verdict, "archive: its contents");
    }
    // Whoever can write to the target makes the hashes right, and cannot encrypt.
    let mut to = Hashing::new(Vec::new());
    to.write_all(&changed).unwrap();
    let mut manifest = backed.manifest_of(&id);
    manifest.archive.digests = to.finish().1;
    fs::write(backed.of(&id, ".json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let verdict = verify(&with_key, Some(&id), &Interrupt::default(), &mut |_| {}).unwrap();
    expect_corrupt("a byte and the hashes", &verdict, "files: the archive cannot be read");
}
