//! Whether two trees are the same: names, types, owners, modes, times, links, and every byte.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::system::{MARKER, temporary::temporary};

/// What mke2fs makes.
pub(super) const LOST_FOUND: &str = "lost+found";

const CHUNK: usize = 1 << 20;

/// An error that names the first difference of a copy. Sockets are left out of it: they are removed from the copy.
pub(super) fn same(original: &Path, copy: &Path) -> Result<()> {
    let mut comparison = Comparison::default();
    same_meta(original, &stat(original)?, copy, &stat(copy)?)?;
    comparison.directory(original, copy, true)
}

/// Something in a copy that was changed later than this, if there is any: times of change cannot be set (`inode(7)`, ctime).
pub(super) fn written_since(copy: &Path, since: Timestamp) -> Result<Option<PathBuf>> {
    let mut ahead = vec![copy.to_owned()];
    while let Some(directory) = ahead.pop() {
        for name in names(&directory)? {
            // Of the root only what was copied: the marker is younger.
            if directory == copy && (is_own(&name) || name == LOST_FOUND) {
                continue;
            }
            let path = directory.join(name);
            let stat = stat(&path)?;
            let changed = Timestamp::new(stat.ctime(), i32::try_from(stat.ctime_nsec())?)?;
            if changed > since {
                return Ok(Some(path));
            }
            if stat.is_dir() {
                ahead.push(path);
            }
        }
    }
    Ok(None)
}

/// The marker, and what it is called while it is written.
pub(super) fn is_own(name: &OsStr) -> bool {
    name == MARKER || temporary(Path::new(MARKER)).is_some_and(|temporary| temporary == name)
}

