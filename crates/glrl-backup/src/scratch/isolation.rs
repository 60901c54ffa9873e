//! What a program sees that is started on a copy: the copy at the place that its files name, and the original nowhere.
//!
//! All filesystems are read-only but the copy, there is no network, and wherever the original's filesystem is mounted a second time it is
//! covered: an absolute path in a copy, whoever wrote it, leads to the copy, to nothing, or to what cannot be written.

use std::{
    ffi::CString,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use glrl_node::system::{Mount, programs::Program, read_only};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    model::owner::Owner,
    volume::mounts::{self},
};

/// Where the sockets of the servers of this node are: no program on a copy may talk to one.
const SOCKETS: [&str; 2] = ["/run/mysqld", "/run/mariadb"];

/// What a program sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The copy of the volume.
    pub(crate) volume: &'a Path,
    /// Where the copy is seen: a directory that exists.
    pub(crate) place: &'a Path,
    /// Where the original was mounted, and may be still.
    pub(crate) original: &'a Path,
}

impl View<'_> {
    /// Does something in namespaces that have this view. A namespace belongs to a thread, and is handed down to what it starts.
    pub(crate) fn run<T: Send>(&self, start: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let covered = self.covered()?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("making namespaces")?;
                self.enter(&covered)?;
                start()
            });
            thread
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the thread that starts the program has panicked")))
        })
    }

    fn enter(&self, covered: &[PathBuf]) -> Result<()> {
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("making the namespace's mounts private")?;
        // Before anything is covered: the copy may lie there.
        mount(Some(self.volume), self.place, none, MsFlags::MS_BIND, none)
            .with_context(|| format!("mounting the data at {}", self.place.display()))?;
        for path in covered.iter().filter(|path| path.exists()) {
            mount(
                Some("none"),
                path,
                Some("tmpfs"),
                MsFlags::empty(),
                Some("size=4k,mode=755"),
            )
            .with_context(|| format!("covering {}", path.display()))?;
        }
        read_only::everywhere().context("making everything read-only")?;
        let place = CString::new(self.place.as_os_str().as_bytes())?;
        read_only::except(&place).with_context(|| format!("making {} writable", self.place.display()))
    }

    /// Every place but the copy's where files of the original can be reached.
    fn covered(&self) -> Result<Vec<PathBuf>> {
        let mut covered: Vec<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
        if let Ok(original) = self.original.canonicalize() {
            let mounts = mounts::all()?;
            covered.extend(shown_at(&original, &mounts::holding(&original)?, &mounts));
        }
        // What is below the place is hidden by the copy.
        covered.retain(|path| !path.starts_with(self.place));
        match covered.iter().find(|path| self.place.starts_with(path)) {
            None => Ok(covered),
            Some(around) => bail!(
                "{} lies in the volume of the original, which is mounted at {} too",
                self.place.display(),
                around.display()
            ),
        }
    }
}

/// A program, to be given its arguments, that runs as this account, has no privilege and gets none, and sees no other process: through
/// `/proc/PID/root` of a server of the same account it would see the files that are covered, and write them.
pub(crate) fn as_account(owner: Owner, program: &Path) -> Program {
    Program::new("setpriv")
        .args([format!("--reuid={}", owner.uid), format!("--regid={}", owner.gid)])
        .args(["--clear-groups", "--no-new-privs", "--inh-caps=-all"])
        .args(profile())
        .args(["--".as_ref(), program.as_os_str()])
        .with_own_pids()
}

/// The option by which setpriv(1) keeps `AppArmor`'s profile of the installed server off this one. Ubuntu's allows the places of the
/// installed server and no others, and what it forbids would look like damage to the data.
fn profile() -> Option<&'static str> {
    // Nobody but a process that is not confined itself can keep a profile off; where there is none, this says something else or nothing.
    let current = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    may_choose_profile(&current).then_some("--apparmor-profile=unconfined")
}

/// Whether `/proc/PID/attr/current` is of a process that `AppArmor` does not confine.
fn may_choose_profile(current: &str) -> bool {
    current.trim_end_matches(['\n', '\0']) == "unconfined"
}

