//! The files of a backup, or of an archived binary log, while they are written: all of them get their names, or none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    model::{
        error::{Error, Kind, OfKind, Result},
        layout::MANIFEST,
    },
    store::{
        behind::Behind,
        catalogue,
        partial::{Writer, is_of},
        target::{names, rename, sync},
        writer,
    },
};

/// A backup, or an archived binary log, being written: several files with names that begin alike. Unless it is committed, dropping it removes
/// all of it.
pub(crate) struct Draft {
    directory: PathBuf,
    stem: String,
    writer: Writer,
    written: Vec<&'static str>,
    /// How many of them have their names.
    named: usize,
    committed: bool,
}

impl Draft {
    pub(crate) fn new(directory: &Path, stem: &str, writer: &Writer) -> Result<Self> {
        // Of two machines that take one name, one goes on.
        if let Some(name) = names(directory)?.iter().find(|name| is_of(name, stem)) {
            free_to_use(&directory.join(name))?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            stem: stem.to_owned(),
            writer: writer.clone(),
            written: Vec::new(),
            named: 0,
            committed: false,
        })
    }

    /// Writes one of the files under its partial name, to the disk.
    pub(crate) fn write<T>(&mut self, suffix: &'static str, fill: impl FnOnce(&mut Behind) -> Result<T>) -> Result<T> {
        let partial = self.partial(suffix);
        free_to_use(&partial)?;
        self.written.push(suffix);
        writer::write(&partial, fill)
    }

    /// Gives all files their names, in the order in which they were written: the manifest, or the record, last. What has such a name by now is another
    /// machine's, which must not be overwritten.
    pub(crate) fn commit(mut self) -> Result<()> {
        for suffix in &self.written {
            if *suffix == MANIFEST {
                sync(&self.directory)?;
            }
            let path = self.path(suffix);
            free_to_use(&path)?;
            self.check_there(suffix)?;
            self.named += 1;
            rename(&self.partial(suffix), &path).of_kind(Kind::Target)?;
        }
        self.committed = true;
        sync(&self.directory)
    }

    fn partial(&self, suffix: &str) -> PathBuf {
        self.directory
            .join(self.writer.partial(&format!("{}{suffix}", self.stem)))
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}{suffix}", self.stem))
    }

    /// Refuses where what was written is not there any more, and says who may have removed it: a version before this one removes what others
    /// write, and this one does not.
    fn check_there(&self, suffix: &str) -> Result<()> {
        let path = self.partial(suffix);
        if path.exists() {
            return Ok(());
        }
        let id = self.stem.parse().ok();
        let others = id.map_or_else(Vec::new, |id| catalogue::others_at_work(&self.directory, &id));
        let who = if others.is_empty() {
            "by hand, or by an earlier version of glrl on another machine with the same instance".to_owned()
        } else {
            format!("probably by the run of {} under the same instance", others.join(", "))
        };
        Err(Error::new(
            Kind::Target,
            format!("{} was removed while this run wrote it, {who}", path.display()),
        ))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // The manifest's partial goes last: with it, the next run knows the others for this one's.
        for (index, suffix) in self.written.iter().enumerate() {
            if index < self.named {
                let _ = fs::remove_file(self.path(suffix));
            }
            let _ = fs::remove_file(self.partial(suffix));
        }
    }
}

/// Refuses a name that is taken: by another machine, as this one makes one backup at a time.
fn free_to_use(path: &Path) -> Result<()> {
    if path.exists() {
        return Err(Error::new(Kind::Target, format!("{} exists already", path.display())));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{io, os::unix::fs::MetadataExt};

    use anyhow::Context;

    use super::*;
    use crate::{
        model::{
            id::BackupId,
            layout::{ARCHIVE, FILES, TABLES, path_of},
        },
        settings::Settings,
    };

    fn writer() -> Writer {
        Writer::this(&Settings::default())
    }

    fn id() -> BackupId {
        "mysql-main-20261101T031500Z".parse().unwrap()
    }

    /// Writes all files of a backup.
    pub(crate) fn write_all(draft: &mut Draft) {
        for suffix in [ARCHIVE, FILES, TABLES, MANIFEST] {
            draft
                .write(suffix, |file| Ok(io::Write::write_all(file, b"x").context("writing")?))
                .unwrap();
        }
    }

    #[test]
    fn a_draft_leaves_nothing_unless_it_is_committed() {
        let directory = tempfile::tempdir().unwrap();
        let mut draft = Draft::new(directory.path(), &id().to_string(), &writer()).unwrap();
        write_all(&mut draft);
        drop(draft);
        assert_eq!(names(directory.path()).unwrap(), Vec::<String>::new());
        let mut draft = Draft::new(directory.path(), &id().to_string(), &writer()).unwrap();
        write_all(&mut draft);
        draft.commit().unwrap();
        assert_eq!(names(directory.path()).unwrap().len(), 4);
        assert_eq!(
            fs::metadata(path_of(directory.path(), &id(), ARCHIVE)).unwrap().mode() & 0o777,
            0o600
        );
        assert!(Draft::new(directory.path(), &id().to_string(), &writer()).is_err());
    }

    /// Two machines that take one instance's name, at the same second.
    #[test]
    fn what_another_machine_has_written_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let read = |suffix: &str| fs::read_to_string(path_of(directory.path(), &id(), suffix)).unwrap();
        let mut draft = Draft::new(directory.path(), &id().to_string(), &writer()).unwrap();
        write_all(&mut draft);
        for suffix in [ARCHIVE, FILES, TABLES, MANIFEST] {
            fs::write(path_of(directory.path(), &id(), suffix), "theirs").unwrap();
        }
        let error = draft.commit().unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!([ARCHIVE, FILES, TABLES, MANIFEST].map(read), ["theirs"; 4]);
        assert_eq!(names(directory.path()).unwrap().len(), 4);

        let later = "mysql-main-20261102T031500Z".parse().unwrap();
        let partial = path_of(directory.path(), &later, ".tar.zst.partial");
        fs::write(&partial, "theirs").unwrap();
        assert!(Draft::new(directory.path(), "mysql-main-20261102T031500Z", &writer()).is_err());
        assert_eq!(fs::read_to_string(partial).unwrap(), "theirs");
    }

    #[test]
    fn a_run_whose_file_was_taken_away_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut draft = Draft::new(directory.path(), &id().to_string(), &writer()).unwrap();
        write_all(&mut draft);
        fs::remove_file(draft.partial(ARCHIVE)).unwrap();
        let error = draft.commit().unwrap_err();
        assert_eq!(error.kind, Kind::Target);
        assert!(
            error.to_string().contains("was removed while this run wrote it"),
            "{error}"
        );
        assert_eq!(names(directory.path()).unwrap(), Vec::<String>::new());
    }
}
