//! Files, directories and links below a root, which no path can leave: every parent directory is opened with openat2(2) and
//! `RESOLVE_IN_ROOT`, and the last part of a path is never followed.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{self, AtFlags, OFlag, OpenHow, ResolveFlag},
    sys::stat::{self, FileStat, Mode as Bits, SFlag},
    unistd,
};

use crate::{
    system::{Bytes, Entry, FileType, programs::Program, temporary::temporary_name},
    value::{Mode, Owner},
};

/// How often a path is resolved anew when others rename and mount meanwhile (`EAGAIN` of openat2(2)).
const ATTEMPTS: usize = 1000;

/// A root directory.
#[derive(Debug)]
pub(in crate::system) struct Tree {
    /// Absolute.
    root: PathBuf,
    directory: OwnedFd,
}

/// Ownership and mode as numbers; what is `None` is taken over from what is there.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::system) struct Numbers {
    pub(in crate::system) mode: Option<Mode>,
    pub(in crate::system) uid: Option<u32>,
    pub(in crate::system) gid: Option<u32>,
}

impl Tree {
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
        Ok(Self { root, directory })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
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
        let stat = match stat::fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(errno).with_context(|| format!("looking at {}", path.display())),
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
        let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0) + 1);
        File::from(file)
            .read_to_end(&mut bytes)
            .with_context(|| format!("reading {}", path.display()))?;
        Ok(Some(bytes.into()))
    }

    /// Names in a directory, sorted; empty if there is none.
    pub(in crate::system) fn list(&self, path: &Path) -> Result<Vec<String>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let directory = match self.resolve(path, flags) {
            Ok(directory) => directory,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno).with_context(|| format!("opening {}", path.display())),
        };
        let mut names = Vec::new();
        for entry in nix::dir::Dir::from_fd(directory)
            .with_context(|| format!("reading {}", path.display()))?
            .iter()
        {
            let entry = entry.with_context(|| format!("reading {}", path.display()))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(
                    name.to_str()
                        .with_context(|| format!("{} holds a name that is not UTF-8", path.display()))?
                        .to_owned(),
                );
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Puts a regular file in place, atomically and durably.
    pub(in crate::system) fn write(
        &self,
        path: &Path,
        contents: &[u8],
        numbers: &Numbers,
        validate: Option<&[String]>,
    ) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let before = match stat::fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if type_of(&stat) == SFlag::S_IFREG => Some(stat),
            Ok(_) => bail!("{} is not a regular file", path.display()),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno).with_context(|| format!("looking at {}", path.display())),
        };
        let temporary = temporary_name(name);
        let doing = || format!("writing {}", path.display());
        make_room(&parent, path, &temporary).with_context(doing)?;
        let result = (|| {
            // Nobody else may read it before its mode and owner are set.
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mut file = File::from(fcntl::openat(
                &parent,
                temporary.as_os_str(),
                flags,
                Bits::S_IRUSR | Bits::S_IWUSR,
            )?);
            file.write_all(contents)?;
            let mode = numbers
                .mode
                .unwrap_or_else(|| before.as_ref().map_or(Mode::FILE, |stat| Mode::of(stat.st_mode)));
            let uid = numbers.uid.or(before.as_ref().map(|stat| stat.st_uid));
            let gid = numbers.gid.or(before.as_ref().map(|stat| stat.st_gid));
            set_numbers(&file, Some(mode), uid, gid)?;
            file.sync_all()?;
            if let Some(program) = validate {
                self.validate(program, path, name, &temporary)?;
            }
            fcntl::renameat(&parent, temporary.as_os_str(), &parent, name)?;
            Ok::<(), anyhow::Error>(())
        })();
        if let Err(error) = result {
            let _ = remove_if_any(&parent, &temporary);
            return Err(error).with_context(doing);
        }
        sync(&parent).with_context(doing)
    }

    /// Runs the program that has to agree to a candidate; `{}` in its arguments is the candidate's path.
    fn validate(&self, program: &[String], path: &Path, name: &OsStr, temporary: &OsStr) -> Result<()> {
        let [program, args @ ..] = program else {
            bail!("the program that validates {} is empty", path.display())
        };
        let inside = path.with_file_name(temporary);
        let candidate = self.root.join(inside.strip_prefix("/").unwrap_or(&inside));
        let args = args.iter().map(|arg| arg.replace("{}", &candidate.to_string_lossy()));
        Program::new(program.as_str()).args(args).stdout().with_context(|| {
            format!(
                "{} was not replaced: its new contents are not valid",
                name.to_string_lossy()
            )
        })?;
        Ok(())
    }

    pub(super) fn make_directory(&self, path: &Path, numbers: &Numbers) -> Result<()> {
        let (parent, directory) = self.mkdir(path, numbers)?;
        let doing = || format!("making the directory {}", path.display());
        unistd::fsync(&directory).with_context(doing)?;
        sync(&parent).with_context(doing)
    }

    /// The same for what nobody will miss after a power cut.
    pub(in crate::system) fn make_passing_directory(&self, path: &Path, mode: Mode) -> Result<()> {
        let numbers = Numbers {
            mode: Some(mode),
            ..Numbers::default()
        };
        self.mkdir(path, &numbers).map(drop)
    }

    /// Makes a directory and opens it and its parent.
    fn mkdir(&self, path: &Path, numbers: &Numbers) -> Result<(OwnedFd, OwnedFd)> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("making the directory {}", path.display());
        stat::mkdirat(&parent, name, Bits::S_IRWXU).with_context(doing)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = fcntl::openat(&parent, name, flags, Bits::empty()).with_context(doing)?;
        set_numbers(
            &directory,
            Some(numbers.mode.unwrap_or(Mode::DIRECTORY)),
            numbers.uid,
            numbers.gid,
        )
        .with_context(doing)?;
        Ok((parent, directory))
    }

    /// Whether there is a directory, or a link to one.
    pub(in crate::system) fn has_directory(&self, path: &Path) -> Result<bool> {
        match self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(errno) => Err(errno).with_context(|| format!("opening {}", path.display())),
        }
    }

    /// Makes a directory with this mode, if it is missing, and those above it, as everybody may use them.
    pub(in crate::system) fn make_directories(&self, path: &Path, mode: Mode) -> Result<()> {
        let mut missing = Vec::new();
        for ancestor in path.ancestors() {
            if self.has_directory(ancestor)? {
                break;
            }
            missing.push(ancestor);
        }
        for directory in missing.into_iter().rev() {
            if self.entry(directory)?.is_some() {
                bail!(
                    "{} is in the way, and is no directory: move it away",
                    directory.display()
                );
            }
            let numbers = Numbers {
                mode: (directory == path).then_some(mode),
                ..Numbers::default()
            };
            match self.make_directory(directory, &numbers) {
                Err(error) if error.downcast_ref() == Some(&Errno::EEXIST) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Opens a file of glrl's own, which is made if it is missing; what it is called is not followed.
    pub(in crate::system) fn open_file(&self, path: &Path, flags: OFlag) -> Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags = flags | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = fcntl::openat(&parent, name, flags, Bits::S_IRUSR | Bits::S_IWUSR)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(file.into())
    }

    /// Makes a symbolic link, or replaces one.
    pub(super) fn make_link(&self, path: &Path, target: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("making the link {}", path.display());
        let temporary = temporary_name(name);
        make_room(&parent, path, &temporary).with_context(doing)?;
        unistd::symlinkat(target, &parent, temporary.as_os_str()).with_context(doing)?;
        if let Err(errno) = fcntl::renameat(&parent, temporary.as_os_str(), &parent, name) {
            let _ = remove_if_any(&parent, &temporary);
            return Err(errno).with_context(doing);
        }
        sync(&parent).with_context(doing)
    }

    /// Sets ownership and mode of a file or directory.
    pub(super) fn set_meta(&self, path: &Path, numbers: &Numbers) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("setting owner and mode of {}", path.display());
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = fcntl::openat(&parent, name, flags, Bits::empty()).with_context(doing)?;
        // chown(2) takes the setuid bits from a program; who does not speak of the mode wants it kept.
        let mode = match numbers.mode {
            Some(mode) => mode,
            None => Mode::of(stat::fstat(&file).with_context(doing)?.st_mode),
        };
        set_numbers(&file, Some(mode), numbers.uid, numbers.gid).with_context(doing)?;
        unistd::fsync(&file).with_context(doing)
    }

    /// Removes a file, a link, or an empty directory.
    pub(in crate::system) fn remove(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("removing {}", path.display());
        match unistd::unlinkat(&parent, name, unistd::UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => {
                unistd::unlinkat(&parent, name, unistd::UnlinkatFlags::RemoveDir).with_context(doing)?;
            }
            result => result.with_context(doing)?,
        }
        sync(&parent).with_context(doing)
    }

    /// Removes a directory and the files in it. Nothing is synced: what comes back after a power cut can be removed again.
    pub(in crate::system) fn discard_directory(&self, path: &Path) -> Result<()> {
        let doing = || format!("removing {}", path.display());
        let directory = self
            .resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .with_context(doing)?;
        for name in self.list(path)? {
            unistd::unlinkat(&directory, name.as_str(), unistd::UnlinkatFlags::NoRemoveDir).with_context(doing)?;
        }
        let (parent, name) = self.parent(path)?;
        unistd::unlinkat(&parent, name, unistd::UnlinkatFlags::RemoveDir).with_context(doing)
    }

    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        self.parent_if_any(path)?.with_context(|| {
            let parent = path.parent().unwrap_or(path);
            format!(
                "there is no directory {}: declare it, or need what brings it",
                parent.display()
            )
        })
    }

    /// The directory that holds the path, opened, and the path's last part; `None` where that directory is missing.
    fn parent_if_any<'p>(&self, path: &'p Path) -> Result<Option<(OwnedFd, &'p OsStr)>> {
        // The root itself is the entry "." of itself.
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => (path, OsStr::new(".")),
        };
        match self.resolve(parent, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(directory) => Ok(Some((directory, name))),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(errno) => Err(errno).with_context(|| format!("opening {}", parent.display())),
        }
    }

    /// Opens a path as if the root were `/`.
    fn resolve(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        // "..", be it in a link, may not be followed while anything is renamed or mounted anywhere: the caller is to try again.
        for _ in 0..ATTEMPTS {
            match fcntl::openat2(&self.directory, path, how) {
                Err(Errno::EAGAIN) => std::thread::yield_now(),
                result => return result,
            }
        }
        Err(Errno::EAGAIN)
    }
}