/// Where a directory's files are seen, itself among the places: by each mount of its filesystem that shows it, a part of it, or more.
fn shown_at(directory: &Path, holding: &Mount, mounts: &[Mount]) -> Vec<PathBuf> {
    let below = directory.strip_prefix(&holding.target).unwrap_or(Path::new(""));
    let within = join(&holding.root, below);
    mounts
        .iter()
        .filter(|mount| mount.device == holding.device)
        .filter_map(|mount| {
            if mount.root.starts_with(&within) {
                return Some(mount.target.clone());
            }
            Some(join(&mount.target, within.strip_prefix(&mount.root).ok()?))
        })
        .collect()
}

/// Without the slash that `join` leaves behind an empty path.
fn join(path: &Path, rest: &Path) -> PathBuf {
    path.join(rest).components().collect()
}

/// A mount point, and what had to be made for it to be there: that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct MountPoint(Vec<PathBuf>);

impl MountPoint {
    /// Makes what is missing of it.
    pub(crate) fn make(place: &Path) -> Result<Self> {
        let missing: Vec<PathBuf> = place
            .ancestors()
            .take_while(|path| !path.exists())
            .map(Path::to_owned)
            .collect();
        let mut made = Self(Vec::new());
        for path in missing.into_iter().rev() {
            fs::create_dir(&path).with_context(|| format!("making the mount point {}", path.display()))?;
            made.0.push(path);
        }
        Ok(made)
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(device: &str, root: &str, target: &str) -> Mount {
        Mount {
            source: "/dev/x".to_owned(),
            root: root.into(),
            target: target.into(),
            fs_type: "xfs".to_owned(),
            options: Vec::new(),
            device: device.to_owned(),
        }
    }

    #[test]
    fn a_directory_is_seen_by_every_mount_of_its_filesystem() {
        let mounts = [
            mounted("8:1", "/", "/"),
            mounted("253:0", "/", "/srv/db"),
            mounted("253:0", "/", "/mnt/alias"),
            mounted("253:0", "/data/shop", "/mnt/schema"),
            mounted("253:1", "/", "/mnt/other"),
        ];
        let seen = |directory: &str, holding: usize| {
            let seen = shown_at(Path::new(directory), &mounts[holding], &mounts);
            seen.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(seen("/srv/db", 1), ["/srv/db", "/mnt/alias", "/mnt/schema"]);
        // A directory of a filesystem that has more in it.
        assert_eq!(
            seen("/srv/db/data", 1),
            ["/srv/db/data", "/mnt/alias/data", "/mnt/schema"]
        );
        assert_eq!(seen("/srv/db/logs", 1), ["/srv/db/logs", "/mnt/alias/logs"]);
        assert_eq!(seen("/opt/db", 0), ["/opt/db"]);
    }

    /// By an alias as by its own path the original is neither seen nor written, and nothing else is written.
    #[test]
    fn nothing_but_the_copy_is_written() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let outer = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = outer.path().canonicalize().unwrap().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let [original, copy, alias, elsewhere] = ["original", "copy", "alias", "elsewhere"].map(path);
        fs::write(original.join("t"), "original").unwrap();
        fs::write(copy.join("t"), "copy").unwrap();
        let view = View {
            volume: &copy,
            place: &original,
            original: &original,
        };
        let none = None::<&str>;
        mount(Some(&original), &alias, none, MsFlags::MS_BIND, none).unwrap();
        let tried = view.run(|| {
            fs::write(original.join("t"), "written")?;
            let seen = alias.join("t").exists();
            let places = [&alias, &elsewhere, &copy].map(|place| fs::write(place.join("new"), "x").is_ok());
            Ok((seen, places))
        });
        nix::mount::umount(&alias).unwrap();
        assert_eq!(tried.unwrap(), (false, [false; 3]));
        assert_eq!(fs::read_to_string(original.join("t")).unwrap(), "original");
        assert_eq!(fs::read_to_string(copy.join("t")).unwrap(), "written");
    }

    /// What `AppArmor` says of two processes, `SELinux` of one, and a kernel without either.
    #[test]
    fn a_profile_is_kept_off_where_apparmor_confines_nothing() {
        assert!(may_choose_profile("unconfined\n"));
        for current in [
            "/usr/sbin/mysqld (enforce)\n",
            "unconfined_u:unconfined_r:unconfined_t:s0\0",
            "",
        ] {
            assert!(!may_choose_profile(current), "{current}");
        }
    }
}
