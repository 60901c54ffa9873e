//! The new filesystem, mounted in a mount namespace of this thread's own: nobody walks into a copy that is not whole, and when the
//! process is killed nothing is left mounted.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::statvfs::statvfs,
    unistd::syncfs,
};

use crate::{
    system::{Amount, MoveData, local::tree::Tree},
    value::Mode,
};

const DIRECTORY: &str = "/run/glrl/move";

/// The mount.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    mounted: bool,
}

impl Staging {
    /// Mounts the filesystem; the thread has its own mounts from then on.
    pub(super) fn mount(moved: &MoveData) -> Result<Self> {
        let path = PathBuf::from(DIRECTORY);
        Tree::open(Path::new("/"))?.make_directories(&path, Mode::of(0o700))?;
        unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace (unshare(2))")?;
        let nothing: Option<&Path> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .context("making mounts private")?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
        mount(
            Some(&*moved.device),
            &path,
            Some(moved.fs_type.as_str()),
            flags,
            nothing,
        )
        .with_context(|| format!("mounting {} at {DIRECTORY}", moved.device))?;
        Ok(Self { path, mounted: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes and files that it has room for.
    pub(super) fn room(&self) -> Result<Amount> {
        let stat = statvfs(&self.path).with_context(|| format!("asking how much room {DIRECTORY} has"))?;
        Ok(Amount {
            bytes: stat.blocks_available() * stat.fragment_size(),
            // btrfs counts none, and has no limit.
            entries: if stat.files() == 0 {
                u64::MAX
            } else {
                stat.files_available()
            },
        })
    }

    /// Brings all of it to disk (syncfs(2)).
    pub(super) fn sync(&self) -> Result<()> {
        let root = File::open(&self.path).with_context(|| format!("opening {DIRECTORY}"))?;
        syncfs(root).context("bringing the copy to disk")
    }

    /// Unmounts it, which says whether all of it could be written.
    pub(super) fn unmount(mut self) -> Result<()> {
        self.mounted = false;
        umount2(&self.path, MntFlags::empty()).with_context(|| format!("unmounting {DIRECTORY}"))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.mounted {
            let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        }
    }
}
