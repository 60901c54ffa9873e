//! Reading the archive, which may be damaged or hostile. Nothing is written that the list of files does not name, at the place and
//! of the size it says; nothing leaves the directory; links are made last, so that nothing is written through one. Source of the
//! dangers: CWE-22, CWE-59; tar's own documentation on security.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use tar::EntryType;

use crate::{
    model::error::Result,
    store::{
        archive::{
            CHUNK,
            attributes::{Attributes, Owners},
        },
        files::List,
    },
    volume::links::stays,
};

/// What came of reading an archive to its end, or to where it cannot be read any further.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files with the contents that the list says.
    pub(crate) intact: u64,
    /// What is wrong, one sentence each; empty if nothing is.
    pub(crate) wrong: Vec<String>,
    /// What the volume's root directory had.
    pub(crate) root: Option<Attributes>,
    /// What it takes to give it to somebody.
    pub(crate) owners: Option<Owners>,
    /// What of the files could not be as it was.
    pub(crate) warnings: Vec<String>,
}

impl Found {
    /// Of an archive that cannot be read at all.
    pub(crate) fn nothing(why: String) -> Self {
        Self {
            wrong: vec![why],
            ..Self::default()
        }
    }
}

/// What is told after each chunk: files, their bytes. An error from it ends the unpacking.
type Progress<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// Why an entry is not taken.
enum Bad {
    /// Its bytes are not what the list says; the next entry may be.
    Differs(String),
    /// The archive is not one that glrl wrote, or cannot be read any further.
    End(String),
    /// It could not be written here, which says nothing about the archive.
    Here(anyhow::Error),
}

/// Unpacks an archive (the decompressed stream) below `into`, an existing empty directory; with `None` it is only read. Absolute links mean places in a volume mounted at `mount_point`.
/// What is wrong with the archive is an answer; an error is what went wrong here.
pub(crate) fn unpack(
    from: impl Read,
    list: &List,
    into: Option<(&Path, Owners)>,
    mount_point: &Path,
    progress: &mut Progress<'_>,
) -> Result<Found> {
    let mut found = Found::default();
    let (into, owners) = into.unzip();
    let mut unpacker = Unpacker {
        list,
        into,
        mount_point,
        seen: BTreeSet::new(),
        directories: BTreeSet::from([PathBuf::new()]),
        attributes: Vec::new(),
        links: Vec::new(),
        buffer: vec![0; CHUNK],
        bytes: 0,
        progress,
    };
    let mut archive = tar::Archive::new(from);
    let entries = archive.entries().map_err(anyhow::Error::from)?;
    let mut ended = false;
    for entry in entries {
        let taken = match entry {
            Ok(mut entry) => unpacker.entry(&mut entry)?,
            Err(error) => Err(Bad::End(format!("the archive cannot be read any further: {error}"))),
        };
        match taken {
            Ok(files) => found.intact += files,
            Err(Bad::Differs(what)) => found.wrong.push(what),
            Err(Bad::End(what)) => {
                found.wrong.push(what);
                ended = true;
                break;
            }
            Err(Bad::Here(error)) => return Err(error.into()),
        }
    }
    if !ended {
        let missing: Vec<&str> = list
            .keys()
            .filter(|path| !unpacker.seen.contains(*path))
            .map(String::as_str)
            .collect();
        if let Some(first) = missing.first() {
            found.wrong.push(format!(
                "{} files are missing from the archive, among them {first}",
                missing.len()
            ));
        }
        let given = unpacker.make_links().and_then(|()| unpacker.give(owners, &mut found));
        if let Err(Bad::Here(error)) = given {
            return Err(error.into());
        }
    }
    Ok(found)
}

struct Unpacker<'a> {
    list: &'a List,
    into: Option<&'a Path>,
    mount_point: &'a Path,
    seen: BTreeSet<String>,
    directories: BTreeSet<PathBuf>,
    /// What each has, by its path, and whether it is a link: given when all is there.
    attributes: Vec<(PathBuf, bool, Attributes)>,
    links: Vec<(PathBuf, PathBuf)>,
    buffer: Vec<u8>,
    bytes: u64,
    progress: &'a mut Progress<'a>,
}

