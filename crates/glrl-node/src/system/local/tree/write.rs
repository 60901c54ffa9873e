//! Putting a file or a link in place, atomically and durably. A file has no name before it is whole (`O_TMPFILE`), where the filesystem can
//! do that, and all its rights before it has one.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write},
    os::fd::OwnedFd,
    path::Path,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{self, AT_FDCWD, AtFlags, OFlag},
    sys::{
        stat::{self, FileStat, Mode as Bits, SFlag},
        time::TimeSpec,
    },
    unistd,
};

use super::{
    Numbers, Tree,
    attributes::{Attributes, held},
    change::{open_to_look, set_numbers},
    look, sync, type_of,
};
use crate::{system::programs::Program, value::Mode};

/// A file that is not in its place yet.
struct Candidate<'d> {
    directory: &'d OwnedFd,
    file: File,
    /// What it is called meanwhile.
    temporary: OsString,
    /// Whether it is called so already.
    named: bool,
}

/// The mode of a file that is written and that nobody else may open.
const UNFINISHED: Mode = Mode::of(0o200);
/// While it changes its owner.
const CLOSED: Mode = Mode::of(0);

impl Tree {
    /// Puts a regular file in place. What `numbers` leaves open, and all that it has beside its contents, is taken over from the file that is
    /// replaced.
    pub(in crate::system) fn write(
        &self,
        path: &Path,
        contents: &[u8],
        numbers: &Numbers,
        validate: Option<&[String]>,
    ) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let before = replaced(&parent, name, path)?;
        self.put(path, (&parent, name), before, numbers, validate, |file| {
            Ok(file.write_all(contents)?)
        })
        .with_context(|| format!("writing {}", path.display()))
    }

    /// Puts a copy of a file in its place: what a change of the owner takes from a file, a new one is given before it has a name.
    pub(super) fn renew(
        &self,
        path: &Path,
        place: (&OwnedFd, &OsStr),
        (old, status): (OwnedFd, FileStat),
        numbers: &Numbers,
    ) -> Result<()> {
        let mut contents = File::from(old.try_clone()?);
        self.put(path, place, Some((old, status)), numbers, None, |file| {
            io::copy(&mut contents, file)?;
            let [accessed, modified] = [
                TimeSpec::new(status.st_atime, status.st_atime_nsec),
                TimeSpec::new(status.st_mtime, status.st_mtime_nsec),
            ];
            Ok(stat::futimens(file, &accessed, &modified)?)
        })
    }

    fn put(
        &self,
        path: &Path,
        (parent, name): (&OwnedFd, &OsStr),
        before: Option<(OwnedFd, FileStat)>,
        numbers: &Numbers,
        validate: Option<&[String]>,
        fill: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<()> {
        let mut candidate = self.candidate(parent, path)?;
        let result = (|| {
            fill(&mut candidate.file)?;
            if let Some((old, status)) = &before {
                let attributes = Attributes::of(old)?;
                let mode = numbers.mode.unwrap_or(Mode::of(status.st_mode));
                let (uid, gid) = (numbers.uid.or(Some(status.st_uid)), numbers.gid.or(Some(status.st_gid)));
                attributes.give(&candidate.file)?;
                set_numbers(&candidate.file, UNFINISHED, CLOSED, uid, gid)?;
                attributes.give_rights(&candidate.file, mode)?;
                set_numbers(&candidate.file, CLOSED, mode, None, None)?;
            } else {
                let mode = numbers.mode.unwrap_or(Mode::FILE);
                set_numbers(&candidate.file, UNFINISHED, mode, numbers.uid, numbers.gid)?;
            }
            candidate.file.sync_all()?;
            if let Some(program) = validate {
                candidate.name()?;
                self.validate(program, path, name, &candidate.temporary)?;
            }
            candidate.put(name, before.is_some())
        })();
        if let Err(error) = result {
            candidate.discard();
            return Err(error);
        }
        Ok(sync(parent)?)
    }

    /// Makes an empty file that nobody else can open.
    fn candidate<'d>(&self, directory: &'d OwnedFd, path: &Path) -> Result<Candidate<'d>> {
        let temporary = self.temporary_of(path)?;
        if self.key.is_none() {
            // A killed run has left it.
            remove_if_any(directory, &temporary).with_context(|| in_the_way(path, &temporary))?;
        }
        let mode = Bits::from_bits_truncate(UNFINISHED.bits());
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let (file, named) = match fcntl::openat(directory, ".", flags | OFlag::O_TMPFILE, mode) {
            Ok(file) if self.unnamed && held(&file).exists() => (file, false),
            // NFS and others have none.
            _ => {
                let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
                let file = fcntl::openat(directory, temporary.as_os_str(), flags, mode);
                (file.with_context(|| in_the_way(path, &temporary))?, true)
            }
        };
        Ok(Candidate {
            directory,
            file: file.into(),
            temporary,
            named,
        })
    }

    fn temporary_of(&self, path: &Path) -> Result<OsString> {
        let temporary = self.temporary(path);
        let name = temporary.as_deref().and_then(Path::file_name);
        Ok(name
            .with_context(|| format!("{} is no place for a file", path.display()))?
            .to_owned())
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

    /// Makes a symbolic link, in place of a link or file that is there.
    pub(in crate::system::local) fn make_link(&self, path: &Path, target: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let doing = || format!("making the link {}", path.display());
        if look(&parent, name).with_context(doing)?.is_none() {
            unistd::symlinkat(target, &parent, name).with_context(doing)?;
            return sync(&parent).with_context(doing);
        }
        let temporary = self.temporary_of(path)?;
        if self.key.is_none() {
            remove_if_any(&parent, &temporary).with_context(doing)?;
        }
        unistd::symlinkat(target, &parent, temporary.as_os_str())
            .with_context(|| in_the_way(path, &temporary))
            .with_context(doing)?;
        if let Err(errno) = fcntl::renameat(&parent, temporary.as_os_str(), &parent, name) {
            let _ = remove_if_any(&parent, &temporary);
            return Err(errno).with_context(doing);
        }
        sync(&parent).with_context(doing)
    }
}

