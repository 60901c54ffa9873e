//! The backups that are in a target directory, and their manifests.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use glrl_node::{system::clock, value::text};
use jiff::Timestamp;

use crate::{
    model::{
        error::{Error, Kind, Result},
        id::{BackupId, Instance},
        layout::{MANIFEST, path_of},
        manifest::{Manifest, SCHEMA},
    },
    store::target,
};

pub(crate) fn denied(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds
        .map(io::Error::kind)
        .any(|kind| kind == io::ErrorKind::PermissionDenied)
}

/// The backups in a directory, by their manifests' names, the oldest first; among them those whose manifest is lost. Whether they are any good
/// is not asked.
pub(crate) fn ids(directory: &Path, instance: Option<&Instance>) -> Result<Vec<BackupId>> {
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
pub(crate) fn check_exists(directory: &Path, id: &BackupId) -> Result<()> {
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
pub(crate) fn newest(ids: &[BackupId]) -> Option<&BackupId> {
    let now = clock::now();
    ids.iter().rfind(|id| !id.is_to_come(now)).or(ids.last())
}

/// Returns the backups of the instance that were begun since this one was, as `ID of HOST`.
pub(crate) fn others_at_work(directory: &Path, since: &BackupId) -> Vec<String> {
    let ids = ids(directory, Some(since.instance())).unwrap_or_default();
    let ids = ids.into_iter().filter(|id| id.at() >= since.at() && id != since);
    ids.filter_map(|id| Some(format!("{id} of {}", manifest(directory, &id).ok()?.host)))
        .collect()
}

pub(crate) fn check_time(id: &BackupId, now: Timestamp) -> anyhow::Result<()> {
    if id.is_to_come(now) {
        bail!(
            "it is of {}, which is still to come: the clock was wrong when it was made, or is wrong here",
            id.at()
        );
    }
    Ok(())
}

/// How old something is, and how old it may be.
pub(crate) fn age_and_limit(age: Duration, limit: Duration) -> String {
    let [age, limit] = [age, limit].map(|time| text::duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    format!("{age} old, at most {limit} are allowed")
}

/// A backup's manifest.
pub(crate) fn manifest(directory: &Path, id: &BackupId) -> anyhow::Result<Manifest> {
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
pub(crate) fn check_length(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
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
    use super::*;
    use crate::fixtures;

    #[test]
    fn what_is_not_there_is_no_verdict() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        let there = fixtures::backup(&settings, 1).id;
        check_exists(&settings.target.directory, &there).unwrap();
        let other = "mysql-db1-20200101T000000Z".parse().unwrap();
        let error = check_exists(&settings.target.directory, &other).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.to_string().contains("there is no backup"), "{error}");
    }

    #[test]
    fn an_error_of_rights_is_told_from_others() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::PermissionDenied)).context("reading it");
        assert!(denied(&error));
        assert!(!denied(&anyhow::anyhow!("it is empty")));
    }
}
