//! A copy-on-write snapshot, from before it is taken until it is gone.

use std::{fs, os::unix::fs::DirBuilderExt, path::PathBuf, thread::sleep, time::Duration};

use anyhow::{Context, Result as Anyhow};
use glrl_node::system::programs::Program;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{
    model::{error::Result, manifest},
    volume::{
        Snapshot,
        lvm::{
            fill,
            lvs::{Line, bytes, lvs},
        },
        mounts,
    },
};

/// The least that is worth trying with.
pub(crate) const LEAST: u64 = 16 << 20;

/// A snapshot of this process.
#[derive(Debug)]
pub(crate) struct LvmSnapshot {
    pub(crate) group: String,
    pub(crate) origin: String,
    pub(crate) name: String,
    pub(crate) tags: [String; 4],
    pub(crate) bytes: u64,
    pub(crate) fs_type: String,
    pub(crate) mount_point: PathBuf,
    /// Whether it may exist.
    pub(crate) taken: bool,
}

impl LvmSnapshot {
    fn full(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    fn device(&self) -> PathBuf {
        PathBuf::from("/dev").join(&self.group).join(&self.name)
    }

    /// Its line, `None` where it does not exist.
    fn line(&self) -> Anyhow<Option<Line>> {
        Ok(lvs(Some(&self.group))?
            .into_iter()
            .find(|line| line.lv_name == self.name))
    }
}

impl Snapshot for LvmSnapshot {
    fn take(&mut self) -> Result<()> {
        self.taken = true;
        Program::new("lvcreate")
            .args(["--snapshot", "--permission", "rw", "--name", &self.name])
            // What only takes time under the lock: glrl watches the snapshot itself, and its metadata is not worth a copy in /etc/lvm.
            .args(["--monitor", "n", "--autobackup", "n"])
            .args(["--size", &format!("{}b", self.bytes)])
            .args(self.tags.iter().flat_map(|tag| ["--addtag", tag]))
            .args([format!("{}/{}", self.group, self.origin)])
            // Not the lock's budget: when that is over the lock is given back, and lvcreate left to end by itself.
            .timeout(Duration::from_mins(2))
            .stdout()
            .with_context(|| format!("making a snapshot of {}/{}", self.group, self.origin))?;
        Ok(())
    }

    fn open(&mut self) -> Result<PathBuf> {
        let doing = || format!("mounting the snapshot {}", self.full());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.mount_point)
            .with_context(doing)?;
        // A snapshot of XFS has its origin's UUID, and a log to replay: into the snapshot's own space, which is why it is writable.
        let options = (self.fs_type == "xfs").then_some("nouuid");
        mount(
            Some(&self.device()),
            &self.mount_point,
            Some(self.fs_type.as_str()),
            MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            options,
        )
        .with_context(doing)?;
        Ok(self.mount_point.clone())
    }

    fn fill(&self) -> Result<f64> {
        fill::of(&self.device(), &self.full())
    }

    fn grow(&self) -> Result<Option<u64>> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (free, extent) = (bytes(&line.vg_free)?, bytes(&line.vg_extent_size)?.max(1));
        // Twice the room each time: what fills it may be getting faster.
        let more = bytes(&line.lv_size)?.min(free) / extent * extent;
        if more < LEAST {
            return Ok(None);
        }
        Program::new("lvextend")
            .args(["--size", &format!("+{more}b"), &self.full()])
            .timeout(Duration::from_mins(1))
            .stdout()
            .with_context(|| format!("giving the snapshot {} more room", self.full()))?;
        Ok(Some(bytes(&line.lv_size)? + more))
    }

    fn record(&self) -> manifest::Snapshot {
        let grown = self.line().ok().flatten().and_then(|line| bytes(&line.lv_size).ok());
        manifest::Snapshot {
            name: self.full(),
            bytes: grown.unwrap_or(self.bytes),
            fill_percent: 0.0,
        }
    }

    fn remove(&mut self) -> Result<()> {
        if !self.taken {
            return Ok(());
        }
        if let Some(line) = self.line()? {
            remove(&line)?;
        }
        self.taken = false;
        let _ = fs::remove_dir(&self.mount_point);
        Ok(())
    }
}

impl Drop for LvmSnapshot {
    fn drop(&mut self) {
        // Best effort on the way out of an error; what is left is removed by the next run.
        let _ = self.remove();
    }
}

/// Unmounts a snapshot wherever it is mounted, and removes it. Whoever looks at a new device may hold it for a moment.
pub(crate) fn remove(line: &Line) -> Anyhow<()> {
    let full = format!("{}/{}", line.vg_name, line.lv_name);
    for mount in mounts::all()?
        .iter()
        .rev()
        .filter(|mount| mount.device == line.device())
    {
        retry(|| umount2(&mount.target, MntFlags::UMOUNT_NOFOLLOW).map_err(anyhow::Error::from))
            .or_else(|_| umount2(&mount.target, MntFlags::MNT_DETACH).map_err(anyhow::Error::from))
            .with_context(|| format!("unmounting {}", mount.target.display()))?;
    }
    retry(|| {
        Program::new("lvremove")
            .args(["--force", "--yes", &full])
            .timeout(Duration::from_mins(1))
            .stdout()
            .map(drop)
    })
    .with_context(|| format!("removing the snapshot {full}"))
}

fn retry(mut what: impl FnMut() -> Anyhow<()>) -> Anyhow<()> {
    for _ in 0..10 {
        if what().is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(300));
    }
    what()
}
