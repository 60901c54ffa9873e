//! The names of a backup's files on the target.

use std::path::{Path, PathBuf};

use crate::model::id::BackupId;

/// The files of a backup, in the order in which they get their names: the manifest makes it one.
pub(crate) const ARCHIVE: &str = ".tar.zst";

pub(crate) const FILES: &str = ".files.zst";

pub(crate) const TABLES: &str = ".tables.zst";

/// They again, where they are encrypted.
pub(crate) const SEALED_ARCHIVE: &str = ".tar.zst.age";

const SEALED_FILES: &str = ".files.zst.age";

const SEALED_TABLES: &str = ".tables.zst.age";

pub(crate) const MANIFEST: &str = ".json";

pub(crate) const VERDICT: &str = ".verified.json";

/// All that a backup may have but its manifest.
pub(crate) const BUT_MANIFEST: [&str; 7] = [
    ARCHIVE,
    SEALED_ARCHIVE,
    FILES,
    SEALED_FILES,
    TABLES,
    SEALED_TABLES,
    VERDICT,
];

/// What an archive's name ends in.
pub(crate) const fn archive(encrypted: bool) -> &'static str {
    if encrypted { SEALED_ARCHIVE } else { ARCHIVE }
}

/// What its list's name ends in.
pub(crate) const fn files(encrypted: bool) -> &'static str {
    if encrypted { SEALED_FILES } else { FILES }
}

/// What the name of its inventory ends in.
pub(crate) const fn tables(encrypted: bool) -> &'static str {
    if encrypted { SEALED_TABLES } else { TABLES }
}

/// The path of one of a backup's files.
pub(crate) fn path_of(directory: &Path, id: &BackupId, suffix: &str) -> PathBuf {
    directory.join(format!("{id}{suffix}"))
}

/// What a file's name ends in while it is written.
pub(crate) const PARTIAL: &str = ".partial";
