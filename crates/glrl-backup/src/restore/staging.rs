//! Where a restore is put together: `.glrl-restore` in its destination, which is root's alone (mode 0700) until everything is there.
//!
//! When all is on disk the entries are moved up, which is renames and takes no time, and only then the destination is given to the
//! server's account. A restore that was killed has left `.glrl-restore` with `unfinished.json` in it, in a directory that the account
//! cannot enter: the next restore knows it by that, and clears away what it has left and nothing else.
//!
//! Sources: rename(2), syncfs(2), flock(2).

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow};
use glrl_node::system::{clock, state::StateDir};
use nix::unistd::syncfs;
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        error::{Error, Kind, Result},
        id::BackupId,
        owner::Owner,
    },
    scratch::server::end_servers_in,
    store::{
        archive::attributes::{Attributes, Owners},
        target,
    },
};

const NAME: &str = ".glrl-restore";
const MARKER: &str = "unfinished.json";
const VOLUME: &str = "volume";
/// What a filesystem has in its root directory, and no backup.
const LOST_FOUND: &str = "lost+found";

/// What an unfinished restore says about itself.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    id: BackupId,
    began: jiff::Timestamp,
    /// The destination's mode and owner before.
    mode: u32,
    uid: u32,
    gid: u32,
    /// What is being moved up into the destination, once all is there.
    moving: Vec<String>,
}

/// A restore being put together. Unless it is finished, dropping it clears everything away.
#[derive(Debug)]
pub(crate) struct Staging {
    root: PathBuf,
    /// Locked: one restore at a time.
    directory: File,
    volume: PathBuf,
    owner: Owner,
    marker: Marker,
    /// The destination was not there before.
    made: bool,
    finished: bool,
}