impl Unpacker<'_> {
    /// Takes one entry. Returns how many files that were: one or none.
    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<Result<u64, Bad>> {
        let end = |what: String| Ok(Err(Bad::End(what)));
        let name = match entry.path() {
            Ok(name) => name.into_owned(),
            Err(error) => return end(format!("an entry of the archive has no readable name: {error}")),
        };
        let Some(path) = inside(&name) else {
            return end(format!(
                "the archive would leave its directory: it names {}",
                name.display()
            ));
        };
        let shown = path.display().to_string();
        let header = entry.header();
        let mode = header.mode().unwrap_or(0o7777);
        if mode & 0o6000 != 0 {
            return end(format!("the archive holds a setuid or setgid file, {shown}"));
        }
        let kind = header.entry_type();
        let taken = (kind != EntryType::Directory && self.directories.contains(&path)) || self.seen.contains(&shown);
        if taken || self.links.iter().any(|(link, _)| *link == path) {
            return end(format!("the archive holds {shown} twice"));
        }
        if kind != EntryType::Directory && !self.directories.contains(path.parent().unwrap_or(Path::new(""))) {
            return end(format!("the archive names {shown} below what is no directory"));
        }
        if self.into.is_some() {
            let attributes = Attributes::of(entry);
            self.attributes
                .push((path.clone(), kind == EntryType::Symlink, attributes));
        }
        match kind {
            EntryType::Directory => Ok(self.directory(&path).map(|()| 0)),
            EntryType::Regular | EntryType::GNUSparse => self.file(entry, &path),
            EntryType::Symlink => {
                let target = entry.link_name().ok().flatten().unwrap_or_default().into_owned();
                if !stays(&path, &target, self.mount_point) {
                    return end(format!(
                        "the archive holds a link that leaves it: {shown} to {}",
                        target.display()
                    ));
                }
                self.links.push((path, target));
                Ok(Ok(0))
            }
            other => end(format!(
                "the archive holds {shown}, which is neither file, directory nor link but {other:?}"
            )),
        }
    }

    fn directory(&mut self, path: &Path) -> Result<(), Bad> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if !self.directories.contains(parent) {
            return Err(Bad::End(format!(
                "the archive names {} below what is no directory",
                path.display()
            )));
        }
        if !self.directories.insert(path.to_owned()) {
            return Ok(());
        }
        let Some(root) = self.into else { return Ok(()) };
        let at = root.join(path);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&at)
            .map_err(|error| here(&at, error))
    }

    fn file(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path) -> Result<Result<u64, Bad>> {
        let shown = path.display().to_string();
        let end = |what: String| Ok(Err(Bad::End(what)));
        let Some(expected) = self.list.get(&shown) else {
            return end(format!("the archive holds {shown}, which the list of files does not"));
        };
        self.seen.insert(shown.clone());
        if entry.size() != expected.size {
            return end(format!(
                "{shown} has {} bytes in the archive, {} in the list of files",
                entry.size(),
                expected.size
            ));
        }
        let mut output = match self.into.map(|root| Output::create(&root.join(path))).transpose() {
            Ok(output) => output,
            Err(error) => return Ok(Err(error)),
        };
        let mut hash = blake3::Hasher::new();
        loop {
            let read = match entry.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return end(format!("the archive cannot be read any further, in {shown}: {error}")),
            };
            hash.update(&self.buffer[..read]);
            if let Some(output) = &mut output
                && let Err(error) = output.write(&self.buffer[..read])
            {
                return Ok(Err(error));
            }
            self.bytes += read as u64;
            (self.progress)(self.seen.len() as u64, self.bytes)?;
        }
        if let Some(output) = output
            && let Err(error) = output.finish(expected.size)
        {
            return Ok(Err(error));
        }
        if hash.finalize().to_string() != expected.blake3 {
            return Ok(Err(Bad::Differs(format!(
                "{shown} is not what was archived: its hash differs"
            ))));
        }
        Ok(Ok(1))
    }

    fn make_links(&self) -> Result<(), Bad> {
        let Some(root) = self.into else { return Ok(()) };
        for (path, target) in &self.links {
            let at = root.join(path);
            std::os::unix::fs::symlink(target, &at).map_err(|error| here(&at, error))?;
        }
        Ok(())
    }

    /// Gives everything its owner, mode and attributes; but the root directory, which is not handed over before all is done.
    fn give(&self, owners: Option<Owners>, found: &mut Found) -> Result<(), Bad> {
        let (Some(root), Some(mut owners)) = (self.into, owners) else {
            return Ok(());
        };
        owners.learn(&self.attributes);
        let mut unset = Vec::new();
        // The deepest first: a directory may be closed to who is not root.
        for (path, is_link, attributes) in self.attributes.iter().rev() {
            if path.as_os_str().is_empty() {
                found.root = Some(attributes.clone());
                continue;
            }
            let at = root.join(path);
            unset.extend(
                attributes
                    .give(&at, *is_link, &owners)
                    .map_err(|error| here(&at, error))?,
            );
        }
        if let Some(first) = unset.first() {
            let more = unset.len() - 1;
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            found
                .warnings
                .push(format!("not all attributes could be set: {first}{more}"));
        }
        found.warnings.extend(owners.warning(&self.attributes));
        found.owners = Some(owners);
        Ok(())
    }
}

