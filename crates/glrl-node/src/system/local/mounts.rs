//! mountinfo and statfs, and who keeps a filesystem busy.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{sys::statfs::statfs, unistd::syncfs};

use super::kernel;
use crate::system::{Mount, Usage, octal};

/// All mounts of glrl's own mount namespace, in the kernel's order.
pub(super) fn read() -> Result<Vec<Mount>> {
    let text = kernel::text(Path::new("/proc/self/mountinfo"))?.context("there is no /proc/self/mountinfo")?;
    text.lines()
        .map(|line| parse(line).with_context(|| format!("/proc/self/mountinfo holds '{line}'")))
        .map(|mount| {
            let mut mount = mount?;
            if let Some(path) = device_of(&mount)? {
                mount.source = path.to_string_lossy().into_owned();
            }
            Ok(mount)
        })
        .collect()
}

/// The mounts that a process sees, which may be in another namespace than glrl: paths as it sees them, sources as the kernel has them.
pub fn mounts_of_process(pid: i32) -> Result<Vec<Mount>> {
    let path = PathBuf::from(format!("/proc/{pid}/mountinfo"));
    let text = kernel::text(&path)?.with_context(|| format!("there is no {}", path.display()))?;
    text.lines()
        .map(|line| parse(line).with_context(|| format!("{} holds '{line}'", path.display())))
        .collect()
}

/// Brings to disk what memory holds of the filesystems on this machine's devices (syncfs(2)); one of another machine may never answer.
/// What fails is a warning: it may be a disk that is about something else.
pub(super) fn sync() -> Result<()> {
    let mut synced = HashSet::new();
    for mount in read()? {
        if mount.source.starts_with("/dev/")
            && synced.insert(mount.device)
            && let Err(error) = File::open(&mount.target).and_then(|root| Ok(syncfs(root)?))
        {
            tracing::warn!("syncing {}: {error}", mount.target.display());
        }
    }
    Ok(())
}

