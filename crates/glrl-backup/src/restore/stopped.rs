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

use crate::{
    model::error::{Error, Kind, Result},
    server::session::Session,
    settings::Settings,
};

/// Refuses while a server runs: one that answers, one that has files open below `place`, one that holds InnoDB's lock in `datadir`.
pub(crate) fn check(settings: &Settings, place: &Path, datadir: &Path) -> Result<()> {
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
    unused(place)?;
    let system = datadir.join("ibdata1");
    if locked(&system)? {
        return running(format!("{} is locked", system.display()));
    }
    Ok(())
}

/// Refuses a directory that a process has files open below, or that lies in a server's datadir, where it would be a schema.
pub(crate) fn unused(place: &Path) -> Result<()> {
    let user = lasting_user_of(place).context("looking for processes with files open")?;
    user.map_or(Ok(()), |who| {
        let message = format!(
            "{who} has files open below {}, or its datadir around it: stop it first (a server: systemctl stop mariadb, or mysql), or restore to another place",
            place.display()
        );
        Err(Error::new(Kind::Refused, message))
    })
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

/// A process that works in a directory, or has a file of it open; a server that the directory, which need not be there, lies in the datadir
/// of. Its name and its number.
fn user_of(place: &Path) -> io::Result<Option<String>> {
    let own_place = place.canonicalize().ok();
    let Some(near) = place.ancestors().find_map(|path| path.canonicalize().ok()) else {
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
        let inside = |link: &Path| {
            let own_place = own_place.as_ref();
            own_place.is_some_and(|place| fs::read_link(link).is_ok_and(|target| target.starts_with(place)))
        };
        // By its name nobody knows every server; by the file that InnoDB has open as long as it runs.
        let around = |link: &Path| {
            fs::read_link(link).is_ok_and(|target| {
                let datadir = target.parent().filter(|_| target.ends_with("ibdata1"));
                datadir.is_some_and(|datadir| near.starts_with(datadir))
            })
        };
        let mut files = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
        let uses = |file: &Path| inside(file) || around(file);
        if pid != own
            && ((server && inside(&path.join("cwd"))) || files.any(|file| uses(&file.path())))
            && sees(&path, &near)
        {
            return Ok(Some(format!("{command} (process {pid})")));
        }
    }
    Ok(None)
}

/// Whether a process finds the same directory at this path. In a namespace of its own it may not, as a verification's server does not; and
/// it may, as a service does of which systemd protects the rest of the system (`ProtectSystem=`, `PrivateTmp=`).
fn sees(process: &Path, place: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let seen = process.join("root").join(place.strip_prefix("/").unwrap_or(place));
    file(&seen).is_some_and(|seen| Some(seen) == file(place))
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

    /// systemd starts servers in a mount namespace, in which the data is where it is; a verification's server has another directory there.
    #[test]
    fn a_namespace_hides_no_user_but_one_of_another_directory() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap();
        let [own, other] = ["own", "other"].map(|name| place.join(name));
        for (covered, found) in [(false, true), (true, false)] {
            for path in [&own, &other] {
                std::fs::create_dir_all(path).unwrap();
            }
            let cover = if covered { "mount --bind \"$2\" \"$1\"; " } else { "" };
            let script = format!("{cover}exec 9>\"$1/f\"; echo; exec sleep 60 >&-");
            let mut child = std::process::Command::new("unshare")
                .args(["--mount", "sh", "-ec", &script, "sh"])
                .args([&own, &other])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
            let user = user_of(&own).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(user.is_some(), found, "{user:?}");
        }
    }

    #[test]
    fn a_place_in_a_servers_datadir_is_in_use() {
        let datadir = tempfile::tempdir().unwrap();
        let new = datadir.path().join("new/data");
        for (file, found) in [("ibdata1", true), ("letter", false)] {
            let mut child = std::process::Command::new("sleep")
                .arg("60")
                .stdin(File::create(datadir.path().join(file)).unwrap())
                .spawn()
                .unwrap();
            let user = user_of(&new).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(user.is_some(), found, "{file}: {user:?}");
        }
    }
}
