//! Files of a server that were damaged, cut, lost or mixed up before they were archived.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::sleep,
    time::Duration,
};

use crate::{
    model::verdict::Outcome,
    tests::{
        corrupt::expect_corrupt,
        servers::Programs,
        support::{Behaviour, Server, names, patient, verified},
    },
};

/// The bytes of a page of InnoDB.
const PAGE: u64 = 16 << 10;
const OF_PAGE: usize = 16 << 10;

/// How a snapshot is damaged.
type InSnapshot = fn(&Path);

/// The servers that something can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Both,
    MariaDb,
    MySql,
}

fn open(path: PathBuf) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of indexes of this level with a few records in them: their numbers, and the LSNs at which they were written.
fn pages_of_index(file: &File, level: u16) -> Vec<(u64, u64)> {
    let mut page = vec![0; OF_PAGE];
    let is_it = |page: &[u8]| {
        // FIL_PAGE_TYPE is FIL_PAGE_INDEX; PAGE_LEVEL; PAGE_N_RECS.
        page[24..26] == [0x45, 0xbf] && page[64..66] == level.to_be_bytes() && page[54..56] > [0, 1][..]
    };
    let written = |number| {
        file.read_exact_at(&mut page, number * PAGE).unwrap();
        // FIL_PAGE_LSN.
        is_it(&page).then(|| (number, u64::from_be_bytes(page[16..24].try_into().unwrap())))
    };
    (0..file.metadata().unwrap().len() / PAGE).filter_map(written).collect()
}

/// The number of the last of them.
fn page_of_index(file: &File, level: u16) -> u64 {
    pages_of_index(file, level).last().unwrap().0
}

/// The number of the one that was written first: of one that was written lately the server has a copy (its doublewrite buffer), and takes that.
fn old_page_of_index(file: &File, level: u16) -> u64 {
    let pages = pages_of_index(file, level);
    pages.iter().min_by_key(|(_, written)| *written).unwrap().0
}

