//! What makes it doubtful which backups are old, or whose they are. Then none is deleted: it can be done later, and not undone.

use std::{fs, time::SystemTime};

use jiff::Timestamp;

use crate::backup::{
    config::Settings,
    list::Listed,
    manifest::Manifest,
    name::CLOCKS,
    target::{MANIFEST, path_of},
};

/// Why none of an instance's backups should be deleted now, if there is a reason. It is looked for in the one that was written last, by the
/// clock of the target: after a backup, that is the one that was just made.
pub(super) fn doubt(settings: &Settings, backups: &[Listed]) -> Option<String> {
    let written = |manifest: &Manifest| {
        let path = path_of(&settings.target.directory, &manifest.id, MANIFEST);
        fs::metadata(path).and_then(|file| file.modified()).ok()
    };
    let manifests = backups.iter().filter_map(|backup| backup.manifest.as_ref());
    let mut manifests: Vec<_> = manifests
        .filter_map(|manifest| Some((written(manifest)?, manifest)))
        .collect();
    manifests.sort_by_key(|(written, manifest)| (*written, &manifest.id));
    let (written, last) = manifests.pop()?;
    wrong_clock(last, written).or_else(|| another_server(last, manifests.pop()?.1))
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

/// Whether the backup before the last is of another server. Once, that is a new machine in the place of an old one, or one that got another
/// name. Again and again, it is two that have one name by mistake, of which each would delete the other's backups: two hosts that are called
/// the same, which is what an instance is called by itself, or a machine and its copy, whose server has the same UUID.
fn another_server(last: &Manifest, before: &Manifest) -> Option<String> {
    let uuids = before.server.uuid.as_ref().zip(last.server.uuid.as_ref());
    let same = before.host == last.host && uuids.is_none_or(|(before, last)| before == last);
    (!same).then(|| {
        format!(
            "{}, the backup before the last, is of another server, on {}: if that is still there, give each an 'instance' of its own, or \
             each deletes the other's backups",
            before.id, before.host
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::backup::{list::list, made_up};

    fn said(settings: &Settings) -> Option<String> {
        doubt(settings, &list(settings).unwrap())
    }

    #[test]
    fn two_servers_under_one_name_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let settings = made_up::settings(directory.path());
        let before = made_up::backup(&settings, 24);
        let mut manifest = made_up::backup(&settings, 1);
        assert_eq!(said(&settings), None);
        manifest.host = "db2".to_owned();
        made_up::rewrite(&settings, &manifest);
        let why = said(&settings).unwrap();
        assert!(why.contains(&before.id.to_string()) && why.contains("on db1"), "{why}");
    }

    /// As hosts `db1` of two sites are, and a machine that was copied.
    #[test]
    fn neither_a_name_nor_a_uuid_alone_makes_two_servers_one() {
        let directory = tempfile::tempdir().unwrap();
        let settings = made_up::settings(directory.path());
        let mut backups = [24, 1].map(|hours| made_up::backup(&settings, hours));
        for (host, uuids, same) in [
            ("db1", [Some("a"), Some("a")], true),
            ("db1", [None, Some("a")], true),
            ("db1", [Some("a"), Some("b")], false),
            ("db2", [Some("a"), Some("a")], false),
        ] {
            host.clone_into(&mut backups[1].host);
            for (backup, uuid) in backups.iter_mut().zip(uuids) {
                backup.server.uuid = uuid.map(str::to_owned);
                made_up::rewrite(&settings, backup);
            }
            assert_eq!(said(&settings).is_none(), same, "{host} {uuids:?}");
        }
    }

    /// Whether it is ahead or behind: of two backups that are in order by their own words, the one that was written last counts.
    #[test]
    fn a_clock_that_is_not_the_targets_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let settings = made_up::settings(directory.path());
        made_up::backup(&settings, 48);
        for hours_ago in [-24, 96] {
            let wrong = made_up::backup(&settings, hours_ago);
            let path = path_of(&settings.target.directory, &wrong.id, MANIFEST);
            let file = File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now()).unwrap();
            let why = said(&settings).unwrap();
            assert!(why.contains(&wrong.id.to_string()) && why.contains("clock"), "{why}");
            fs::remove_file(path).unwrap();
        }
        made_up::backup(&settings, 0);
        assert_eq!(said(&settings), None);
    }
}
