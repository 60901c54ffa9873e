//! The logs that a server needs beside its tables, of which it makes some anew, or reads a part, without a word: the binary log and its index,
//! MySQL's undo logs, MariaDB's redo log.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use crate::{
    model::{
        error::Result,
        manifest::Manifest,
        server::Flavour,
        verdict::{Check, Grade},
    },
    server::session::{Columns, Session, scalar},
    store::files::List,
};

const BINARY_LOG: &str = "binary log";

/// Checks what can be seen in the list of files.
pub(crate) fn in_list(manifest: &Manifest, list: &List) -> Vec<Check> {
    let binary_log = binary_log(manifest, list);
    [binary_log].into_iter().chain(undo_logs(manifest, list)).collect()
}

/// Checks what the server on the copy says, which has read its redo log up to `recovered`.
pub(crate) fn on_copy(manifest: &Manifest, recovered: Option<u64>, session: &mut Session) -> Result<Vec<Check>> {
    let mut checks: Vec<Check> = redo_log(manifest, recovered).into_iter().collect();
    checks.extend(index(manifest, session));
    checks.push(position(manifest, session)?);
    Ok(checks)
}

/// Checks that the binary log ends where it stood under the lock: nothing was committed between that and the snapshot, and nothing is missing.
fn binary_log(manifest: &Manifest, list: &List) -> Check {
    let Some(stood) = &manifest.coordinates.binlog else {
        return Check::skipped(BINARY_LOG, "the server writes none");
    };
    let corrupt = |why: String| Check::failed(BINARY_LOG, Grade::Corrupt, why);
    if let Some(index) = manifest.server.variable("log_bin_index") {
        let path = in_volume(manifest, Path::new(index));
        if path.is_some_and(|path| !list.contains_key(&path)) {
            return corrupt(format!("its index, {index}, is not in the archive"));
        }
    }
    let on = |name: &&str| manifest.server.variable(name) == Some("ON");
    if ["binlog_encryption", "encrypt_binlog"].iter().any(on) {
        return Check::skipped(BINARY_LOG, "it is encrypted, and longer than its positions");
    }
    let basename = manifest.server.variable("log_bin_basename").map(Path::new);
    let path = basename.and_then(|basename| in_volume(manifest, &basename.with_file_name(&stood.file)));
    let said = format!("{} stood at {}", stood.file, stood.position);
    match path.and_then(|path| list.get(&path)) {
        Some(file) if file.size == stood.position => Check::ok(BINARY_LOG, said),
        Some(file) => corrupt(format!("{said} under the lock, and ends at {}", file.size)),
        None => corrupt(format!("{said} under the lock, and is not in the archive")),
    }
}

/// Checks that the undo logs are there which MySQL always has. It makes missing ones anew, and what was to be rolled back stays.
fn undo_logs(manifest: &Manifest, list: &List) -> Option<Check> {
    let server = &manifest.server;
    let directory = server.variable("innodb_undo_directory").unwrap_or("");
    if server.flavour != Flavour::MySql || server.version.0 < 8 {
        return None;
    }
    let missing = ["undo_001", "undo_002"].into_iter().find(|name| {
        let path = in_volume(manifest, &Path::new(directory).join(name));
        path.is_some_and(|path| !list.contains_key(&path))
    });
    missing.map(|name| {
        let why = format!("{name} is not in the archive: what was to be rolled back is lost");
        Check::failed("undo logs", Grade::Corrupt, why)
    })
}

/// Checks that the server on the copy has read its redo log (up to `recovered`) as far as the original had written it.
fn redo_log(manifest: &Manifest, recovered: Option<u64>) -> Option<Check> {
    const NAME: &str = "redo log";
    let (written, recovered) = (manifest.coordinates.lsn?, recovered?);
    Some(if recovered >= written {
        Check::ok(
            NAME,
            format!("read up to {recovered}, {written} was written before the lock"),
        )
    } else {
        let why = format!(
            "it can be read up to {recovered}, and was written up to {written} before the lock: the last transactions are lost"
        );
        Check::failed(NAME, Grade::Corrupt, why)
    })
}

/// Checks that the index of the binary logs names the one that was written.
fn index(manifest: &Manifest, session: &mut Session) -> Option<Check> {
    let stood = manifest.coordinates.binlog.as_ref()?;
    // Without keys it knows none.
    let logs = session.rows("SHOW BINARY LOGS").unwrap_or_default();
    let is_it = |row: &Columns| row.get("Log_name").cloned().flatten().as_ref() == Some(&stood.file);
    (!logs.is_empty() && !logs.iter().any(is_it)).then(|| {
        let why = format!(
            "its index does not name {}, which was written under the lock",
            stood.file
        );
        Check::failed(BINARY_LOG, Grade::Corrupt, why)
    })
}

/// Checks that the moment that the data shows is the moment that was locked: more would be a lock that held nothing, less would be lost.
fn position(manifest: &Manifest, session: &mut Session) -> Result<Check> {
    let Some(expected) = &manifest.coordinates.gtid else {
        let why = "the manifest holds none: the server writes no binary log, or without GTIDs";
        return Ok(Check::skipped("gtid", why));
    };
    let sql = match manifest.server.flavour {
        Flavour::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos AS value",
        Flavour::MySql => "SELECT @@GLOBAL.gtid_executed AS value",
    };
    let found = scalar(&session.rows(sql)?).unwrap_or_default();
    let found: String = found.split_whitespace().collect();
    Ok(if same_position(&found, expected) {
        Check::ok("gtid", found)
    } else {
        let why = format!("recovered {found}, the manifest says {expected}");
        Check::failed("gtid", Grade::Corrupt, why)
    })
}

/// Returns where the list of files has a path of the server's, which may be relative to its datadir; `None` where it is not in the volume.
fn in_volume(manifest: &Manifest, path: &Path) -> Option<String> {
    let volume = &manifest.volume;
    let whole = volume.mount_point.join(&volume.datadir).join(path);
    let whole: PathBuf = whole.components().filter(|part| *part != Component::CurDir).collect();
    let within = whole.strip_prefix(&volume.mount_point).ok()?;
    Some(within.display().to_string())
}

/// Returns whether two positions hold the same transactions. MariaDB names the domains in the order of a hash table, which a restart may change.
fn same_position(one: &str, other: &str) -> bool {
    let parts = |text: &str| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    parts(one) == parts(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_the_same_in_any_order() {
        assert!(same_position("0-1-5,7-1-2", "7-1-2,0-1-5"));
        for other in ["0-1-5", "0-1-5,7-1-3", "0-1-5,7-1-2,8-1-1", ""] {
            assert!(!same_position("0-1-5,7-1-2", other), "{other}");
        }
    }
}
