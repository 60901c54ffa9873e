//! The cache: a folder outside the repository of things that take minutes to make.
//!
//! An entry is a folder named by a hash of what it is made from. It is made under a lock in a
//! folder of another name and renamed when it is whole, so that neither two callers nor a killed
//! build leave half of one.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The folder of the cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$GLRL_LAB_CACHE`, else `glrl-lab` in `$XDG_CACHE_HOME`, else in `~/.cache`.
    pub(crate) fn open() -> Result<Self> {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = match (var("GLRL_LAB_CACHE"), var("XDG_CACHE_HOME"), var("HOME")) {
            (Some(root), _, _) => PathBuf::from(root),
            (_, Some(caches), _) => Path::new(&caches).join("glrl-lab"),
            (_, _, Some(home)) => Path::new(&home).join(".cache/glrl-lab"),
            _ => anyhow::bail!("no place for the lab's images: set GLRL_LAB_CACHE or HOME"),
        };
        let root = std::path::absolute(root)?;
        fs::create_dir_all(&root).with_context(|| format!("making the cache {}", root.display()))?;
        Ok(Self { root })
    }

    /// A folder or file of the cache that is no entry.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The entry `name`; where it is missing, `make` fills an empty folder that becomes it.
    pub(crate) fn entry(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let done = self.root.join(name);
        if done.is_dir() {
            // The time of the last use, by which old entries are told.
            File::open(&done)?.set_modified(SystemTime::now())?;
            return Ok(done);
        }
        self.sweep()?;
        let lock = File::create(self.root.join(format!("{name}.lock")))?;
        lock.lock().context("locking the cache")?;
        if done.is_dir() {
            return Ok(done);
        }
        let making = self.root.join(format!("{name}.part"));
        remove_folder(&making)?; // left by a build that was killed
        fs::create_dir(&making)?;
        make(&making)?;
        fs::rename(&making, &done)?;
        Ok(done)
    }

    /// Removes entries that have not been used for long: each change of a recipe leaves some.
    fn sweep(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_entry = ENTRIES
                .iter()
                .any(|kind| name.as_encoded_bytes().starts_with(kind.as_bytes()));
            let unused = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if is_entry && entry.file_type()?.is_dir() && unused > UNUSED_LIMIT {
                remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// What the names of entries begin with.
const ENTRIES: [&str; 3] = ["image-", "state-", "accelerator-"];

const UNUSED_LIMIT: Duration = Duration::from_hours(30 * 24);

/// Removes a folder with all it holds; none there is fine.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A short name for what something is made from: 16 hex digits of SHA-256 over the parts.
pub(crate) fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    hex(&digest[..8])
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Tells whoever waits what takes so long. Standard error: standard output is for results.
pub(crate) fn say(message: &str) {
    // Nobody to tell it to is no reason to stop.
    let _ = writeln!(io::stderr(), "lab: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        (folder, Cache { root })
    }

    #[test]
    fn an_entry_is_made_once() {
        let (_folder, cache) = cache();
        let make = |path: &Path| Ok(fs::write(path.join("file"), "whole")?);
        let entry = cache.entry("e", make).unwrap();
        assert_eq!(fs::read_to_string(entry.join("file")).unwrap(), "whole");
        cache.entry("e", |_| panic!("made twice")).unwrap();
    }

    #[test]
    fn a_build_that_failed_leaves_no_entry() {
        let (_folder, cache) = cache();
        let fail = |path: &Path| {
            fs::write(path.join("file"), "half")?;
            anyhow::bail!("no")
        };
        cache.entry("e", fail).unwrap_err();
        let entry = cache.entry("e", |path| Ok(fs::write(path.join("other"), "")?)).unwrap();
        assert!(!entry.join("file").exists());
    }

    #[test]
    fn an_entry_unused_for_long_goes_when_another_is_made() {
        let (_folder, cache) = cache();
        let make = |_: &Path| Ok(());
        let [old, used] = ["image-old", "image-used"].map(|name| cache.entry(name, make).unwrap());
        for entry in [&old, &used] {
            let long_ago = SystemTime::now() - 2 * UNUSED_LIMIT;
            File::open(entry).unwrap().set_modified(long_ago).unwrap();
        }
        cache.entry("image-used", make).unwrap();
        cache.entry("state-new", make).unwrap();
        assert!(used.exists() && !old.exists());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
    }
}