/// The kernel's own path of the device below a mount: by its number, or, where the filesystem has a number that is no device's
/// (btrfs), by the name it was mounted by.
fn device_of(mount: &Mount) -> Result<Option<PathBuf>> {
    if let Some(path) = super::block::path_of_number(&mount.device)? {
        return Ok(Some(path));
    }
    if !mount.source.starts_with("/dev/") {
        return Ok(None);
    }
    Ok(Path::new(&mount.source).canonicalize().ok())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue` (`proc_pid_mountinfo(5)`).
pub(super) fn parse(line: &str) -> Option<Mount> {
    let (own, shared) = line.split_once(" - ")?;
    let mut own = own.split(' ').skip(2);
    let (device, root, target, own_options) = (own.next()?, own.next()?, own.next()?, own.next()?);
    let mut shared = shared.split(' ');
    let (fs_type, source, fs_options) = (shared.next()?, shared.next()?, shared.next().unwrap_or_default());
    let mut options: Vec<String> = Vec::new();
    for option in own_options.split(',').chain(fs_options.split(',')).map(octal::decode) {
        if !option.is_empty() && !options.contains(&option) {
            options.push(option);
        }
    }
    Some(Mount {
        source: octal::decode(source),
        root: octal::decode(root).into(),
        target: octal::decode(target).into(),
        fs_type: fs_type.to_owned(),
        options,
        device: device.to_owned(),
    })
}

/// statfs(2) of a mount point.
pub(super) fn usage(mount_point: &Path) -> Result<Usage> {
    if !read()?.iter().any(|mount| mount.target == mount_point) {
        bail!("nothing is mounted at {}", mount_point.display());
    }
    let stat = statfs(mount_point).with_context(|| format!("asking how full {} is", mount_point.display()))?;
    let block = u64::try_from(stat.block_size()).unwrap_or(0);
    Ok(Usage {
        size: stat.blocks() * block,
        free: stat.blocks_free() * block,
    })
}

/// A process that has something open below a path.
#[derive(Debug)]
pub(super) struct Occupant {
    name: String,
    pid: u32,
    /// The unit of systemd that it belongs to, by its own name.
    pub(super) unit: Option<String>,
    how: String,
}

impl fmt::Display for Occupant {
    /// `mariadbd (pid 711, mariadb.service) has /srv/x open`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}", self.name, self.pid)?;
        if let Some(unit) = &self.unit {
            write!(f, ", {unit}")?;
        }
        write!(f, ") {}", self.how)
    }
}

/// Processes that use what lies below a path.
pub(super) fn occupants(path: &Path) -> Vec<Occupant> {
    let Ok(processes) = Path::new("/proc").read_dir() else {
        return Vec::new();
    };
    let found = processes.flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let how = use_of(&process.path(), path)?;
        let text = |name| {
            kernel::text(&process.path().join(name))
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        Some(Occupant {
            name: text("comm").trim_end().to_owned(),
            pid,
            unit: unit_of(&text("cgroup")),
            how,
        })
    });
    found.collect()
}

/// The service in a process's control group, as /proc/PID/cgroup has it (cgroups(7)).
fn unit_of(cgroup: &str) -> Option<String> {
    // By which people come in: what they have started belongs to them, and stopping these shuts them out.
    const WAYS_IN: [&str; 6] = ["ssh.", "ssh@", "sshd.", "sshd@", "getty@", "serial-getty@"];
    let mut parts = cgroup.lines().flat_map(|line| line.split('/'));
    let unit = parts.rfind(|part| part.ends_with(".service"))?;
    let is_way_in = WAYS_IN.iter().any(|name| unit.starts_with(name));
    (!is_way_in).then(|| unit.to_owned())
}

/// What is mounted below a mount point, which keeps it as busy: "something is mounted on /srv/x/y".
pub(super) fn below(mount_point: &Path) -> Vec<String> {
    let mounts = read().unwrap_or_default().into_iter();
    let below = mounts.filter(|mount| mount.target != mount_point && mount.target.starts_with(mount_point));
    below
        .map(|mount| format!("{} is mounted on {}", mount.source, mount.target.display()))
        .collect()
}

/// How a process uses what lies below a mount point, by the links that /proc shows.
fn use_of(process: &Path, mount_point: &Path) -> Option<String> {
    let inside = |link: &Path| link.read_link().ok().filter(|target| target.starts_with(mount_point));
    if inside(&process.join("cwd")).is_some() {
        return Some("has its working directory there".to_owned());
    }
    if inside(&process.join("root")).is_some_and(|root| root != Path::new("/")) {
        return Some("has its root directory there".to_owned());
    }
    if inside(&process.join("exe")).is_some() {
        return Some("is a program from there".to_owned());
    }
    ["fd", "map_files"].iter().find_map(|directory| {
        let links = process.join(directory).read_dir().ok()?;
        links
            .flatten()
            .find_map(|link| inside(&link.path()))
            .map(|path| format!("has {} open", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_mounts_then_the_filesystems() {
        let line =
            r"36 35 98:0 /sub /my\040mount rw,noatime master:1 propagate_from:2 - ext4 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!(mount.target, Path::new("/my mount"));
        assert_eq!(
            (mount.root.as_path(), mount.device.as_str()),
            (Path::new("/sub"), "98:0")
        );
        assert_eq!((mount.fs_type.as_str(), mount.source.as_str()), ("ext4", "/dev/root"));
        assert_eq!(mount.options, ["rw", "noatime", "errors=continue"]);
        assert_eq!(parse("36 35 98:0 / / rw"), None);
    }

    #[test]
    fn the_machines_own_mounts_are_read() {
        let mounts = read().unwrap();
        assert!(mounts.iter().any(|mount| mount.target == Path::new("/")));
        assert!(usage(Path::new("/")).unwrap().size > 0);
        assert!(usage(Path::new("/no/such/mount")).is_err());
    }

    #[test]
    fn who_is_inside_is_named() {
        let here = std::env::current_dir().unwrap();
        let own = std::process::id();
        let users = occupants(&here);
        assert!(
            users
                .iter()
                .any(|user| user.pid == own && user.to_string().contains("working directory")),
            "{users:?}"
        );
    }

    #[test]
    fn a_process_has_a_unit() {
        for (cgroup, unit) in [
            ("0::/system.slice/ssh.service\n", None),
            ("0::/system.slice/mariadb.service\n", Some("mariadb.service")),
            (
                "0::/system.slice/system-mysql.slice/mysql@a.service/init\n",
                Some("mysql@a.service"),
            ),
            ("0::/user.slice/user-0.slice/session-1.scope\n", None),
            ("", None),
        ] {
            assert_eq!(unit_of(cgroup).as_deref(), unit);
        }
    }
}
