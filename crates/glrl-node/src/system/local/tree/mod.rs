//! Files, directories and links below a root, which no path can leave. Everything is done relative to a directory that is held (openat(2)), and
//! the last part of a path is never followed. `resolve` says which links above it are.

mod attributes;
mod change;
mod home;
mod purge;
mod resolve;
mod strays;
mod way;
mod write;

use std::{
    ffi::OsString,
    fs::File,
    hash::{BuildHasher, RandomState},
    io::Read,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{self, OFlag},
    sys::stat::{self, FileStat, Mode as Bits, SFlag},
};

use self::resolve::{look, standing};
use crate::{
    system::{Bytes, Entry, FileType, Identity, temporary::temporary_name},
    value::{Mode, Owner, Size},
};

/// More than this glrl reads of no file: a user's sparse file of terabytes is an error, and no lack of memory.
const LARGEST: u64 = 256 << 20;

/// A root directory.
#[derive(Debug)]
pub(in crate::system) struct Tree {
    /// Absolute.
    root: PathBuf,
    directory: OwnedFd,
    /// The key that names of temporary files are made with, where others may write too.
    key: Option<RandomState>,
    /// Whether a file may have no name while it is written, where the filesystem can do that.
    unnamed: bool,
}

/// Ownership and mode as numbers; what is `None` is taken over from what is there.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::system) struct Numbers {
    pub(in crate::system) mode: Option<Mode>,
    pub(in crate::system) uid: Option<u32>,
    pub(in crate::system) gid: Option<u32>,
}

impl Numbers {
    /// Without what an owner and a group are already.
    fn besides(self, uid: u32, gid: u32) -> Self {
        Self {
            uid: self.uid.filter(|wanted| *wanted != uid),
            gid: self.gid.filter(|wanted| *wanted != gid),
            ..self
        }
    }
}

impl Tree {
    /// Opens a tree in which temporary files are called like what they replace: for glrl's own directories.
    pub(in crate::system) fn open(root: &Path) -> Result<Self> {
        let doing = || {
            format!(
                "opening the tree of files {} (--root wants a directory that is there)",
                root.display()
            )
        };
        // Programs are told of it, and run elsewhere.
        let root = root.canonicalize().with_context(doing)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = fcntl::open(&root, flags, Bits::empty()).with_context(doing)?;
        Ok(Self {
            root,
            directory,
            key: None,
            unnamed: true,
        })
    }

