//! With files, and no server.

use std::{
    fs::{self, File},
    time::SystemTime,
};

use crate::{
    fixtures,
    model::{
        error::Kind,
        layout::{ARCHIVE, FILES, MANIFEST, path_of},
        manifest::Position,
    },
    retention::prune::*,
    settings::keep::Keep,
    store::{binlog::entry, catalogue::ids},
};

fn pruned(settings: &Settings, dry_run: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    prune(settings, dry_run, &Interrupt::default(), &mut |step| steps.push(step)).unwrap();
    steps
}

#[test]
fn what_no_rule_wants_goes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    let [old, proven, newer, newest] = [100, 50, 26, 2].map(|hours| fixtures::backup(&settings, hours));
    verdicts::keep(&settings, &fixtures::verdict(&proven, Grade::Ok)).unwrap();
    // Somebody else's in the same directory, older than all.
    let other = Settings {
        instance: "db2".parse().unwrap(),
        ..settings.clone()
    };
    let theirs = fixtures::backup(&other, 1000);
    let there = || ids(&settings.target.directory, None).unwrap();
    let all = there();

    assert!(
        pruned(&settings, false)
            .iter()
            .all(|step| matches!(step, Step::Judged { judged, .. } if judged.keep))
    );
    assert_eq!(there(), all);
    settings.keep.last = 1;
    let there = || ids(&settings.target.directory, None).unwrap();
    let gone: Vec<_> = pruned(&settings, true)
        .into_iter()
        .filter_map(|step| match step {
            Step::Judged { dry_run: true, judged } if !judged.keep => Some(judged.id),
            _ => None,
        })
        .collect();
    assert_eq!(gone, [old.id, newer.id]);
    assert_eq!(there(), all);
    pruned(&settings, false);
    assert_eq!(there(), [theirs.id, proven.id, newest.id]);
    let files = fs::read_dir(&*settings.target.directory).unwrap().count();
    // Three of each, and a verdict.
    assert_eq!(files, 3 * 3 + 1);
    let again = pruned(&settings, false);
    assert!(
        again
            .iter()
            .all(|step| matches!(step, Step::Judged { judged, .. } if judged.keep))
    );
}

#[test]
fn a_backup_that_lacks_a_file_counts_for_nothing_and_is_left() {
    for lacking in [ARCHIVE, FILES] {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = fixtures::settings(directory.path());
        let [older, broken] = [50, 2].map(|hours| fixtures::backup(&settings, hours));
        fs::remove_file(path_of(&settings.target.directory, &broken.id, lacking)).unwrap();
        settings.keep.last = 1;
        pruned(&settings, false);
        assert_eq!(ids(&settings.target.directory, None).unwrap(), [older.id, broken.id]);
    }
}

/// A run whose clock was wrong must not push out the backups of years, nor all that are made when it is right again.
#[test]
fn one_of_a_time_to_come_pushes_out_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    let [older, newer, to_come] = [50, 2, -10_000].map(|hours| fixtures::backup(&settings, hours).id);
    settings.keep.within = Some("7d".parse().unwrap());
    assert!(
        prune(&settings, false, &Interrupt::default(), &mut |_| {})
            .unwrap()
            .is_empty()
    );
    settings.keep = Keep {
        last: 1,
        ..Keep::default()
    };
    pruned(&settings, false);
    assert_eq!(
        ids(&settings.target.directory, None).unwrap(),
        [newer.clone(), to_come.clone()]
    );
    let both = [older, newer.clone(), to_come.clone()];
    assert_eq!(crate::store::catalogue::newest(&both), Some(&newer));
    assert_eq!(crate::store::catalogue::newest(&both[2..]), Some(&to_come));
}

#[test]
fn it_waits_for_no_other_run_and_ends_by_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    for hours in [3, 2, 1] {
        fixtures::backup(&settings, hours);
    }
    settings.keep.last = 1;
    let interrupt = Interrupt::default();
    interrupt.set();
    let error = prune(&settings, false, &interrupt, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
    let held = run_lock::take(&settings, "backup").unwrap();
    let error = prune(&settings, false, &Interrupt::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Busy);
    // A look is free.
    assert_eq!(pruned(&settings, true).len(), 3);
    drop(held);
    assert_eq!(ids(&settings.target.directory, None).unwrap().len(), 3);
}

