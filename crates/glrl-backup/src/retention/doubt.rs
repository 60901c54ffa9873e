//! What makes it doubtful which backups are old, or whose they are. Then none is deleted: it can be done later, and not undone.

use std::{fs, time::SystemTime};

use jiff::Timestamp;

use crate::{
    model::{
        id::CLOCKS,
        layout::{MANIFEST, path_of},
        manifest::Manifest,
    },
    settings::Settings,
    store::{list::Listed, whose::Whose},
};

/// Why none of an instance's backups should be deleted now, if there is a reason: a rival (`whose.rs`), or a wrong clock. That is looked for
/// in the one that was written last, by the clock of the target: after a backup, that is the one that was just made.
pub(crate) fn doubt(settings: &Settings, backups: &[Listed], whose: &Whose) -> Option<String> {
    let written = |manifest: &Manifest| {
        let path = path_of(&settings.target.directory, &manifest.id, MANIFEST);
        fs::metadata(path).and_then(|file| file.modified()).ok()
    };
    let manifests = backups.iter().filter_map(|backup| backup.manifest.as_ref());
    let manifests = manifests.filter_map(|manifest| Some((written(manifest)?, manifest)));
    let (written, last) = manifests.max_by_key(|(written, manifest)| (*written, manifest.id.clone()))?;
    wrong_clock(last, written).or_else(|| whose.doubt())
}

/// Whether the clock of who made a backup and that of the target, which is another's where it is on NFS, were apart.
fn wrong_clock(manifest: &Manifest, written: SystemTime) -> Option<String> {
    let written = Timestamp::try_from(written).ok()?;
    let apart = written.duration_since(manifest.ended).unsigned_abs();
    (apart > CLOCKS).then(|| {
        format!(
            "{} says that it was ended at {}, and the target that it was written at {}: a clock is wrong, or it was copied without its \
             times; it can be done after the next backup",
            manifest.id,
            manifest.ended.strftime("%FT%TZ"),
            written.strftime("%FT%TZ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::{fixtures, store::list::list};

    fn said(settings: &Settings) -> Option<String> {
        doubt(settings, &list(settings).unwrap(), &Whose::look(settings).unwrap())
    }

    #[test]
    fn two_servers_under_one_name_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        let before = fixtures::backup(&settings, 24);
        let mut manifest = fixtures::backup(&settings, 1);
        assert_eq!(said(&settings), None);
        manifest.host = "db2".to_owned();
        fixtures::rewrite(&settings, &manifest);
        let why = said(&settings).unwrap();
        assert!(why.contains(&before.id.to_string()) && why.contains("on db1"), "{why}");
    }

    #[test]
    fn a_server_that_took_anothers_place_is_told_from_two_that_take_turns() {
        let old = [(24 * 40, "db1"), (24 * 36, "db2"), (24 * 35, "db1")];
        for (backups, doubted) in [
            (&[(3, "db1"), (2, "db2")][..], true),
            (&[(3, "db1"), (2, "db2"), (1, "db2")], false),
            (&[(3, "db1"), (2, "db2"), (1, "db1")], true),
            (&[(4, "db1"), (3, "db2"), (2, "db1"), (1, "db1")], true),
            (&[(2, "db1"), (1, "db1")], false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let settings = fixtures::settings(directory.path());
            for (hours, host) in old.iter().chain(backups) {
                let mut backup = fixtures::backup(&settings, *hours);
                (*host).clone_into(&mut backup.host);
                fixtures::rewrite(&settings, &backup);
            }
            assert_eq!(said(&settings).is_some(), doubted, "{backups:?}");
        }
    }

    /// As hosts `db1` of two sites are, and a machine that was copied.
    #[test]
    fn neither_a_name_nor_a_uuid_alone_makes_two_servers_one() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        let mut backups = [24, 1].map(|hours| fixtures::backup(&settings, hours));
        for (host, uuids, same) in [
            ("db1", [Some("a"), Some("a")], true),
            ("db1", [None, Some("a")], true),
            ("db1", [Some("a"), Some("b")], false),
            ("db2", [Some("a"), Some("a")], false),
        ] {
            host.clone_into(&mut backups[1].host);
            for (backup, uuid) in backups.iter_mut().zip(uuids) {
                backup.server.uuid = uuid.map(str::to_owned);
                fixtures::rewrite(&settings, backup);
            }
            assert_eq!(said(&settings).is_none(), same, "{host} {uuids:?}");
        }
    }

    /// Whether it is ahead or behind: of two backups that are in order by their own words, the one that was written last counts.
    #[test]
    fn a_clock_that_is_not_the_targets_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        fixtures::backup(&settings, 48);
        for hours_ago in [-24, 96] {
            let wrong = fixtures::backup(&settings, hours_ago);
            let path = path_of(&settings.target.directory, &wrong.id, MANIFEST);
            let file = File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now()).unwrap();
            let why = said(&settings).unwrap();
            assert!(why.contains(&wrong.id.to_string()) && why.contains("clock"), "{why}");
            fs::remove_file(path).unwrap();
        }
        fixtures::backup(&settings, 0);
        assert_eq!(said(&settings), None);
    }
}
