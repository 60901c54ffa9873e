//! The backups in a target directory.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    config::Settings,
    error::Result,
    manifest::{Manifest, SCHEMA},
    name::{BackupId, Instance},
    target::{self, MANIFEST, path_of},
    verdicts,
    verify::Verdict,
};
use crate::system::clock;

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
    Ok(ids(directory, None)?
        .into_iter()
        .map(|id| {
            let manifest = manifest(directory, &id);
            let broken = manifest.as_ref().map_or_else(
                |error| Some(format!("{error:#}")),
                |manifest| {
                    check_length(directory, manifest)
                        .and_then(|()| check_time(&id, now))
                        .err()
                        .map(|error| format!("{error:#}"))
                },
            );
            Listed {
                age_seconds: now.as_second() - id.at().as_second(),
                broken,
                verdict: manifest
                    .as_ref()
                    .ok()
                    .and_then(|manifest| verdicts::on(settings, manifest)),
                manifest: manifest.ok(),
                id,
            }
        })
        .collect())
}

/// The backups in a directory, by their manifests' names, the oldest first. Whether they are any good is not asked.
pub(super) fn ids(directory: &Path, instance: Option<&Instance>) -> Result<Vec<BackupId>> {
    let mut ids: Vec<BackupId> = target::names(directory)?
        .iter()
        .filter_map(|name| name.strip_suffix(MANIFEST)?.parse().ok())
        .filter(|id: &BackupId| instance.is_none_or(|instance| id.instance() == instance))
        .collect();
    ids.sort_by_key(|id| (id.at(), id.instance().clone()));
    Ok(ids)
}

/// The newest of these, which are in the order of age. One of a time that is still to come would be the newest for years: it is only where
/// there is no other.
pub(super) fn newest(ids: &[BackupId]) -> Option<&BackupId> {
    let now = clock::now();
    ids.iter().rfind(|id| !id.is_to_come(now)).or(ids.last())
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

/// A backup's manifest.
pub(super) fn manifest(directory: &Path, id: &BackupId) -> anyhow::Result<Manifest> {
    let manifest: Manifest = read(&path_of(directory, id, MANIFEST))?;
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

/// Whether a backup's archive and the list of its files are there, and as long as its manifest says.
pub(super) fn check_length(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    for (path, expected) in [
        (manifest.archive_in(directory), manifest.archive.digests.bytes),
        (manifest.list_in(directory), manifest.files.list.bytes),
    ] {
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
