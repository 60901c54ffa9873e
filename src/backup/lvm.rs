//! LVM: the volume that holds the datadir, and its copy-on-write snapshot. Sources: lvs(8), lvcreate(8), lvmreport(7), xfs(5).
//!
//! Every snapshot carries tags that name the run, the boot and the process that own it, and is removed only by that process or when
//! that process is gone.

use std::{
    fs::{self, File},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result as Anyhow, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::syncfs,
};
use serde::Deserialize;

use super::{
    config::Settings,
    error::{Error, Kind, OfKind, Result},
    manifest, mounts,
    name::BackupId,
    volume::{Snapshot, Volume},
};
use crate::system::{
    Mount,
    programs::{Missing, Program},
};

/// The tag of all of glrl's snapshots.
const TAG: &str = "glrl_backup";
const BOOT: &str = "glrl_boot=";
const PROCESS: &str = "glrl_process=";
const RUN: &str = "glrl_run=";

/// A snapshot's space where nothing else is said: so many percent of its volume.
const PERCENT: u64 = 20;
/// The least that is worth trying with.
const LEAST: u64 = 16 << 20;

/// The volume that holds the datadir.
#[derive(Debug)]
pub(super) struct LvmVolume {
    group: String,
    name: String,
    size: u64,
    mount: Mount,
    wanted: Option<u64>,
    run_directory: PathBuf,
}

/// A line of `lvs`.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    vg_name: String,
    lv_name: String,
    lv_size: String,
    lv_attr: String,
    origin: String,
    pool_lv: String,
    lv_tags: String,
    lv_kernel_major: String,
    lv_kernel_minor: String,
    data_percent: String,
    vg_free: String,
    vg_extent_size: String,
}

impl Line {
    fn device(&self) -> String {
        format!("{}:{}", self.lv_kernel_major, self.lv_kernel_minor)
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.lv_tags.split(',')
    }

    fn tag(&self, prefix: &str) -> Option<&str> {
        self.tags().find_map(|tag| tag.strip_prefix(prefix))
    }

    fn bytes(text: &str) -> Anyhow<u64> {
        text.parse()
            .with_context(|| format!("lvs says '{text}' where a number of bytes was expected"))
    }
}

/// All volumes, or those of one group, or one: as lvs(8) takes them.
fn lvs(which: Option<&str>) -> Anyhow<Vec<Line>> {
    #[derive(Deserialize)]
    struct Report {
        report: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        lv: Vec<Line>,
    }
    let columns = "vg_name,lv_name,lv_size,lv_attr,origin,pool_lv,lv_tags,lv_kernel_major,lv_kernel_minor,data_percent,vg_free,vg_extent_size";
    let output = Program::new("lvs")
        .args(["--reportformat", "json", "--units", "b", "--nosuffix", "-o", columns])
        .args(which)
        .timeout(Duration::from_mins(1))
        .stdout()?;
    let report: Report = serde_json::from_slice(&output).context("reading what lvs says")?;
    Ok(report.report.into_iter().flat_map(|part| part.lv).collect())
}

impl LvmVolume {
    /// The volume that holds the datadir, which must be the one that the settings name, if they name one.
    pub(super) fn holding(datadir: &Path, settings: &Settings) -> Result<Self> {
        let refused = |message: String| Err(Error::new(Kind::Refused, message));
        let datadir = datadir
            .canonicalize()
            .with_context(|| format!("looking for the datadir {}", datadir.display()))?;
        let mount = mounts::holding(&datadir)?;
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
            size: Line::bytes(&line.lv_size)?,
            group: line.vg_name,
            name: line.lv_name,
            mount,
            wanted: settings.snapshot.size.map(crate::value::Size::get),
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
            if ours && !is_alive(&line) {
                remove(&line)?;
                if let Some(id) = line.tag(RUN).and_then(|run| run.parse::<BackupId>().ok()) {
                    let _ = fs::remove_dir(self.run_directory.join(id.to_string()));
                }
                removed.push(format!("snapshot {}/{} of a run that died", line.vg_name, line.lv_name));
            }
        }
        Ok(removed)
    }

    fn prepare(&self, id: &BackupId) -> Result<Box<dyn Snapshot>> {
        let full = format!("{}/{}", self.group, self.name);
        let lines = lvs(Some(&full))?;
        let line = lines.first().with_context(|| format!("{full} is gone"))?;
        let (free, extent) = (Line::bytes(&line.vg_free)?, Line::bytes(&line.vg_extent_size)?.max(1));
        let wanted = self.wanted.unwrap_or(self.size / 100 * PERCENT).max(LEAST);
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
        Ok(Box::new(LvmSnapshot {
            group: self.group.clone(),
            origin: self.name.clone(),
            name: format!("glrl-{}-{}", id.time(), std::process::id()),
            tags: [
                TAG.to_owned(),
                format!("{RUN}{id}"),
                format!("{BOOT}{}", boot()?),
                format!("{PROCESS}{}", process("self").context("this process is not in /proc")?),
            ],
            bytes,
            fs_type: self.mount.fs_type.clone(),
            mount_point: self.run_directory.join(id.to_string()),
            taken: false,
        }))
    }
}

/// A snapshot of this process.
#[derive(Debug)]
struct LvmSnapshot {
    group: String,
    origin: String,
    name: String,
    tags: [String; 4],
    bytes: u64,
    fs_type: String,
    mount_point: PathBuf,
    /// Whether it may exist.
    taken: bool,
}

