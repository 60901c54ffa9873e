//! LVM: the volume that holds the datadir, and its copy-on-write snapshot. Sources: lvs(8), lvcreate(8), lvmreport(7), dmsetup(8), xfs(5).
//!
//! Every snapshot carries tags that name the run, the boot and the process that own it, and is removed only by that process or when
//! that process is gone.

pub(crate) mod fill;
pub(crate) mod lvs;
pub(crate) mod snapshot;

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow};
use glrl_node::system::{Mount, programs::Missing};
use nix::unistd::syncfs;

use crate::{
    model::{
        error::{Error, Kind, Result},
        id::BackupId,
        manifest,
    },
    settings::Settings,
    volume::{
        Snapshot, Volume,
        lvm::{
            lvs::{BOOT, Line, PROCESS, bytes, lvs},
            snapshot::{LEAST, LvmSnapshot},
        },
        mounts,
        process::Process,
    },
};

/// The tag of all of glrl's snapshots.
const TAG: &str = "glrl_backup";

const RUN: &str = "glrl_run=";

/// A snapshot's space where nothing else is said: so many percent of its volume.
const PERCENT: u64 = 20;

/// The volume that holds the datadir.
#[derive(Debug)]
pub(crate) struct LvmVolume {
    group: String,
    name: String,
    size: u64,
    mount: Mount,
    wanted: Option<u64>,
    run_directory: PathBuf,
}

impl LvmVolume {
    /// The volume that holds the datadir, which must be the one that the settings name, if they name one.
    pub(crate) fn holding(datadir: &Path, settings: &Settings) -> Result<Self> {
        let refused = |message: String| Err(Error::new(Kind::Refused, message));
        let datadir = datadir
            .canonicalize()
            .with_context(|| format!("looking for the datadir {}", datadir.display()))?;
        let mount = mounts::holding(&datadir)?;
        mounts::check_own_filesystem(&datadir, &mount.target)?;
        let Some(line) = lvs(None)?.into_iter().find(|line| line.device() == mount.device) else {
            return refused(format!(
                "the datadir {} is not on a logical volume but on {} at {}: it cannot be frozen",
                datadir.display(),
                mount.fs_type,
                mount.target.display()
            ));
        };
        let full = format!("{}/{}", line.vg_name, line.lv_name);
        let named = |setting: &Option<String>, found: &str| setting.as_ref().is_none_or(|name| name == found);
        if !named(&settings.volume_group, &line.vg_name) || !named(&settings.volume, &line.lv_name) {
            return refused(format!(
                "the datadir {} is on {full}, which is not the volume of the settings",
                datadir.display()
            ));
        }
        if !line.pool_lv.is_empty() {
            return refused(format!("{full} is a thin volume, of which no snapshots are made yet"));
        }
        if mount.root != Path::new("/") {
            return refused(format!(
                "{} is mounted at {} from its directory {}: mount the whole of it",
                full,
                mount.target.display(),
                mount.root.display()
            ));
        }
        Ok(Self {
            size: bytes(&line.lv_size)?,
            group: line.vg_name,
            name: line.lv_name,
            mount,
            wanted: settings.snapshot.size.map(glrl_node::value::Size::get),
            run_directory: settings.run_directory.to_path_buf(),
        })
    }
}

impl Volume for LvmVolume {
    fn mount_point(&self) -> &Path {
        &self.mount.target
    }

    fn record(&self, datadir: PathBuf) -> manifest::Volume {
        manifest::Volume {
            group: self.group.clone(),
            name: self.name.clone(),
            mount_point: self.mount.target.clone(),
            datadir,
            filesystem: self.mount.fs_type.clone(),
        }
    }

