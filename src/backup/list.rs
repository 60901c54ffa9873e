//! The backups in a target directory.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    config::Settings,
    error::{Error, Kind, OfKind, Result},
    manifest::{Manifest, SCHEMA},
    name::{BackupId, Instance},
    target::{self, MANIFEST, path_of},
    verdicts,
    verify::Verdict,
    whose::Whose,
};
use crate::{report::text, system::clock};

/// One backup, as `glrl backup list` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// Its id; the time in it is when its run began.
    pub id: BackupId,
    /// Seconds since then.
    pub age_seconds: i64,
    /// Why it does not count, where that can be seen without reading it.
    pub broken: Option<String>,
    /// The last verdict on it, on whichever node it was given.
    pub verdict: Option<Verdict>,
    /// The other server that made it, `UUID on HOST`, where it is not of the one that this instance is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_server: Option<String>,
    /// What its manifest says, where that can be read.
    pub manifest: Option<Manifest>,
}

impl Listed {
    /// Its manifest, if it is complete.
    pub(super) fn complete(self) -> Option<Manifest> {
        self.manifest.filter(|_| self.broken.is_none())
    }
}

/// All backups in the target directory, of all instances, the oldest first.
pub fn list(settings: &Settings) -> Result<Vec<Listed>> {
    let now = clock::now();
    let directory = &settings.target.directory;
    let ids = ids(directory, None)?;
    if ids.is_empty() {
        // Where nothing is mounted there are none, and nobody knows whether there are any.
        target::check_there(&settings.target)?;
    }
    let whose = Whose::look(settings)?;
    ids.into_iter()
        .map(|id| {
            let manifest = manifest(directory, &id);
            // That says something about who asks, and not about the backup. Another instance's need not concern them.
            let manifest = match manifest {
                Err(error) if denied(&error) && id.instance() == &settings.instance => {
                    return Err(error).of_kind(Kind::Target);
                }
                manifest => manifest,
            };
            let broken = manifest.as_ref().map_or_else(
                |error| Some(format!("{error:#}")),
                |manifest| {
                    check_length(directory, manifest)
                        .and_then(|()| check_time(&id, now))
                        .err()
                        .map(|error| format!("{error:#}"))
                },
            );
            Ok(Listed {
                age_seconds: now.as_second() - id.at().as_second(),
                broken,
                verdict: manifest
                    .as_ref()
                    .ok()
                    .and_then(|manifest| verdicts::on(settings, manifest)),
                other_server: whose.other(&id).map(|other| other.maker.to_string()),
                manifest: manifest.ok(),
                id,
            })
        })
        .collect()
}

fn denied(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds
        .map(io::Error::kind)
        .any(|kind| kind == io::ErrorKind::PermissionDenied)
}

/// The backups in a directory, by their manifests' names, the oldest first; among them those whose manifest is lost. Whether they are any good
/// is not asked.
pub(super) fn ids(directory: &Path, instance: Option<&Instance>) -> Result<Vec<BackupId>> {
    let names = target::names(directory)?;
    let lost = target::without_manifest(directory, &names)?;
    let mut ids: Vec<BackupId> = names
        .iter()
        .filter_map(|name| name.strip_suffix(MANIFEST)?.parse().ok())
        .chain(lost)
        .filter(|id: &BackupId| instance.is_none_or(|instance| id.instance() == instance))
        .collect();
    ids.sort_by_key(|id| (id.at(), id.instance().clone()));
    Ok(ids)
}

/// Refuses a backup that is not there, which is a slip of who names it and no verdict.
pub(super) fn must_be_there(directory: &Path, id: &BackupId) -> Result<()> {
    if ids(directory, Some(id.instance()))?.contains(id) {
        return Ok(());
    }
    let message = format!(
        "there is no backup {id} in {}: 'glrl backup list' names them",
        directory.display()
    );
    Err(Error::new(Kind::Failed, message))
}

/// The newest of these, which are in the order of age. One of a time that is still to come would be the newest for years: it is only where
/// there is no other.
pub(super) fn newest(ids: &[BackupId]) -> Option<&BackupId> {
    let now = clock::now();
    ids.iter().rfind(|id| !id.is_to_come(now)).or(ids.last())
}

/// Returns the backups of the instance that were begun since this one was, as `ID of HOST`.
pub(super) fn others_at_work(directory: &Path, since: &BackupId) -> Vec<String> {
    let ids = ids(directory, Some(since.instance())).unwrap_or_default();
    let ids = ids.into_iter().filter(|id| id.at() >= since.at() && id != since);
    ids.filter_map(|id| Some(format!("{id} of {}", manifest(directory, &id).ok()?.host)))
        .collect()
}