/// A file being written, holes where there is nothing but zeros.
struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    fn create(path: &Path) -> Result<Self, Bad> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| here(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let written = if bytes.iter().all(|byte| *byte == 0) {
            let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            self.file.seek(SeekFrom::Current(length)).map(drop)
        } else {
            self.file.write_all(bytes)
        };
        written.map_err(|error| here(&self.path, error))
    }

    fn finish(self, size: u64) -> Result<(), Bad> {
        self.file.set_len(size).map_err(|error| here(&self.path, error))
    }
}

fn here(path: &Path, error: io::Error) -> Bad {
    Bad::Here(anyhow::Error::from(error).context(format!("unpacking {}", path.display())))
}

/// A relative path without `..`, or `None`. `./a` is `a`.
fn inside(path: &Path) -> Option<PathBuf> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, Header};

    use crate::{model::owner::Owner, store::files::Entry};

    fn stays_in(path: &str, target: &str) -> bool {
        stays(Path::new(path), Path::new(target), Path::new("/var/lib/mysql"))
    }

    #[test]
    fn only_links_that_stay_are_taken() {
        for (path, target) in [
            ("a", "b"),
            ("d/a", "../b"),
            ("d/e/a", "../../b/c"),
            ("a", "./b"),
            ("a", "/var/lib/mysql/b"),
        ] {
            assert!(stays_in(path, target), "{path} {target}");
        }
        for (path, target) in [
            ("a", ".."),
            ("a", "/etc"),
            ("d/a", "../../b"),
            ("a", "b/../.."),
            ("d/a", "x/../y"),
            ("a", ""),
            ("a", "/var/lib/mysql/../x"),
            ("a", "/var/lib/mysqlx"),
        ] {
            assert!(!stays_in(path, target), "{path} {target}");
        }
    }

    /// An entry, its name written as it is: tar's own writer refuses what an attacker would not.
    fn entry(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, target: &str, mode: u32, contents: &[u8]) {
        let mut header = Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents).unwrap();
    }

    fn listed(files: &[(&str, &[u8])]) -> List {
        files
            .iter()
            .map(|(path, contents)| {
                let entry = Entry {
                    path: (*path).to_owned(),
                    size: contents.len() as u64,
                    blake3: blake3::hash(contents).to_string(),
                };
                ((*path).to_owned(), entry)
            })
            .collect()
    }

    /// What unpacking says about an archive, and what it has made.
    fn unpacked(archive: &[u8], list: &List) -> (Found, tempfile::TempDir) {
        let outer = tempfile::tempdir().unwrap();
        let into = outer.path().join("into");
        fs::create_dir(&into).unwrap();
        let owner = Owner {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
        };
        let found = unpack(
            archive,
            list,
            Some((&into, Owners::new(owner, None, Path::new("")))),
            Path::new("/var/lib/mysql"),
            &mut |_, _| Ok(()),
        )
        .unwrap();
        (found, outer)
    }

    #[test]
    fn hostile_entries_end_the_unpacking() {
        use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
        let list = listed(&[
            ("good", b"x"),
            ("evil", b"x"),
            ("link/evil", b"x"),
            ("../evil", b"x"),
            ("/tmp/evil", b"x"),
        ]);
        for (name, kind, target, mode, said) in [
            ("/tmp/evil", Regular, "", 0o600, "would leave its directory"),
            ("../evil", Regular, "", 0o600, "would leave its directory"),
            ("d/../../evil", Regular, "", 0o600, "would leave its directory"),
            ("evil", Regular, "", 0o4755, "setuid"),
            ("evil", Symlink, "/etc/passwd", 0o777, "a link that leaves it"),
            ("evil", Symlink, "../outside", 0o777, "a link that leaves it"),
            ("evil", Link, "good", 0o600, "neither file, directory nor link"),
            ("evil", Char, "", 0o600, "neither file, directory nor link"),
            ("evil", Block, "", 0o600, "neither file, directory nor link"),
            ("evil", Fifo, "", 0o600, "neither file, directory nor link"),
            ("nowhere/evil", Regular, "", 0o600, "below what is no directory"),
            ("unlisted", Regular, "", 0o600, "which the list of files does not"),
            ("good", Regular, "", 0o600, "twice"),
            ("good", Directory, "", 0o700, "twice"),
            ("good", Symlink, "evil", 0o777, "twice"),
        ] {
            let mut builder = Builder::new(Vec::new());
            entry(&mut builder, "good", Regular, "", 0o600, b"x");
            entry(
                &mut builder,
                name,
                kind,
                target,
                mode,
                if kind == Regular { b"x" } else { b"" },
            );
            let (found, outer) = unpacked(&builder.into_inner().unwrap(), &list);
            assert!(
                found.wrong.iter().any(|what| what.contains(said)),
                "{name} {kind:?}: {found:?}"
            );
            // The good file, and nothing else, nowhere.
            let names: Vec<_> = fs::read_dir(outer.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, ["into"], "{name} {kind:?}");
            let names: Vec<_> = fs::read_dir(outer.path().join("into"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, ["good"], "{name} {kind:?}");
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let mut builder = Builder::new(Vec::new());
        entry(&mut builder, "d", EntryType::Directory, "", 0o700, b"");
        entry(&mut builder, "link", EntryType::Symlink, "d", 0o777, b"");
        entry(&mut builder, "link/evil", EntryType::Regular, "", 0o600, b"x");
        let (found, outer) = unpacked(&builder.into_inner().unwrap(), &listed(&[("link/evil", b"x")]));
        assert!(found.wrong[0].contains("below what is no directory"), "{found:?}");
        assert!(!outer.path().join("into/d/evil").exists());
    }

    #[test]
    fn a_file_larger_than_its_list_says_is_not_unpacked() {
        let mut builder = Builder::new(Vec::new());
        entry(&mut builder, "bomb", EntryType::Regular, "", 0o600, &[0; 4096]);
        let (found, outer) = unpacked(&builder.into_inner().unwrap(), &listed(&[("bomb", b"x")]));
        assert!(
            found.wrong[0].contains("has 4096 bytes in the archive, 1 in the list"),
            "{found:?}"
        );
        assert!(!outer.path().join("into/bomb").exists());
    }

    #[test]
    fn a_changed_and_a_missing_file_are_named_and_the_others_taken() {
        let mut builder = Builder::new(Vec::new());
        for (name, contents) in [("a", b"1"), ("b", b"X"), ("c", b"3")] {
            entry(&mut builder, name, EntryType::Regular, "", 0o600, contents);
        }
        let list = listed(&[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]);
        let (found, _outer) = unpacked(&builder.into_inner().unwrap(), &list);
        assert_eq!(found.intact, 2);
        assert!(found.wrong[0].starts_with("b is not what was archived"), "{found:?}");
        assert!(
            found.wrong[1].contains("1 files are missing from the archive, among them d"),
            "{found:?}"
        );
    }
}