fn remove_if_any(parent: &OwnedFd, name: &OsStr) -> nix::Result<()> {
    match unistd::unlinkat(parent, name, unistd::UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes room for the temporary file that is to become `path`, where a killed run may have left one.
fn make_room(parent: &OwnedFd, path: &Path, temporary: &OsStr) -> Result<()> {
    match remove_if_any(parent, temporary) {
        Err(Errno::EISDIR) => bail!(
            "{} is in the way, and is a directory: move it away",
            path.with_file_name(temporary).display()
        ),
        result => Ok(result?),
    }
}

/// Owner before mode: chown(2) drops the setuid bits.
fn set_numbers(file: &impl AsFd, mode: Option<Mode>, uid: Option<u32>, gid: Option<u32>) -> nix::Result<()> {
    let file = file.as_fd();
    if uid.is_some() || gid.is_some() {
        unistd::fchown(file, uid.map(unistd::Uid::from_raw), gid.map(unistd::Gid::from_raw))?;
    }
    match mode {
        Some(mode) => stat::fchmod(file, Bits::from_bits_truncate(mode.bits())),
        None => Ok(()),
    }
}

/// fsync(2) of a directory that was opened with `O_PATH`, which cannot be synced itself.
fn sync(directory: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = fcntl::openat(directory, ".", flags, Bits::empty())?;
    unistd::fsync(&directory)
}

fn type_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
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
        unistd::symlinkat("../srv/real", &tree.directory, "var/www").unwrap();
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