    /// The same for directories of others: nobody can guess what a temporary file is called.
    pub(super) fn shared(root: &Path) -> Result<Self> {
        Ok(Self {
            key: Some(RandomState::new()),
            ..Self::open(root)?
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What a file or link is called while it is not in its place yet; `None` for the root, which has no name.
    pub(in crate::system) fn temporary(&self, path: &Path) -> Option<PathBuf> {
        let name = match &self.key {
            Some(key) => OsString::from(format!(".{:016x}.glrl", key.hash_one(path))),
            None => temporary_name(path.file_name()?),
        };
        path.file_name().map(|_| path.with_file_name(name))
    }

    /// What a path of the tree, itself without links, is called outside of it.
    pub(super) fn outside(&self, path: &Path) -> Result<PathBuf> {
        let root = (self.root.canonicalize()).with_context(|| format!("looking for {}", self.root.display()))?;
        Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
    }

    /// What stands at the path itself.
    pub(super) fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        let Some((parent, name)) = self.parent_if_any(path)? else {
            return Ok(None);
        };
        let looking = || format!("looking at {}", path.display());
        let Some(stat) = look(&parent, name).with_context(looking)? else {
            return Ok(None);
        };
        let file_type = match type_of(&stat) {
            SFlag::S_IFREG => FileType::File {
                size: stat.st_size.unsigned_abs(),
            },
            SFlag::S_IFDIR => FileType::Directory,
            SFlag::S_IFLNK => FileType::Link {
                target: fcntl::readlinkat(&parent, name)
                    .with_context(|| format!("reading the link {}", path.display()))?
                    .into(),
            },
            _ => FileType::Other,
        };
        Ok(Some(Entry {
            file_type,
            mode: Mode::of(stat.st_mode),
            owner: Owner::Id(stat.st_uid),
            group: Owner::Id(stat.st_gid),
        }))
    }

    /// The contents of a regular file; nothing is followed and nothing but a regular file is opened.
    pub(in crate::system) fn contents(&self, path: &Path) -> Result<Option<Bytes>> {
        self.read(path, false)
    }

    /// The same of a file that is to be replaced by an edited copy: see `Probe::editable`.
    pub(super) fn editable(&self, path: &Path) -> Result<Option<Bytes>> {
        self.read(path, true)
    }

    fn read(&self, path: &Path, copied: bool) -> Result<Option<Bytes>> {
        let Some((parent, name)) = self.parent_if_any(path)? else {
            return Ok(None);
        };
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = match fcntl::openat(&parent, name, flags, Bits::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
            Err(errno) => return Err(errno).with_context(|| format!("opening {}", path.display())),
        };
        let stat = stat::fstat(&file).with_context(|| format!("looking at {}", path.display()))?;
        if type_of(&stat) != SFlag::S_IFREG {
            return Ok(None);
        }
        if copied {
            let holder = stat::fstat(&parent).with_context(|| format!("looking at {}", path.display()))?;
            change::check_owner(path, &standing(&holder), &file, &stat)?;
        }
        let size = stat.st_size.unsigned_abs();
        let too_large = || {
            format!(
                "{} holds {}, and glrl reads no file of more than {}: move it away, or cut it (`truncate`)",
                path.display(),
                Size::bytes(size),
                Size::bytes(LARGEST)
            )
        };
        if size > LARGEST {
            bail!(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        // It may grow while it is read.
        File::from(file)
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("reading {}", path.display()))?;
        if bytes.len() as u64 > LARGEST {
            bail!(too_large());
        }
        Ok(Some(bytes.into()))
    }

    /// Names in a directory, sorted; empty if there is none.
    pub(in crate::system) fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        match self.directory(path)? {
            Some(directory) => names(&directory).with_context(|| format!("reading {}", path.display())),
            None => Ok(Vec::new()),
        }
    }

    /// Whether there is a directory, or a link to one.
    pub(in crate::system) fn has_directory(&self, path: &Path) -> Result<bool> {
        Ok(self.directory(path)?.is_some())
    }

    /// Opens a file of glrl's own, which is made if it is missing; what it is called is not followed.
    pub(in crate::system) fn open_file(&self, path: &Path, flags: OFlag) -> Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = flags | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = fcntl::openat(&parent, name, flags, Bits::S_IRUSR | Bits::S_IWUSR)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(file.into())
    }
}

/// The names in a directory that is held, sorted.
fn names(directory: &OwnedFd) -> nix::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(readable(directory)?)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Opens a directory again that was opened with `O_PATH`, which can be neither read nor synced.
fn readable(directory: impl AsFd) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    fcntl::openat(directory, ".", flags, Bits::empty())
}

/// fsync(2) of a directory.
fn sync(directory: &OwnedFd) -> nix::Result<()> {
    nix::unistd::fsync(&readable(directory)?)
}

fn type_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn identity(stat: &FileStat) -> Identity {
    Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use super::*;

    #[test]
    fn renames_elsewhere_do_not_disturb() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        for name in ["/srv", "/srv/real", "/srv/real/below", "/var"] {
            tree.make_directory(Path::new(name), &Numbers::default()).unwrap();
        }
        nix::unistd::symlinkat("../srv/real", &tree.directory, "var/www").unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        let (one, other) = (elsewhere.path(), elsewhere.path().with_extension("other"));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    fcntl::renameat(fcntl::AT_FDCWD, one, fcntl::AT_FDCWD, &other).unwrap();
                    fcntl::renameat(fcntl::AT_FDCWD, &other, fcntl::AT_FDCWD, one).unwrap();
                }
            });
            let read = (0..20_000).try_for_each(|_| tree.entry(Path::new("/var/www/below")).map(drop));
            done.store(true, Relaxed);
            read.unwrap();
        });
    }
}