    fn holds(&self, path: &Path) -> Result<bool> {
        let meta = fs::metadata(path).with_context(|| format!("looking for {}", path.display()))?;
        let device = meta.dev();
        Ok(format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device)) == self.mount.device)
    }

    fn reap(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for line in lvs(Some(&self.group))? {
            let ours = line.tags().any(|tag| tag == TAG) && line.origin == self.name;
            if ours && !line.is_alive() {
                snapshot::remove(&line)?;
                if let Some(id) = line.tag(RUN).and_then(|run| run.parse::<BackupId>().ok()) {
                    let _ = fs::remove_dir(self.run_directory.join(id.to_string()));
                }
                removed.push(format!("snapshot {}/{} of a run that died", line.vg_name, line.lv_name));
            }
        }
        Ok(removed)
    }

    fn prepare(&self, id: &BackupId, used: Option<u64>) -> Result<Box<dyn Snapshot>> {
        let full = format!("{}/{}", self.group, self.name);
        let lines = lvs(Some(&full))?;
        let line = lines.first().with_context(|| format!("{full} is gone"))?;
        let (free, extent) = (bytes(&line.vg_free)?, bytes(&line.vg_extent_size)?.max(1));
        let wanted = self.wanted.unwrap_or_else(|| usual(self.size, used)).max(LEAST);
        // A snapshot larger than its volume and its own tables cannot fill up: lvcreate(8) makes it smaller by itself.
        let bytes = wanted.min(free) / extent * extent;
        if bytes < LEAST || (self.wanted.is_some() && bytes < wanted / extent * extent) {
            return Err(Error::new(
                Kind::Snapshot,
                format!(
                    "the volume group {} has {} MiB free, too little for a snapshot of {full}, for which {} MiB are wanted",
                    self.group,
                    free >> 20,
                    wanted >> 20
                ),
            ));
        }
        // lvcreate freezes the filesystem, which writes out all that is dirty: most of that can be done while nobody waits for it.
        File::open(&self.mount.target)
            .and_then(|root| Ok(syncfs(root)?))
            .with_context(|| format!("writing out {}", self.mount.target.display()))?;
        let owner = Process::this()?;
        Ok(Box::new(LvmSnapshot {
            group: self.group.clone(),
            origin: self.name.clone(),
            name: format!("glrl-{}-{}", id.time(), std::process::id()),
            tags: [
                TAG.to_owned(),
                format!("{RUN}{id}"),
                format!("{BOOT}{}", owner.boot),
                format!("{PROCESS}{}", owner.began),
            ],
            bytes,
            fs_type: self.mount.fs_type.clone(),
            mount_point: self.run_directory.join(id.to_string()),
            taken: false,
        }))
    }
}

/// The space of a snapshot where nothing is said: a fifth of its volume, or twice what was written into the last one, if
/// that is more.
fn usual(volume: u64, used: Option<u64>) -> u64 {
    (volume / 100 * PERCENT)
        .max(used.unwrap_or(0).saturating_mul(2))
        .min(volume)
}

/// glrl's snapshots on this node whose owners are gone: they slow their volumes down until the next run removes them. Where LVM is not
/// installed there are none.
pub(crate) fn leftovers() -> Anyhow<Vec<String>> {
    let lines = match lvs(None) {
        Ok(lines) => lines,
        Err(error) if error.is::<Missing>() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let left = |line: &Line| line.tags().any(|tag| tag == TAG) && !line.is_alive();
    let lines = lines.into_iter().filter(left);
    Ok(lines.map(|line| format!("{}/{}", line.vg_name, line.lv_name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refused before LVM is asked, which need not be installed.
    #[test]
    fn a_datadir_on_the_root_filesystem_is_refused() {
        let error = LvmVolume::holding(Path::new("/"), &Settings::default()).unwrap_err();
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.to_string().contains("is on the root filesystem"), "{error}");
        for place in ["/usr", "/etc"] {
            let error = mounts::check_own_filesystem(Path::new("/usr/db"), Path::new(place)).unwrap_err();
            assert!(error.to_string().contains(&format!("mounted at {place}")), "{error}");
        }
        mounts::check_own_filesystem(Path::new("/var/lib/mysql"), Path::new("/var")).unwrap();
    }

    #[test]
    fn a_snapshot_has_room_for_twice_what_the_last_one_took() {
        let gib = |number: u64| number << 30;
        assert_eq!(usual(gib(100), None), gib(100) / 100 * PERCENT);
        assert_eq!(usual(gib(100), Some(gib(3))), gib(100) / 100 * PERCENT);
        assert_eq!(usual(gib(100), Some(gib(15))), gib(30));
        // More than the volume has cannot change.
        assert_eq!(usual(gib(100), Some(gib(80))), gib(100));
    }
}
