//! Small files of the machine glrl runs on: roles, value files, templates, /proc and /sys. Not the node's: that may be an
//! offline tree, and is `Probe`'s.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The most that a file of text may hold; every role that a person wrote is far below.
const LARGEST: u64 = 64 << 20;

/// A file's bytes; `None` where there is no such file.
pub fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    let doing = || format!("reading {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(error.kind()) => return Ok(None),
        Err(error) => return Err(error).with_context(doing),
    };
    let mut bytes = Vec::new();
    match file.take(LARGEST + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > LARGEST => bail!("{} holds more than {} MiB", path.display(), LARGEST >> 20),
        Ok(_) => Ok(Some(bytes)),
        // An attribute of /sys whose device has just gone, or has no such thing.
        Err(error) if path.starts_with("/sys") => {
            tracing::debug!(%error, path = %path.display(), "not readable");
            Ok(None)
        }
        Err(error) => Err(error).with_context(doing),
    }
}

/// A file's text; `None` where there is no such file.
pub fn read(path: &Path) -> Result<Option<String>> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => bail!(
            "{} is not UTF-8: byte {} cannot be read as text",
            path.display(),
            error.utf8_error().valid_up_to()
        ),
    }
}

/// Returns whether a path leads to anything: a file, a pipe.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Returns whether a path leads to a regular file.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Returns whether a path leads to a directory.
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// Returns the path with its links resolved, where it leads anywhere; else as it is.
pub fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Names in a directory, sorted; empty where there is no such directory.
pub fn list(path: &Path) -> Result<Vec<String>> {
    let doing = || format!("reading the directory {}", path.display());
    let entries = match path.read_dir() {
        Ok(entries) => entries,
        Err(error) if is_absent(error.kind()) => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(doing),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.with_context(doing)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}