/// Names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Result<Vec<OsString>> {
    let doing = || format!("reading {}", directory.display());
    let mut names = Vec::new();
    for entry in directory.read_dir().with_context(doing)? {
        names.push(entry.with_context(doing)?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

fn stat(path: &Path) -> Result<Metadata> {
    path.symlink_metadata()
        .with_context(|| format!("looking at {}", path.display()))
}

#[derive(Default)]
struct Comparison {
    /// Files with several names: which of the copy stands for which of the original.
    links: HashMap<(u64, u64), u64>,
}

impl Comparison {
    fn directory(&mut self, original: &Path, copy: &Path, is_root: bool) -> Result<()> {
        let mut expected = Vec::new();
        for name in names(original)? {
            if stat(&original.join(&name))?.file_type().is_socket() {
                let copied = copy.join(&name);
                if copied.symlink_metadata().is_ok_and(|stat| stat.file_type().is_socket()) {
                    nix::unistd::unlink(&copied)
                        .with_context(|| format!("removing the socket {}", copied.display()))?;
                }
            } else {
                expected.push(name);
            }
        }
        let mut found = names(copy)?;
        found.retain(|name| !is_root || !is_own(name) && (name != LOST_FOUND || expected.contains(name)));
        if let Some(name) = expected.iter().find(|name| !found.contains(name)) {
            bail!("{} is missing in the copy", original.join(name).display());
        }
        if let Some(name) = found.iter().find(|name| !expected.contains(name)) {
            bail!("{} is in the copy only", original.join(name).display());
        }
        for name in expected {
            self.entry(&original.join(&name), &copy.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, original: &Path, copy: &Path) -> Result<()> {
        let (before, after) = (stat(original)?, stat(copy)?);
        same_meta(original, &before, copy, &after)?;
        if before.is_dir() {
            return self.directory(original, copy, false);
        }
        let shown = original.display();
        ensure!(
            (before.mtime(), before.mtime_nsec()) == (after.mtime(), after.mtime_nsec()),
            "{shown} has another time in the copy: it was written to meanwhile"
        );
        ensure!(
            before.nlink() == after.nlink(),
            "{shown} has {} names, and in the copy {}",
            before.nlink(),
            after.nlink()
        );
        if before.nlink() > 1 {
            let known = self.links.insert((before.dev(), before.ino()), after.ino());
            ensure!(
                known.is_none_or(|known| known == after.ino()),
                "{shown} is a link to another file in the copy"
            );
            if known.is_some() {
                return Ok(());
            }
        }
        if before.is_symlink() {
            let target = |path: &Path| {
                path.read_link()
                    .with_context(|| format!("reading the link {}", path.display()))
            };
            ensure!(
                target(original)? == target(copy)?,
                "{shown} leads elsewhere in the copy"
            );
        } else if before.is_file() {
            ensure!(
                before.size() == after.size(),
                "{shown} has {} bytes, and in the copy {}",
                before.size(),
                after.size()
            );
            same_bytes(original, copy)?;
        } else {
            ensure!(before.rdev() == after.rdev(), "{shown} is another device in the copy");
        }
        Ok(())
    }
}

fn same_meta(original: &Path, before: &Metadata, copy: &Path, after: &Metadata) -> Result<()> {
    let of = |stat: &Metadata| format!("mode {:o}, owner {}:{}", stat.mode(), stat.uid(), stat.gid());
    ensure!(
        (before.mode(), before.uid(), before.gid()) == (after.mode(), after.uid(), after.gid()),
        "{} has {}, and its copy {} has {}",
        original.display(),
        of(before),
        copy.display(),
        of(after)
    );
    Ok(())
}

fn same_bytes(original: &Path, copy: &Path) -> Result<()> {
    let open = |path: &Path| File::open(path).with_context(|| format!("opening {}", path.display()));
    let (mut before, mut after) = (open(original)?, open(copy)?);
    // Read what is on the disk, and not what memory still has of writing it.
    let _ = posix_fadvise(&after, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let length = fill(&mut before, &mut one).with_context(|| format!("reading {}", original.display()))?;
        let copied = fill(&mut after, &mut other).with_context(|| format!("reading {}", copy.display()))?;
        ensure!(
            one[..length] == other[..copied],
            "{} has other bytes in the copy",
            original.display()
        );
        if length < CHUNK {
            return Ok(());
        }
    }
}

/// Reads until the buffer is full or the file is over.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::programs::Program;

    /// A tree, and a copy of it that a shell script has changed.
    fn differs(change: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let script =
            "mkdir a a/d; echo one > a/f; ln a/f a/d/g; ln -s f a/l; mkfifo a/p; truncate -s 3M a/s; echo end >> a/s
            cp -a a b; echo {} > b/.glrl-move.json; mkdir b/lost+found";
        let sh = |script: &str| {
            Program::new("sh")
                .args(["-ec", script])
                .cwd(directory.path())
                .stdout()
                .unwrap()
        };
        sh(script);
        sh(change);
        let at = |name: &str| directory.path().join(name);
        same(&at("a"), &at("b")).err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn every_difference_is_found() {
        assert_eq!(differs("true"), None);
        for (change, told) in [
            ("printf 'ONE\\n' > b/f; touch -r a/f b/f", "has other bytes"),
            (
                "printf x | dd of=b/s bs=1 seek=2999999 conv=notrunc status=none; touch -r a/s b/s",
                "/a/s has other bytes",
            ),
            ("truncate -s +1 b/s; touch -r a/s b/s", "bytes, and in the copy"),
            ("touch b/s", "has another time"),
            ("chmod 600 b/f", "mode 100600"),
            ("chown 7 b/d", "owner 7"),
            ("chmod 700 b", "mode 40700"),
            ("rm b/d/g", "/a/d/g is missing"),
            ("cp -p b/f b/x; mv b/x b/d/g", "names, and in the copy"),
            (
                "rm b/d/g; cp -p b/f b/d/g; ln b/f b/x; ln b/d/g b/y",
                "/a/x is in the copy only",
            ),
            ("ln -sfn g b/l; touch -hr a/l b/l", "leads elsewhere"),
            ("rm b/p", "/a/p is missing"),
            ("touch b/new", "/a/new is in the copy only"),
            ("mkdir b/d/lost+found", "lost+found is in the copy only"),
        ] {
            let found = differs(change).unwrap_or_default();
            assert!(found.contains(told), "{change}: {found}");
        }
    }

    #[test]
    fn sockets_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let sh = |script: &str| {
            Program::new("sh")
                .args(["-ec", script])
                .cwd(directory.path())
                .stdout()
                .unwrap()
        };
        sh("mkdir a");
        let _socket = std::os::unix::net::UnixListener::bind(at("a/socket")).unwrap();
        sh("cp -a a b");
        same(&at("a"), &at("b")).unwrap();
        assert!(!at("b/socket").exists());
    }

    #[test]
    fn what_was_written_to_later_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let sh = |script: &str| {
            Program::new("sh")
                .args(["-ec", script])
                .cwd(directory.path())
                .stdout()
                .unwrap()
        };
        sh("mkdir -p b/d; echo x > b/d/f; sleep 0.05");
        let since = crate::system::clock::now();
        sh("sleep 0.05; echo {} > b/.glrl-move.json");
        let copy = directory.path().join("b");
        assert_eq!(written_since(&copy, since).unwrap(), None);
        sh("touch -d 2001-01-01 b/d/f");
        assert_eq!(written_since(&copy, since).unwrap(), Some(copy.join("d/f")));
    }
}