#[test]
fn archived_logs_go_with_the_backups_that_need_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    for hours in [100, 50, 26] {
        fixtures::backup(&settings, hours);
    }
    let broken = fixtures::backup(&settings, 120);
    fs::remove_file(path_of(&settings.target.directory, &broken.id, ARCHIVE)).unwrap();
    let [oldest, old, needed, newest] = [
        ("binlog.000001", 130),
        ("binlog.000002", 51),
        ("binlog.000003", 49),
        ("binlog.000004", 1),
    ]
    .map(|(file, hours)| fixtures::log(&settings, file, hours, None));
    let there = || entry::all(&entry::directory(&settings)).unwrap().len();
    let gone = |settings: &Settings, dry_run| {
        let mut told = Vec::new();
        let pruned = prune(settings, dry_run, &Interrupt::default(), &mut |step| {
            if let Step::UselessLog { dry_run: dry, name } = step {
                assert_eq!(dry, dry_run);
                told.push(name);
            }
        })
        .unwrap();
        assert_eq!(pruned.logs, told);
        told
    };
    // Without a policy all stays, even what no backup needs.
    assert!(gone(&settings, false).is_empty());
    let with_policy = Settings {
        keep: Keep {
            last: 2,
            ..Keep::default()
        },
        ..settings.clone()
    };
    assert_eq!(gone(&with_policy, true), [oldest.clone(), old.clone()]);
    // One whose manifest cannot be read may need any of them.
    let manifest = path_of(&settings.target.directory, &broken.id, MANIFEST);
    fs::write(manifest, "{").unwrap();
    assert!(gone(&with_policy, true).is_empty());
    fixtures::rewrite(&settings, &broken);
    assert_eq!(there(), 4);
    // While logs are being archived they are left alone, and the backups are not.
    let archiving = run_lock::take(&settings, "binlogs").unwrap();
    let steps = pruned(&with_policy, false);
    assert!(matches!(steps.last(), Some(Step::Warning { message }) if message.contains("left alone")));
    assert_eq!((ids(&settings.target.directory, None).unwrap().len(), there()), (3, 4));
    drop(archiving);
    assert_eq!(gone(&with_policy, false), [oldest, old]);
    assert_eq!(there(), 2);
    let files: Vec<_> = [needed, newest]
        .iter()
        .flat_map(|name| [format!("{name}.json"), format!("{name}.zst")])
        .collect();
    assert_eq!(target::names(&entry::directory(&settings)).unwrap().len(), files.len());
    assert!(files.iter().all(|name| entry::directory(&settings).join(name).exists()));
    // Without a backup that is whole nobody knows what is of use.
    settings.keep.last = 1;
    for id in ids(&settings.target.directory, None).unwrap() {
        let _ = fs::remove_file(path_of(&settings.target.directory, &id, ARCHIVE));
    }
    assert!(gone(&settings, false).is_empty());
}

/// The clock was set back after the oldest backup: what follows its log looks older than the backup is, and is needed all the same.
#[test]
fn logs_that_go_on_from_a_needed_one_stay_whatever_their_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    let mut backup = fixtures::backup(&settings, 50);
    backup.coordinates.binlog = Some(Position {
        file: "binlog.000002".to_owned(),
        position: 4,
    });
    fixtures::rewrite(&settings, &backup);
    settings.keep.last = 1;
    let useless = fixtures::log(&settings, "binlog.000001", 60, None);
    let begin = fixtures::log(&settings, "binlog.000002", 60, Some(&useless));
    let behind = fixtures::log(&settings, "binlog.000003", 90, Some(&begin));
    fixtures::log(&settings, "binlog.000004", 80, Some(&behind));
    let pruned = prune(&settings, false, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(pruned.logs, [useless]);
    assert_eq!(entry::all(&entry::directory(&settings)).unwrap().len(), 3);
}

/// One wrong clock could make all others look old. Without a policy there is nothing to doubt.
#[test]
fn nothing_is_deleted_in_doubt() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    fixtures::backup(&settings, 100);
    let wrong = fixtures::backup(&settings, 50).id;
    let manifest = path_of(&settings.target.directory, &wrong, MANIFEST);
    let file = File::options().append(true).open(manifest).unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    assert!(!pruned(&settings, false).is_empty());
    settings.keep.last = 1;
    for dry_run in [true, false] {
        let error = prune(&settings, dry_run, &Interrupt::default(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.to_string().starts_with("nothing is deleted: "), "{error}");
    }
    assert_eq!(ids(&settings.target.directory, None).unwrap().len(), 2);
}
