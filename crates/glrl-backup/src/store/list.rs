//! The backups in a target directory.

use glrl_node::system::clock;
use serde::Serialize;

use crate::{
    model::{
        error::{Kind, OfKind, Result},
        id::BackupId,
        manifest::Manifest,
        verdict::Verdict,
    },
    settings::Settings,
    store::{
        catalogue::{self, check_length, check_time, denied, ids},
        target, verdicts,
        whose::Whose,
    },
};

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
    pub(crate) fn complete(self) -> Option<Manifest> {
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
            let manifest = catalogue::manifest(directory, &id);
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{
        fixtures,
        model::layout::{MANIFEST, path_of},
        store::catalogue::check_exists,
    };

    #[test]
    fn a_target_that_is_not_mounted_is_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = fixtures::settings(directory.path());
        assert_eq!(list(&settings).unwrap(), []);
        settings.target.mounted = true;
        assert_eq!(list(&settings).unwrap_err().kind, Kind::Target);
        // A copy may lie anywhere.
        fixtures::backup(&settings, 1);
        assert_eq!(list(&settings).unwrap().len(), 1);
    }

    #[test]
    fn who_may_not_read_is_told_so_and_not_that_it_is_broken() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        let id = fixtures::backup(&settings, 1).id;
        let path = path_of(&settings.target.directory, &id, MANIFEST);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
        // Root may read it all the same.
        match list(&settings) {
            Err(error) => assert_eq!(error.kind, Kind::Target),
            Ok(_) => assert!(nix::unistd::geteuid().is_root()),
        }
    }
    #[test]
    fn a_backup_that_has_lost_its_manifest_is_there_and_broken() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        let target = &settings.target.directory;
        let older = fixtures::backup(&settings, 2).id;
        let id = fixtures::backup(&settings, 1).id;
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
        check_exists(target, &id).unwrap();
        // A run that gives names, or takes them away, has something partial beside it.
        fs::write(
            target.join(format!("{id}.json.0123456789abcdef-0123456789abcdef.partial")),
            "",
        )
        .unwrap();
        assert_eq!(ids(target, None).unwrap(), [older]);
    }
}