impl Staging {
    /// Takes an empty directory, or makes one. Says what was cleared away of an earlier restore, and ends the server that was started on its
    /// `datadir` to replay.
    pub(crate) fn new(root: &Path, id: &BackupId, datadir: &Path, owner: Owner) -> Result<(Self, Option<String>)> {
        let doing = || format!("preparing {}", root.display());
        let made = !root.exists();
        if made {
            // What is above it is nobody's secret: a server's account has to come through.
            fs::create_dir_all(root.parent().unwrap_or(root)).with_context(doing)?;
            DirBuilder::new().mode(0o700).create(root).with_context(doing)?;
        }
        let directory = File::open(root).with_context(doing)?;
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another restore to {} is under way", root.display());
                return Err(Error::new(Kind::Busy, message));
            }
            Err(TryLockError::Error(error)) => return Err(anyhow::Error::from(error).context(doing()).into()),
        }
        let meta = directory.metadata().with_context(doing)?;
        if !meta.is_dir() {
            return Err(Error::new(
                Kind::Refused,
                format!("{} is not a directory", root.display()),
            ));
        }
        let mut marker = Marker {
            id: id.clone(),
            began: clock::now(),
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            moving: Vec::new(),
        };
        let mut removed = None;
        if let Some(earlier) = unfinished(root) {
            // The place is root's alone until a restore is done. Somebody has given it away by hand, and a server may have used it since.
            let given_away = meta.uid() != nix::unistd::geteuid().as_raw() || meta.mode() & 0o077 != 0;
            if given_away && !earlier.moving.is_empty() {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "{} holds what a restore of {} has moved there before it was killed, and was given to somebody else since: \
                         move all of it away if it is of no use, or {NAME} alone",
                        root.display(),
                        earlier.id
                    ),
                ));
            }
            end_servers_in(&root.join(NAME).join(VOLUME).join(datadir));
            clear(root, &earlier).with_context(doing)?;
            removed = Some(format!("a restore of {} to {}, unfinished", earlier.id, root.display()));
            (marker.mode, marker.uid, marker.gid) = (earlier.mode, earlier.uid, earlier.gid);
        }
        refuse_contents(root)?;
        let staging = Self {
            volume: root.join(NAME).join(VOLUME),
            root: root.to_owned(),
            directory,
            owner,
            marker,
            made,
            finished: false,
        };
        staging.begin().with_context(doing)?;
        Ok((staging, removed))
    }

    fn begin(&self) -> Anyhow<()> {
        self.directory.set_permissions(Permissions::from_mode(0o700))?;
        if nix::unistd::geteuid().is_root() {
            chown(&self.root, Some(0), Some(0))?;
        }
        DirBuilder::new().mode(0o700).create(self.root.join(NAME))?;
        self.mark()?;
        DirBuilder::new().mode(0o700).create(&self.volume)?;
        chown(&self.volume, Some(self.owner.uid), Some(self.owner.gid))?;
        Ok(())
    }

    /// Writes the marker, to the disk.
    fn mark(&self) -> Anyhow<()> {
        StateDir::open(&self.root.join(NAME))?.write(MARKER, &serde_json::to_vec(&self.marker)?)
    }

    /// Where the volume's root directory is put together.
    pub(crate) fn volume(&self) -> &Path {
        &self.volume
    }

    /// Refuses where there is less room than this.
    pub(crate) fn check_room(&self, wanted: u64) -> Result<()> {
        let room = target::free(&self.root)?;
        if room >= wanted {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "{} has {} MiB left, the restore takes {} MiB",
                self.root.display(),
                room >> 20,
                wanted >> 20
            ),
        ))
    }

    /// Puts everything to the disk, in its place, and gives the place to its owner, in this order.
    pub(crate) fn finish(mut self, root: &Attributes, owners: &Owners) -> Result<()> {
        let doing = format!("finishing the restore to {}", self.root.display());
        self.put(root, owners).context(doing)?;
        Ok(())
    }

    fn put(&mut self, root: &Attributes, owners: &Owners) -> Anyhow<()> {
        syncfs(&self.directory)?;
        self.marker.moving = names(&self.volume)?;
        self.mark()?;
        for name in &self.marker.moving {
            fs::rename(self.volume.join(name), self.root.join(name)).with_context(|| format!("moving {name}"))?;
        }
        syncfs(&self.directory)?;
        // From here on it is whole. Only its name for unfinished work goes, and the place is given away.
        self.finished = true;
        fs::remove_dir_all(self.root.join(NAME))?;
        root.give(&self.root, false, owners)?;
        Ok(syncfs(&self.directory)?)
    }

    /// Makes the place what it was, unless all is there.
    fn give_back(&self) {
        if self.finished || clear(&self.root, &self.marker).is_err() {
            return;
        }
        if self.made {
            let _ = fs::remove_dir(&self.root);
            return;
        }
        let _ = chown(&self.root, Some(self.marker.uid), Some(self.marker.gid));
        let _ = self.directory.set_permissions(Permissions::from_mode(self.marker.mode));
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.give_back();
        // A program that is just being started has the directory open too, until its execve(2): closing it would not unlock it.
        let _ = self.directory.unlock();
    }
}