impl LvmSnapshot {
    fn full(&self) -> String {
        format!("{}/{}", self.group, self.name)
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
            Some(&PathBuf::from("/dev").join(&self.group).join(&self.name)),
            &self.mount_point,
            Some(self.fs_type.as_str()),
            MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            options,
        )
        .with_context(doing)?;
        Ok(self.mount_point.clone())
    }

    fn fill(&self) -> Result<f64> {
        let line = self
            .line()?
            .ok_or_else(|| Error::new(Kind::Snapshot, format!("the snapshot {} is gone", self.full())))?;
        fill(&line).of_kind(Kind::Snapshot)
    }

    fn grow(&self) -> Result<Option<u64>> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (free, extent) = (Line::bytes(&line.vg_free)?, Line::bytes(&line.vg_extent_size)?.max(1));
        // Twice the room each time: what fills it may be getting faster.
        let more = Line::bytes(&line.lv_size)?.min(free) / extent * extent;
        if more < LEAST {
            return Ok(None);
        }
        Program::new("lvextend")
            .args(["--size", &format!("+{more}b"), &self.full()])
            .timeout(Duration::from_mins(1))
            .stdout()
            .with_context(|| format!("giving the snapshot {} more room", self.full()))?;
        Ok(Some(Line::bytes(&line.lv_size)? + more))
    }

    fn record(&self) -> manifest::Snapshot {
        let grown = self
            .line()
            .ok()
            .flatten()
            .and_then(|line| Line::bytes(&line.lv_size).ok());
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

/// How full a snapshot is, or why it is no good: the fifth attribute is `I` when it has lost contents, `S` when it is suspended so.
fn fill(line: &Line) -> Anyhow<f64> {
    let state = line.lv_attr.chars().nth(4);
    let percent: f64 = line.data_percent.parse().unwrap_or(100.0);
    if matches!(state, Some('I' | 'S')) || percent >= 100.0 {
        bail!(
            "the snapshot {}/{} has lost contents: its space ran out (attributes {}, {percent} % full); make it larger",
            line.vg_name,
            line.lv_name,
            line.lv_attr
        );
    }
    Ok(percent)
}

/// glrl's snapshots on this node whose owners are gone: they slow their volumes down until the next run removes them. Where LVM is not
/// installed there are none.
pub(super) fn leftovers() -> Anyhow<Vec<String>> {
    let lines = match lvs(None) {
        Ok(lines) => lines,
        Err(error) if error.is::<Missing>() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let left = |line: &Line| line.tags().any(|tag| tag == TAG) && !is_alive(line);
    let lines = lines.into_iter().filter(left);
    Ok(lines.map(|line| format!("{}/{}", line.vg_name, line.lv_name)).collect())
}

/// Whether the process that owns a snapshot is still there. What does not say who owns it is nobody's to remove.
fn is_alive(line: &Line) -> bool {
    let (Some(boot_then), Some(owner)) = (line.tag(BOOT), line.tag(PROCESS)) else {
        return true;
    };
    match boot() {
        Ok(now) if now == boot_then => {
            let pid = owner.split('-').next().unwrap_or_default();
            process(pid).is_some_and(|found| found == owner)
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

/// Unmounts a snapshot wherever it is mounted, and removes it. Whoever looks at a new device may hold it for a moment.
fn remove(line: &Line) -> Anyhow<()> {
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

/// Names this boot of the machine.
pub(super) fn boot() -> Anyhow<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading the boot's id")?;
    Ok(id.trim().to_owned())
}

/// Names a process for as long as the machine runs: its number and when it began (field 22 of `proc_pid_stat(5)`). One that was killed is
/// gone, though one of its threads may wait in the kernel for a disk.
pub(super) fn process(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    let (front, back) = stat.rsplit_once(')')?;
    let number = front.split(' ').next()?;
    let mut fields = back.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let began = fields.nth(18)?;
    Some(format!("{number}-{began}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(attributes: &str, percent: &str, tags: &str) -> Line {
        Line {
            vg_name: "mysql".to_owned(),
            lv_name: "glrl-x".to_owned(),
            lv_size: "0".to_owned(),
            lv_attr: attributes.to_owned(),
            origin: "data".to_owned(),
            pool_lv: String::new(),
            lv_tags: tags.to_owned(),
            lv_kernel_major: "254".to_owned(),
            lv_kernel_minor: "1".to_owned(),
            data_percent: percent.to_owned(),
            vg_free: "0".to_owned(),
            vg_extent_size: "4194304".to_owned(),
        }
    }

    #[test]
    fn a_snapshot_that_lost_contents_is_no_good() {
        assert!((fill(&line("swi-aos---", "12.34", "")).unwrap() - 12.34).abs() < 1e-9);
        for (attributes, percent) in [
            ("swi-I-s---", "100.00"),
            ("Swi-S-s---", "50.00"),
            ("swi-aos---", "100.00"),
            ("swi-aos---", ""),
        ] {
            assert!(fill(&line(attributes, percent, "")).is_err(), "{attributes} {percent}");
        }
    }

    #[test]
    fn only_the_dead_are_reaped() {
        let boot = boot().unwrap();
        let own = process("self").unwrap();
        let tags = |boot: &str, process: &str| format!("{TAG},{BOOT}{boot},{PROCESS}{process}");
        let alive = |tags: &str| is_alive(&line("swi-aos---", "1", tags));
        assert!(alive(&tags(&boot, &own)));
        // No owner named: it is not ours to judge.
        assert!(alive(TAG));
        assert!(!alive(&tags("another-boot", &own)));
        // Another process has had this number.
        let number = std::process::id();
        assert!(!alive(&tags(&boot, &format!("{number}-1"))));
        assert!(!alive(&tags(&boot, "4194305-1")));
    }
}