/// The regular file that is going to be replaced, held, if there is one.
fn replaced(parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<Option<(OwnedFd, FileStat)>> {
    let looking = || format!("looking at {}", path.display());
    let file = match open_to_look(parent, name) {
        Err(Errno::ENOENT) => return Ok(None),
        file => file.with_context(looking)?,
    };
    let status = stat::fstat(&file).with_context(looking)?;
    if type_of(&status) != SFlag::S_IFREG {
        bail!("{} is not a regular file", path.display());
    }
    Ok(Some((file, status)))
}

impl Candidate<'_> {
    /// Gives it its name for the time being.
    fn name(&mut self) -> Result<()> {
        if !self.named {
            let name = self.temporary.clone();
            self.link(&name)
                .with_context(|| format!("{} is in the way: move it away", name.display()))?;
            self.named = true;
        }
        Ok(())
    }

    /// Puts it in its place: of a file that is to be replaced, or where nothing is.
    fn put(&mut self, name: &OsStr, replaces: bool) -> Result<()> {
        if !replaces && !self.named {
            return match self.link(name) {
                Err(Errno::EEXIST) => bail!("something was put there meanwhile: look at it, and run again"),
                result => Ok(result?),
            };
        }
        self.name()?;
        fcntl::renameat(self.directory, self.temporary.as_os_str(), self.directory, name)?;
        self.named = false;
        Ok(())
    }

    fn link(&self, name: &OsStr) -> nix::Result<()> {
        unistd::linkat(
            AT_FDCWD,
            &held(&self.file),
            self.directory,
            name,
            AtFlags::AT_SYMLINK_FOLLOW,
        )
    }

    /// Takes its name away again. Where that fails it is tried again by the next run, which knows the name.
    fn discard(self) {
        if self.named {
            let _ = remove_if_any(self.directory, &self.temporary);
        }
    }
}

fn in_the_way(path: &Path, temporary: &OsStr) -> String {
    format!(
        "{} cannot be made, or is in the way",
        path.with_file_name(temporary).display()
    )
}

pub(super) fn remove_if_any(parent: &OwnedFd, name: &OsStr) -> nix::Result<()> {
    match unistd::unlinkat(parent, name, unistd::UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn numbers(mode: u32) -> Numbers {
        Numbers {
            mode: Some(Mode::of(mode)),
            ..Numbers::default()
        }
    }

    #[test]
    fn a_file_is_put_in_place_with_and_without_unnamed_files() {
        for unnamed in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let tree = Tree {
                unnamed,
                ..Tree::shared(directory.path()).unwrap()
            };
            let (path, place) = (Path::new("/a"), directory.path().join("a"));
            tree.write(path, b"one", &numbers(0o640), None).unwrap();
            xattr::set(&place, "user.note", b"keep").unwrap();
            tree.write(path, b"two", &Numbers::default(), None).unwrap();
            assert_eq!(&*tree.contents(path).unwrap().unwrap(), b"two");
            assert_eq!(place.metadata().unwrap().mode() & 0o7777, 0o640);
            assert_eq!(xattr::get(&place, "user.note").unwrap().unwrap(), b"keep");
            let refuses = ["false".to_owned(), "{}".to_owned()];
            tree.write(path, b"three", &Numbers::default(), Some(&refuses))
                .unwrap_err();
            tree.make_link(Path::new("/l"), Path::new("a")).unwrap();
            tree.make_link(Path::new("/l"), Path::new("b")).unwrap();
            assert_eq!(tree.list(Path::new("/")).unwrap(), ["a", "l"], "unnamed: {unnamed}");
            assert_eq!(&*tree.contents(path).unwrap().unwrap(), b"two");
        }
    }

    #[test]
    fn nobody_can_guess_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let names: std::collections::HashSet<_> = (0..100)
            .map(|_| Tree::shared(directory.path()).unwrap().temporary(Path::new("/a")))
            .collect();
        assert_eq!(names.len(), 100);
    }
}