/// What an unfinished restore to this directory says about itself, if there is one.
fn unfinished(root: &Path) -> Option<Marker> {
    let text = fs::read(root.join(NAME).join(MARKER)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Removes what a restore has made: what it was moving up, if it had come to that, and its own directory, the marker last.
fn clear(root: &Path, marker: &Marker) -> Anyhow<()> {
    let gone = |path: &Path| {
        let removed = match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    };
    // Names, not paths: the marker is a file that somebody may have written.
    for name in marker.moving.iter().filter(|name| !name.contains('/') && *name != "..") {
        gone(&root.join(name))?;
    }
    gone(&root.join(NAME).join(VOLUME))?;
    gone(&root.join(NAME))
}

/// Refuses a directory with anything in it, and says what that is.
fn refuse_contents(root: &Path) -> Result<()> {
    const SHOWN: usize = 5;
    let names = names(root)?;
    let names: Vec<&String> = names.iter().filter(|name| *name != LOST_FOUND).collect();
    if names.is_empty() {
        return Ok(());
    }
    let shown = names
        .iter()
        .take(SHOWN)
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Err(Error::new(
        Kind::Refused,
        format!(
            "{} is not empty: {shown}{more}; move that away, nothing is ever overwritten",
            root.display()
        ),
    ))
}

fn names(directory: &Path) -> Anyhow<Vec<String>> {
    let mut names = fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()
        })
        .with_context(|| format!("listing {}", directory.display()))?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        }
    }

    fn finish(staging: Staging, mode: u32) {
        let (attributes, owners) = (
            Attributes::plain(owner(), mode),
            Owners::new(owner(), None, Path::new("")),
        );
        staging.finish(&attributes, &owners).unwrap();
    }

    fn begin(root: &Path) -> Result<(Staging, Option<String>)> {
        let id = "mysql-main-20261101T031500Z".parse().unwrap();
        Staging::new(root, &id, Path::new(""), owner())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    /// As SIGKILL has it: nothing is dropped, and the lock goes with the process.
    fn killed(staging: Staging) {
        staging.directory.unlock().unwrap();
        std::mem::forget(staging);
    }

    #[test]
    fn a_directory_is_its_owners_when_all_is_there() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("new");
        let (staging, removed) = begin(&root).unwrap();
        assert_eq!((removed, mode(&root)), (None, 0o700));
        fs::write(staging.volume().join("ibdata1"), "x").unwrap();
        assert!(matches!(begin(&root), Err(error) if error.kind == Kind::Busy));
        finish(staging, 0o755);
        assert_eq!(names(&root).unwrap(), ["ibdata1"]);
        assert_eq!(mode(&root), 0o755);
        let error = begin(&root).unwrap_err();
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.to_string().contains("is not empty: ibdata1;"), "{error}");
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("new");
        drop(begin(&root).unwrap());
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, Permissions::from_mode(0o751)).unwrap();
        fs::create_dir(root.join(LOST_FOUND)).unwrap();
        drop(begin(&root).unwrap());
        assert_eq!(names(&root).unwrap(), [LOST_FOUND]);
        assert_eq!(mode(&root), 0o751);
    }

    #[test]
    fn what_was_killed_is_cleared_away_and_nothing_else() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path();
        let (staging, _) = begin(root).unwrap();
        fs::write(staging.volume().join("ibdata1"), "x").unwrap();
        // As the server that was replaying: it has another parent now, and goes on.
        let mut server = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(staging.volume())
            .spawn()
            .unwrap();
        killed(staging);
        assert_eq!(names(root).unwrap(), [NAME]);
        // Killed once more, in the midst of moving up.
        let (mut staging, removed) = begin(root).unwrap();
        assert!(removed.unwrap().contains("mysql-main-20261101T031500Z"));
        assert!(!server.wait().unwrap().success());
        staging.marker.moving = vec!["ibdata1".to_owned(), "mysql".to_owned()];
        staging.mark().unwrap();
        fs::write(root.join("ibdata1"), "x").unwrap();
        fs::create_dir(root.join("mysql")).unwrap();
        fs::write(root.join("letter"), "x").unwrap();
        killed(staging);
        // An operator who took it for good, and started a server on it.
        fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
        let error = begin(root).unwrap_err();
        assert!(error.to_string().contains("given to somebody else"), "{error}");
        assert_eq!(names(root).unwrap(), [NAME, "ibdata1", "letter", "mysql"]);
        fs::set_permissions(root, Permissions::from_mode(0o700)).unwrap();
        let error = begin(root).unwrap_err();
        assert!(error.to_string().contains("is not empty: letter;"), "{error}");
        assert_eq!(names(root).unwrap(), ["letter"]);
        fs::remove_file(root.join("letter")).unwrap();
        finish(begin(root).unwrap().0, 0o700);
        assert_eq!(names(root).unwrap(), Vec::<String>::new());
    }
}
