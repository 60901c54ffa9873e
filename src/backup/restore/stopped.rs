//! Whether the server is stopped whose volume is to be written: asked of its socket, of the kernel, and of the locks on its files.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::Context;
use nix::fcntl::{FcntlArg, fcntl};

use crate::backup::{
    config::Settings,
    error::{Error, Kind, Result},
    session::Session,
};

/// Refuses while a server runs: one that answers, one that has files open below `place`, one that holds InnoDB's lock in `datadir`.
pub(super) fn check(settings: &Settings, place: &Path, datadir: &Path) -> Result<()> {
    let running = |how: String| {
        Err(Error::new(
            Kind::Refused,
            format!("the server is not stopped: {how}; stop it first: systemctl stop mariadb, or mysql"),
        ))
    };
    let socket = Session::socket_of(&settings.server)?;
    if UnixStream::connect(&socket).is_ok() {
        return running(format!("it answers at {socket}"));
    }
    if let Some(who) = lasting_user_of(place).context("looking for processes with files open")? {
        return running(format!("{who} has files open below {}", place.display()));
    }
    let system = datadir.join("ibdata1");
    if locked(&system)? {
        return running(format!("{} is locked", system.display()));
    }
    Ok(())
}

/// A user who stays. A process that is being started has open what its parent has, from fork(2) until execve(2) is done.
fn lasting_user_of(place: &Path) -> io::Result<Option<String>> {
    const LOOKS: u32 = 10;
    for _ in 1..LOOKS {
        if user_of(place)?.is_none() {
            return Ok(None);
        }
        sleep(Duration::from_millis(100));
    }
    user_of(place)
}

/// A process that works in a directory, or has a file of it open. Its name and its number.
fn user_of(place: &Path) -> io::Result<Option<String>> {
    let Ok(place) = place.canonicalize() else {
        return Ok(None);
    };
    let own = std::process::id().to_string();
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let name = process.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        let path = process.path();
        let command = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let command = command.trim();
        // An operator's shell may stand there; it reads and writes nothing.
        let server = ["mysqld", "mariadbd"].iter().any(|server| command.starts_with(server));
        let inside = |link: &Path| fs::read_link(link).is_ok_and(|target| target.starts_with(&place));
        let mut files = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        // In a namespace of its own, as a verification's server has it, such a path is another place.
        let same_root = mount_namespace(&path) == mount_namespace(Path::new("/proc/self"));
        if pid != own && same_root && ((server && inside(&path.join("cwd"))) || files.any(|file| inside(&file.path())))
        {
            return Ok(Some(format!("{command} (process {pid})")));
        }
    }
    Ok(None)
}

fn mount_namespace(process: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(process.join("ns/mnt")).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Whether somebody holds a lock on a file, as InnoDB does on its system tablespace (`fcntl(F_SETLK)`).
fn locked(path: &Path) -> Result<bool> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(anyhow::Error::from(error)
                .context(format!("opening {}", path.display()))
                .into());
        }
    };
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK.try_into().unwrap_or_default(),
        l_whence: libc::SEEK_SET.try_into().unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).with_context(|| format!("asking for locks on {}", path.display()))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_keeps_a_directory_in_use() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(user_of(directory.path()).unwrap(), None);
        let file = directory.path().join("f");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdin(File::create(&file).unwrap())
            .spawn()
            .unwrap();
        let found = user_of(directory.path()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // Its name may still be this one's: exec(3) gives it the new one last.
        let number = format!("(process {})", child.id());
        assert!(
            found.as_ref().is_some_and(|found| found.ends_with(&number)),
            "{found:?}"
        );
        assert!(!locked(&file).unwrap());
    }
}
