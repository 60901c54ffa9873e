//! Filesystems of other machines: a call into one whose server is gone waits for it without end, so nothing below such a mount is
//! touched before its server has answered.

use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Component, Path, PathBuf},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{errno::Errno, sys::statfs::statfs};

use super::kernel;
use crate::system::{Refused, octal};

/// How long a server may take to answer; one that is up takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Filesystems of which each call may go to another machine.
const TYPES: [&str; 8] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "lustre",
    "fuse.sshfs",
    "fuse.glusterfs",
];

/// As many links in a path as the kernel follows (`path_resolution(7)`).
const LINKS: usize = 40;

/// A mount of another machine's filesystem.
#[derive(Debug)]
pub(super) struct Remote {
    source: String,
    target: PathBuf,
    /// What its server answered, once it was asked.
    answer: OnceLock<Answer>,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Alive,
    Silent,
    Failed(Errno),
}

/// All of them that are mounted here.
pub(super) fn read() -> Result<Vec<Remote>> {
    let text = kernel::text(Path::new("/proc/self/mountinfo"))?.context("there is no /proc/self/mountinfo")?;
    Ok(text.lines().filter_map(parse).collect())
}

/// `proc_pid_mountinfo(5)`.
fn parse(line: &str) -> Option<Remote> {
    let (own, shared) = line.split_once(" - ")?;
    let (fs_type, rest) = shared.split_once(' ')?;
    TYPES.contains(&fs_type).then_some(())?;
    Some(Remote {
        source: octal::decode(rest.split(' ').next()?),
        target: octal::decode(own.split(' ').nth(4)?).into(),
        answer: OnceLock::new(),
    })
}

/// An error if the path leads onto a filesystem whose server does not answer. A link that is the path's last part is followed only if
/// `follow` says so.
pub(super) fn check(remotes: &[Remote], path: &Path, follow: bool) -> Result<()> {
    if remotes.is_empty() {
        return Ok(());
    }
    let parts = |path: &Path| -> Vec<OsString> {
        let normal = path
            .components()
            .filter(|part| !matches!(part, Component::CurDir | Component::RootDir));
        normal.map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut place = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = parts(path).into();
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            place.pop();
            continue;
        }
        place.push(part);
        // The last one is the one on top.
        if let Some(remote) = remotes.iter().rev().find(|remote| remote.target == place) {
            remote.check_reachable()?;
        }
        if ahead.is_empty() && !follow {
            break;
        }
        // What is no link, or is not there, is for others to find.
        let Ok(target) = place.read_link() else { continue };
        links += 1;
        if links > LINKS {
            break;
        }
        place.pop();
        if target.is_absolute() {
            place = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            ahead.push_front(part);
        }
    }
    Ok(())
}

impl Remote {
    fn check_reachable(&self) -> Result<()> {
        let (source, target) = (&self.source, self.target.display());
        match *self.answer.get_or_init(|| ask(&self.target)) {
            Answer::Alive => Ok(()),
            Answer::Failed(Errno::ESTALE) => Err(Refused::because(
                format!(
                    "{source} on {target} is a stale handle: its server no longer exports it, or has made the filesystem anew"
                ),
                format!(
                    "first see whether the server still exports it (on the server: exportfs -v, and exportfs -ra if it is missing there): once it \
                     does, nothing needs unmounting; if it has made the filesystem anew, unmount it here (umount {target}, or umount -l \
                     {target} while it is in use), and run again"
                ),
            )),
            Answer::Failed(errno) => {
                Err(anyhow::Error::new(errno).context(format!("asking the server of {source}, mounted on {target}")))
            }
            Answer::Silent => bail!(
                "the server of {source}, mounted on {target}, has not answered for {} s: see whether it is up and can be reached, or \
                 unmount it (umount -f -l {target})",
                PATIENCE.as_secs()
            ),
        }
    }
}

/// Asks by a thread of its own, which is left behind where it waits: the kernel ends it with the process.
fn ask(target: &Path) -> Answer {
    let (sender, receiver) = mpsc::channel();
    let target = target.to_owned();
    thread::spawn(move || sender.send(statfs(&target).map(drop)));
    match receiver.recv_timeout(PATIENCE) {
        // One that says no is there.
        Ok(Ok(()) | Err(Errno::EACCES | Errno::EPERM | Errno::ENOSYS)) => Answer::Alive,
        Ok(Err(errno)) => Answer::Failed(errno),
        Err(_) => Answer::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(target: &Path, answer: Answer) -> Remote {
        Remote {
            source: "files:/srv".to_owned(),
            target: target.to_owned(),
            answer: OnceLock::from(answer),
        }
    }

    #[test]
    fn only_filesystems_of_other_machines_are_asked() {
        let line = "90 28 0:52 / /mnt/my\\040files rw,relatime shared:1 - nfs4 10.0.0.1:/srv/files rw,vers=4.2,hard";
        let remote = parse(line).unwrap();
        assert_eq!(
            (remote.source.as_str(), remote.target.as_path()),
            ("10.0.0.1:/srv/files", Path::new("/mnt/my files"))
        );
        assert!(parse(&line.replace("nfs4", "xfs")).is_none());
    }

    #[test]
    fn whatever_leads_there_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let at = |path: &str| root.join(path);
        for name in ["mnt", "a"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        for (link, target) in [
            ("absolute", at("mnt/in")),
            ("a/up", "../mnt".into()),
            ("round", "round".into()),
        ] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        let remotes = [remote(&at("mnt"), Answer::Silent)];
        let told = |path: &str, follow| check(&remotes, &at(path), follow).is_err();
        for path in ["mnt", "mnt/x/y", "absolute/x", "a/up/x"] {
            assert!(told(path, false), "{path}");
        }
        for path in ["a", "mnt2", "absolute", "a/up", "round/x", "none/x"] {
            assert!(!told(path, false), "{path}");
        }
        assert!(told("absolute", true) && told("a/up", true));
    }

    #[test]
    fn a_stale_handle_is_refused() {
        let stale = [remote(Path::new("/mnt"), Answer::Failed(Errno::ESTALE))];
        let error = check(&stale, Path::new("/mnt/x"), false).unwrap_err();
        let refused = error.downcast_ref::<Refused>().unwrap();
        assert!(
            refused.what.contains("files:/srv on /mnt") && refused.hint.contains("umount /mnt"),
            "{refused:?}"
        );
        assert!(
            refused.hint.find("exportfs -ra") < refused.hint.find("umount"),
            "the cheaper cure comes first: {refused:?}"
        );
        let fine = [remote(Path::new("/mnt"), Answer::Alive)];
        assert!(check(&fine, Path::new("/mnt/x"), false).is_ok());
    }

    #[test]
    fn who_is_there_answers() {
        assert!(matches!(ask(Path::new("/")), Answer::Alive));
        assert!(matches!(
            ask(Path::new("/no/such/place")),
            Answer::Failed(Errno::ENOENT)
        ));
    }
}