fn check_time(id: &BackupId, now: Timestamp) -> anyhow::Result<()> {
    if id.is_to_come(now) {
        bail!(
            "it is of {}, which is still to come: the clock was wrong when it was made, or is wrong here",
            id.at()
        );
    }
    Ok(())
}

/// How old something is, and how old it may be.
pub(super) fn age_and_limit(age: Duration, limit: Duration) -> String {
    let [age, limit] = [age, limit].map(|time| text::duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    format!("{age} old, at most {limit} are allowed")
}

/// A backup's manifest.
pub(super) fn manifest(directory: &Path, id: &BackupId) -> anyhow::Result<Manifest> {
    let path = path_of(directory, id, MANIFEST);
    if !path
        .try_exists()
        .with_context(|| format!("looking for {}", path.display()))?
    {
        bail!(
            "{} is missing: what is there of the backup is not known to be whole",
            path.display()
        );
    }
    let manifest: Manifest = read(&path)?;
    if manifest.schema != SCHEMA {
        bail!(
            "the manifest of {id} has format {}, this glrl reads {SCHEMA}",
            manifest.schema
        );
    }
    if manifest.id != *id {
        bail!("the manifest of {id} is that of {}", manifest.id);
    }
    Ok(manifest)
}

/// Whether a backup's archive and the lists that belong to it are there, and as long as its manifest says.
pub(super) fn check_length(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let tables = manifest.tables.as_ref();
    let own = [
        (manifest.archive_in(directory), manifest.archive.digests.bytes),
        (manifest.list_in(directory), manifest.files.list.bytes),
    ];
    let more = tables.map(|tables| (manifest.tables_in(directory), tables.list.bytes));
    for (path, expected) in own.into_iter().chain(more) {
        let doing = || format!("looking for {}", path.display());
        let length = path.metadata().with_context(doing)?.len();
        if length != expected {
            bail!("{} has {length} bytes, its manifest says {expected}", path.display());
        }
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let doing = || format!("reading {}", path.display());
    serde_json::from_reader(BufReader::new(File::open(path).with_context(doing)?)).with_context(doing)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::backup::made_up;

    #[test]
    fn what_is_not_there_is_no_verdict() {
        let directory = tempfile::tempdir().unwrap();
        let settings = made_up::settings(directory.path());
        let there = made_up::backup(&settings, 1).id;
        must_be_there(&settings.target.directory, &there).unwrap();
        let other = "mysql-db1-20200101T000000Z".parse().unwrap();
        let error = must_be_there(&settings.target.directory, &other).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.to_string().contains("there is no backup"), "{error}");
    }

    #[test]
    fn a_target_that_is_not_mounted_is_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = made_up::settings(directory.path());
        assert_eq!(list(&settings).unwrap(), []);
        settings.target.mounted = true;
        assert_eq!(list(&settings).unwrap_err().kind, Kind::Target);
        // A copy may lie anywhere.
        made_up::backup(&settings, 1);
        assert_eq!(list(&settings).unwrap().len(), 1);
    }

    #[test]
    fn who_may_not_read_is_told_so_and_not_that_it_is_broken() {
        let directory = tempfile::tempdir().unwrap();
        let settings = made_up::settings(directory.path());
        let id = made_up::backup(&settings, 1).id;
        let path = path_of(&settings.target.directory, &id, MANIFEST);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
        // Root may read it all the same.
        match list(&settings) {
            Err(error) => assert_eq!(error.kind, Kind::Target),
            Ok(_) => assert!(nix::unistd::geteuid().is_root()),
        }
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::PermissionDenied)).context("reading it");
        assert!(denied(&error));
        assert!(!denied(&anyhow::anyhow!("it is empty")));
    }
    #[test]
    fn a_backup_that_has_lost_its_manifest_is_there_and_broken() {
        let directory = tempfile::tempdir().unwrap();
        let settings = made_up::settings(directory.path());
        let target = &settings.target.directory;
        let older = made_up::backup(&settings, 2).id;
        let id = made_up::backup(&settings, 1).id;
        fs::remove_file(path_of(target, &id, MANIFEST)).unwrap();
        let listed = list(&settings).unwrap();
        assert_eq!(
            listed.iter().map(|backup| &backup.id).collect::<Vec<_>>(),
            [&older, &id]
        );
        assert!(
            listed[1].broken.as_ref().unwrap().contains(".json is missing"),
            "{listed:?}"
        );
        must_be_there(target, &id).unwrap();
        // A run that gives names, or takes them away, has something partial beside it.
        fs::write(
            target.join(format!("{id}.json.0123456789abcdef-0123456789abcdef.partial")),
            "",
        )
        .unwrap();
        assert_eq!(ids(target, None).unwrap(), [older]);
    }
}