fn cut(path: PathBuf) {
    let file = open(path);
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

fn replace(by: PathBuf, path: PathBuf) {
    fs::copy(by, path).unwrap();
}

fn lose(path: PathBuf) {
    let lost = if path.is_dir() {
        fs::remove_dir_all(&path)
    } else {
        fs::remove_file(&path)
    };
    lost.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The files in a directory whose names begin so.
fn all(directory: &Path, begin: &str) -> Vec<PathBuf> {
    let found: Vec<PathBuf> = names(directory)
        .iter()
        .filter(|name| name.starts_with(begin))
        .map(|name| directory.join(name))
        .collect();
    assert!(
        !found.is_empty(),
        "nothing in {} begins with {begin}",
        directory.display()
    );
    found
}

fn redo(snapshot: &Path) -> Vec<PathBuf> {
    let directory = snapshot.join("#innodb_redo");
    if directory.is_dir() {
        all(&directory, "#ib_redo")
            .into_iter()
            .filter(|path| !path.to_str().unwrap().ends_with("_tmp"))
            .collect()
    } else {
        all(snapshot, "ib_logfile")
    }
}

/// The file of it that was written last, and where that ends.
fn end_of_redo_log(directory: &Path) -> (File, u64) {
    let written = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let log = open(redo(directory).into_iter().max_by_key(written).unwrap());
    let mut bytes = vec![0; usize::try_from(log.metadata().unwrap().len()).unwrap()];
    log.read_exact_at(&mut bytes, 0).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    (log, end as u64)
}

/// Loses the last 16 KiB of what was written of it.
fn lose_end_of_redo_log(snapshot: &Path) {
    let (log, end) = end_of_redo_log(snapshot);
    log.write_all_at(&[0; 16 << 10], end - (16 << 10)).unwrap();
}

const IN_SNAPSHOT: &[(Of, &str, InSnapshot, &str)] = &[
    (
        Of::Both,
        "a leaf of an index of InnoDB is overwritten",
        |snapshot| {
            let table = open(snapshot.join("shop/t.ibd"));
            let page = page_of_index(&table, 0);
            table.write_all_at(&[0xa5; 3000], page * PAGE + 5000).unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "a bit of a leaf of InnoDB is flipped",
        |snapshot| {
            let table = open(snapshot.join("shop/t.ibd"));
            let at = page_of_index(&table, 0) * PAGE + 200;
            let mut byte = [0];
            table.read_exact_at(&mut byte, at).unwrap();
            table.write_all_at(&[byte[0] ^ 1], at).unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "an inner page of an index of InnoDB is overwritten",
        |snapshot| {
            let table = open(snapshot.join("shop/t.ibd"));
            let page = page_of_index(&table, 1);
            table.write_all_at(&[0xa5; 3000], page * PAGE + 5000).unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "a page of InnoDB is zeroed, which by itself is a valid page",
        |snapshot| {
            let table = open(snapshot.join("shop/t.ibd"));
            let page = page_of_index(&table, 0);
            table.write_all_at(&[0; OF_PAGE], page * PAGE).unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "a page of InnoDB is another page of the same table",
        |snapshot| {
            let table = open(snapshot.join("shop/t.ibd"));
            let page = page_of_index(&table, 0);
            let mut bytes = vec![0; OF_PAGE];
            table.read_exact_at(&mut bytes, (page - 1) * PAGE).unwrap();
            table.write_all_at(&bytes, page * PAGE).unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "the first page of a table of InnoDB is zeroed",
        |snapshot| {
            open(snapshot.join("shop/blobs.ibd"))
                .write_all_at(&[0; OF_PAGE], 0)
                .unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "a page of a blob, which no index leads to, is overwritten",
        |snapshot| {
            let table = open(snapshot.join("shop/blobs.ibd"));
            let bytes = fs::read(snapshot.join("shop/blobs.ibd")).unwrap();
            let page = bytes
                .chunks(OF_PAGE)
                .rposition(|page| page[1000..9000].iter().all(|byte| *byte == b'y'))
                .unwrap();
            table.write_all_at(b"n", page as u64 * PAGE + 5000).unwrap();
        },
        "blobs",
    ),
    (
        Of::Both,
        "a table of InnoDB is cut",
        |snapshot| {
            let table = open(snapshot.join("shop/t.ibd"));
            table.set_len(page_of_index(&table, 0) * PAGE).unwrap();
        },
        "shop",
    ),
    (
        Of::Both,
        "a table of InnoDB is empty",
        |snapshot| open(snapshot.join("shop/blobs.ibd")).set_len(0).unwrap(),
        "shop",
    ),
    (
        Of::Both,
        "a table of InnoDB is lost",
        |snapshot| lose(snapshot.join("shop/blobs.ibd")),
        "shop",
    ),
    (
        Of::Both,
        "a table of InnoDB is that of another table",
        |snapshot| replace(snapshot.join("shop/grows.ibd"), snapshot.join("shop/blobs.ibd")),
        "shop",
    ),
    (
        Of::Both,
        "a table of a full-text index is lost, which CHECK TABLE does not open",
        |snapshot| {
            let is_it =
                |name: &&String| name.to_lowercase().starts_with("fts_") && name.to_lowercase().contains("_index_1");
            let names = names(&snapshot.join("shop"));
            lose(snapshot.join("shop").join(names.iter().find(is_it).unwrap()));
        },
        "error log: ",
    ),
    (
        Of::MariaDb,
        "the definition of a table is lost",
        |snapshot| lose(snapshot.join("shop/grows.frm")),
        "inventory: table shop.grows is missing",
    ),
    (
        Of::MariaDb,
        "the definition of a table is empty",
        |snapshot| open(snapshot.join("shop/grows.frm")).set_len(0).unwrap(),
        "grows",
    ),
    (
        Of::MariaDb,
        "the definition of a table is that of another one",
        |snapshot| replace(snapshot.join("shop/blobs.frm"), snapshot.join("shop/grows.frm")),
        "grows",
    ),
    (
        Of::MariaDb,
        "the collation of a schema is lost",
        |snapshot| lose(snapshot.join("shop/db.opt")),
        "inventory: schema shop was of collation latin1_general_ci",
    ),
    (
        Of::MariaDb,
        "a schema is lost",
        |snapshot| lose(snapshot.join("shop")),
        "shop",
    ),
    (
        Of::MySql,
        "a schema is lost",
        |snapshot| lose(snapshot.join("shop")),
        "server: ",
    ),
    (
        Of::Both,
        "the rows of a table of MyISAM are cut",
        |snapshot| cut(snapshot.join("shop/my.MYD")),
        "check table: shop.my",
    ),
    (
        Of::Both,
        "the rows of a table of MyISAM are lost",
        |snapshot| lose(snapshot.join("shop/my.MYD")),
        "check table: shop.my",
    ),
    (
        Of::Both,
        "the indexes of a table of MyISAM are cut",
        |snapshot| cut(snapshot.join("shop/my.MYI")),
        "check table: shop.my",
    ),
    (
        Of::Both,
        "the indexes of a table of MyISAM are lost",
        |snapshot| lose(snapshot.join("shop/my.MYI")),
        "check table: shop.my",
    ),
    (
        Of::MariaDb,
        "the rows of a table of Aria are cut",
        |snapshot| cut(snapshot.join("shop/aria.MAD")),
        "check table: shop.aria",
    ),
    (
        Of::MariaDb,
        "a page of a table of Aria is overwritten",
        |snapshot| {
            open(snapshot.join("shop/aria.MAD"))
                .write_all_at(&[0xa5; 300], 8192 + 500)
                .unwrap();
        },
        "shop.aria",
    ),
    (
        Of::MariaDb,
        "the indexes of a table of Aria are lost",
        |snapshot| lose(snapshot.join("shop/aria.MAI")),
        "check table: shop.aria",
    ),
    (
        Of::MariaDb,
        "the redo log is lost",
        |snapshot| redo(snapshot).into_iter().for_each(lose),
        "server: ",
    ),
    (
        Of::MySql,
        "the redo log is lost",
        |snapshot| redo(snapshot).into_iter().for_each(lose),
        "the InnoDB redo log files",
    ),
    (
        Of::Both,
        "the redo log is zeroed",
        |snapshot| {
            for path in redo(snapshot) {
                let file = open(path);
                let length = file.metadata().unwrap().len();
                file.set_len(0).unwrap();
                file.set_len(length).unwrap();
            }
        },
        "server: ",
    ),
    (
        Of::MariaDb,
        "the end of the redo log is lost, with the last transactions",
        lose_end_of_redo_log,
        "redo log: it can be read up to",
    ),
    (
        Of::MySql,
        "the end of the redo log is lost, with the last transactions",
        lose_end_of_redo_log,
        "error log: ",
    ),
    (
        Of::Both,
        "the system tablespace is lost",
        |snapshot| lose(snapshot.join("ibdata1")),
        "server: ",
    ),
    (
        Of::Both,
        "the system tablespace is cut",
        |snapshot| cut(snapshot.join("ibdata1")),
        "server: ",
    ),
    (
        Of::MySql,
        "a page of the dictionary is overwritten",
        |snapshot| {
            let dictionary = open(snapshot.join("mysql.ibd"));
            let page = old_page_of_index(&dictionary, 0);
            dictionary.write_all_at(&[0xa5; 3000], page * PAGE + 5000).unwrap();
        },
        "page number=",
    ),
    (
        Of::MySql,
        "the dictionary is lost",
        |snapshot| lose(snapshot.join("mysql.ibd")),
        "server: ",
    ),
    (
        Of::MySql,
        "the undo logs are lost",
        |snapshot| all(snapshot, "undo_").into_iter().for_each(lose),
        "undo logs: undo_001 is not in the archive",
    ),
    (
        Of::Both,
        "the binary log that was written is cut",
        |snapshot| cut(all(snapshot, "binlog.0").pop().unwrap()),
        "binary log: ",
    ),
    (
        Of::Both,
        "the binary log that was written is lost",
        |snapshot| lose(all(snapshot, "binlog.0").pop().unwrap()),
        "binary log: ",
    ),
    (
        Of::Both,
        "the index of the binary logs is lost",
        |snapshot| lose(snapshot.join("binlog.index")),
        "binary log: its index",
    ),
    (
        Of::Both,
        "the index of the binary logs is empty",
        |snapshot| open(snapshot.join("binlog.index")).set_len(0).unwrap(),
        "binary log: its index does not name",
    ),
];

pub(crate) fn what_was_damaged_in_the_snapshot_is_corrupt(on: &Programs) {
    let mut server = Server::start(on);
    server.fill();
    server.execute(&[
        "SET GLOBAL event_scheduler = OFF",
        "ALTER DATABASE shop COLLATE latin1_general_ci",
        "CREATE TABLE shop.grows (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200)) ENGINE=InnoDB",
        "CREATE TABLE shop.words (id INT PRIMARY KEY, t TEXT, FULLTEXT KEY (t)) ENGINE=InnoDB",
        "INSERT INTO shop.words VALUES (1, 'an apple a day')",
    ]);
    if on.mariadb {
        server.execute(&[
            "CREATE TABLE shop.aria (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=Aria",
            "INSERT INTO shop.aria SELECT id, v FROM shop.t LIMIT 500",
        ]);
    }
    // Pages are damaged in the files: they must be there, not in the redo log alone.
    server.restart();
    server.execute(&["SET GLOBAL event_scheduler = OFF"]);
    let settings = patient(&server);
    for (of, damage, make, said) in IN_SNAPSHOT {
        if *of == (if on.mariadb { Of::MySql } else { Of::MariaDb }) {
            continue;
        }
        // What the redo log has and the table has not yet. MySQL's has many small files: its end is to be well within one.
        for _ in 0..10 {
            server.execute(&["INSERT INTO shop.grows (v) SELECT v FROM shop.t LIMIT 200"]);
            if on.mariadb || (32 << 10..192 << 10).contains(&end_of_redo_log(&server.data()).1) {
                break;
            }
        }
        sleep(Duration::from_millis(1100));
        let behaviour = Behaviour {
            opened: Arc::new(make),
            ..Behaviour::default()
        };
        server.backup(&settings, &behaviour).unwrap();
        let verdict = verified(&settings);
        expect_corrupt(damage, &verdict, said);
        let hashes = verdict
            .checks
            .iter()
            .filter(|check| ["archive", "files"].contains(&&*check.name));
        assert_eq!(
            hashes.filter(|check| check.outcome == Outcome::Ok).count(),
            2,
            "{damage}: {verdict:#?}"
        );
    }
}
