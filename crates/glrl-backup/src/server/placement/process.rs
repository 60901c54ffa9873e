//! What the server's own process sees and has open. A unit file (`BindPaths=`), a container or a chroot gives it other mounts than glrl has, and
//! a file that it has open is where it is, whatever paths say.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow, bail};
use nix::{
    libc::{O_ACCMODE, O_APPEND, O_RDONLY},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
};

/// A server's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerProcess {
    pub(crate) pid: i32,
}

/// Whether a program of this name is a server.
const PROGRAMS: [&str; 3] = ["mariadbd", "mysqld", "mysqld-debug"];

/// What data files end in. They count even where they are open for reading only, as packed tables of `MyISAM` are.
const DATA: [&str; 14] = [
    "ibd", "ibu", "frm", "MYD", "MYI", "MAD", "MAI", "CSV", "CSM", "ARZ", "sst", "tokudb", "mrn", "cdf",
];

impl ServerProcess {
    /// The process that answers at this socket, or that the file with its number names: systemd may have made the socket.
    pub(crate) fn find(datadir: &Path, socket: &Path, pid_file: Option<&Path>) -> Anyhow<Self> {
        let peer = UnixStream::connect(socket)
            .and_then(|stream| Ok(getsockopt(&stream, PeerCredentials)?.pid()))
            .with_context(|| format!("asking who listens at {}", socket.display()))?;
        let named = pid_file.and_then(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
        let candidates = [Some(peer), named].into_iter().flatten().filter(|pid| *pid > 0);
        for process in candidates.map(|pid| Self { pid }) {
            if process.is_server(datadir)? {
                return Ok(process);
            }
        }
        bail!(
            "process {peer}, which listens at {}, is no server of this node",
            socket.display()
        );
    }

    /// Whether it is a server: it has its datadir as its working directory, or is called like one. A program may be started by another one (`ld.so`).
    fn is_server(self, datadir: &Path) -> Anyhow<bool> {
        let doing = || format!("looking at process {}", self.pid);
        let which = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let cwd = fs::metadata(self.path("cwd")).with_context(doing)?;
        if fs::metadata(datadir).is_ok_and(|datadir| which(datadir) == which(cwd)) {
            return Ok(true);
        }
        let line = fs::read(self.path("cmdline")).with_context(doing)?;
        let words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let names = words.map(|word| word.rsplit('/').next().unwrap_or_default().to_owned());
        Ok(names.into_iter().any(|name| PROGRAMS.contains(&&*name)))
    }

    /// A path of it in `/proc`.
    pub(crate) fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// Whether it sees the same files as this process by the same paths.
    pub(crate) fn shares_our_view(self) -> bool {
        let namespace = |path: PathBuf| fs::read_link(path).ok();
        let root = |path: PathBuf| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        namespace(self.path("ns/mnt")) == namespace("/proc/self/ns/mnt".into())
            && root(self.path("root")) == root("/proc/self/root".into())
    }

    /// Data files that it has open and that are not held by the volume, by its own paths. `left_out`: what is no data of a database: logs
    /// for people, temporary files.
    pub(crate) fn open_outside(
        self,
        left_out: &dyn Fn(&Path) -> bool,
        holds: &dyn Fn(&Path) -> bool,
    ) -> Anyhow<Vec<PathBuf>> {
        let doing = || format!("looking at what process {} has open", self.pid);
        let mut outside = Vec::new();
        for entry in fs::read_dir(self.path("fd")).with_context(doing)? {
            let entry = entry.with_context(doing)?;
            // It may be closed by now.
            let (Ok(path), Ok(meta)) = (fs::read_link(entry.path()), fs::metadata(entry.path())) else {
                continue;
            };
            let number = entry.file_name().to_string_lossy().into_owned();
            let streams = ["0", "1", "2"].contains(&number.as_str());
            if streams || !meta.is_file() || meta.nlink() == 0 || left_out(&path) {
                continue;
            }
            if self.is_data(&path, &number) && !holds(&entry.path()) {
                outside.push(path);
            }
        }
        outside.sort_unstable();
        outside.dedup();
        Ok(outside)
    }

    /// Whether an open file may be a part of the database: what is written anywhere in it, and what is called like a table's.
    fn is_data(self, path: &Path, number: &str) -> bool {
        let extension = path.extension().unwrap_or_default();
        if DATA.iter().any(|data| extension == *data) {
            return true;
        }
        let info = fs::read_to_string(self.path("fdinfo").join(number)).unwrap_or_default();
        let flags = info
            .lines()
            .find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        // Logs for people are only ever appended to.
        flags.is_some_and(|flags| flags & O_ACCMODE != O_RDONLY && flags & O_APPEND == 0)
    }
}
