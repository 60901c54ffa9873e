//! What is believed, and what is not.

use std::os::unix::fs::symlink;

use jiff::SignedDuration;

use crate::{
    fixtures,
    operate::job::prune,
    store::{catalogue::ids, verdicts::*},
};

struct Shared {
    directory: tempfile::TempDir,
    settings: Settings,
    manifest: Manifest,
}

/// A node that makes backups, with the directory that another writes verdicts to.
fn shared() -> Shared {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    let shared = directory.path().join("verdicts");
    fs::create_dir(&shared).unwrap();
    settings.verify.verdicts = Some(shared.to_str().unwrap().parse().unwrap());
    let manifest = fixtures::backup(&settings, 3);
    Shared {
        directory,
        settings,
        manifest,
    }
}

impl Shared {
    fn path(&self) -> PathBuf {
        path_of(
            self.settings.verify.verdicts.as_ref().unwrap(),
            &self.manifest.id,
            MANIFEST,
        )
    }

    fn write(&self, verdict: &Verdict) {
        fs::write(self.path(), serde_json::to_vec(verdict).unwrap()).unwrap();
    }

    fn word(&self) -> Option<Grade> {
        on(&self.settings, &self.manifest).map(|verdict| verdict.verdict)
    }
}

#[test]
fn a_verdict_given_elsewhere_is_seen() {
    let shared = shared();
    assert_eq!(shared.word(), None);
    shared.write(&fixtures::verdict(&shared.manifest, Grade::Ok));
    assert_eq!(shared.word(), Some(Grade::Ok));
    // A younger one of this node's own wins.
    let mut verdict = fixtures::verdict(&shared.manifest, Grade::Corrupt);
    verdict.at += SignedDuration::from_secs(1);
    assert_eq!(keep(&shared.settings, &verdict).unwrap(), Vec::<String>::new());
    assert_eq!(shared.word(), Some(Grade::Corrupt));
}

#[test]
fn one_that_is_not_on_these_bytes_is_none() {
    let shared = shared();
    let good = || fixtures::verdict(&shared.manifest, Grade::Ok);
    let other = fixtures::backup(&shared.settings, 30);
    let hours = SignedDuration::from_hours;
    for (what, verdict) in [
        ("of another backup", fixtures::verdict(&other, Grade::Ok)),
        (
            "replayed from another archive",
            Verdict {
                archive: Some(other.archive.digests.blake3.clone()),
                ..good()
            },
        ),
        (
            "of no archive",
            Verdict {
                archive: None,
                ..good()
            },
        ),
        (
            "not what its checks say",
            Verdict {
                verdict: Grade::Ok,
                ..fixtures::verdict(&shared.manifest, Grade::Corrupt)
            },
        ),
        (
            "of tomorrow, before which none would be younger",
            Verdict {
                at: clock::now() + hours(24),
                ..good()
            },
        ),
        (
            "of before the backup",
            Verdict {
                at: clock::now() - hours(24),
                ..good()
            },
        ),
        (
            "without a check",
            Verdict {
                checks: Vec::new(),
                ..good()
            },
        ),
    ] {
        shared.write(&verdict);
        assert_eq!(shared.word(), None, "{what}");
    }
    shared.write(&good());
    assert_eq!(shared.word(), Some(Grade::Ok));
}

#[test]
fn what_lies_there_is_not_trusted() {
    let shared = shared();
    let mut long = fixtures::verdict(&shared.manifest, Grade::Ok);
    long.checks[0].detail = "x".repeat(65 << 10);
    shared.write(&long);
    assert_eq!(shared.word(), None);
    for text in ["", "{", "[]", "{\"verdict\": \"ok\"}", "\u{0}"] {
        fs::write(shared.path(), text).unwrap();
        assert_eq!(shared.word(), None, "{text}");
    }
    let elsewhere = shared.directory.path().join("elsewhere");
    let good = serde_json::to_vec(&fixtures::verdict(&shared.manifest, Grade::Ok)).unwrap();
    fs::write(&elsewhere, good).unwrap();
    fs::remove_file(shared.path()).unwrap();
    symlink(&elsewhere, shared.path()).unwrap();
    assert_eq!(shared.word(), None);
    fs::remove_file(shared.path()).unwrap();
    // A pipe that nobody writes to would be waited for.
    nix::unistd::mkfifo(&shared.path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(shared.word(), None);
}

#[test]
fn a_verdict_stays_when_a_later_one_could_not_be_given() {
    let shared = shared();
    keep(&shared.settings, &fixtures::verdict(&shared.manifest, Grade::Ok)).unwrap();
    keep(
        &shared.settings,
        &fixtures::verdict(&shared.manifest, Grade::Unverified),
    )
    .unwrap();
    assert_eq!(shared.word(), Some(Grade::Ok));
    for later in [Grade::Corrupt, Grade::Unverified] {
        keep(&shared.settings, &fixtures::verdict(&shared.manifest, later)).unwrap();
        assert_eq!(shared.word(), Some(Grade::Corrupt));
    }
}

#[test]
fn a_directory_that_is_not_mounted_gets_no_verdict() {
    let mut shared = shared();
    shared.settings.target.mounted = true;
    let warnings = keep(&shared.settings, &fixtures::verdict(&shared.manifest, Grade::Ok)).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].ends_with("is not mounted"), "{warnings:?}");
    assert!(!shared.path().exists());
    // This node's own is kept all the same.
    assert_eq!(shared.word(), Some(Grade::Ok));
}

#[test]
fn verdicts_go_with_their_backups() {
    let mut shared = shared();
    keep(&shared.settings, &fixtures::verdict(&shared.manifest, Grade::Ok)).unwrap();
    let newer = fixtures::backup(&shared.settings, 1);
    keep(&shared.settings, &fixtures::verdict(&newer, Grade::Ok)).unwrap();
    shared.settings.keep.last = 1;
    let directories = directories(&shared.settings);
    let count = |directory: &PathBuf| ids(directory, None).unwrap().len();
    assert_eq!(directories.iter().map(count).collect::<Vec<_>>(), [2, 2]);
    prune(
        &shared.settings,
        false,
        &crate::model::interrupt::Interrupt::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(directories.iter().map(count).collect::<Vec<_>>(), [1, 1]);
    // Where a directory was read-only, the node that writes it tidies up.
    shared.write(&fixtures::verdict(&shared.manifest, Grade::Ok));
    keep(&shared.settings, &fixtures::verdict(&newer, Grade::Ok)).unwrap();
    assert_eq!(directories.iter().map(count).collect::<Vec<_>>(), [1, 1]);
}
