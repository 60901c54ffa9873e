//! Truly damaged backups of as many sorts as are known: each is called corrupt, and its cause is named.
//!
//! Some are damaged on the target. The others are damaged in the snapshot, as a broken disk would have it: all hashes are right, and the
//! server on the copy has to notice. One server and a few backups serve all of either.

pub(crate) mod in_snapshot;
pub(crate) mod on_target;

use crate::{
    model::verdict::{Grade, Outcome, Verdict},
    tests::servers::on_both_flavours,
};

use crate::tests::corrupt::{
    in_snapshot::what_was_damaged_in_the_snapshot_is_corrupt, on_target::what_is_damaged_on_the_target_is_corrupt,
};

on_both_flavours!(
    what_is_damaged_on_the_target_is_corrupt,
    what_was_damaged_in_the_snapshot_is_corrupt,
);

/// Expects that a backup is called corrupt because of a check whose detail says this, and for no other reason before it.
#[track_caller]
fn expect_corrupt(damage: &str, verdict: &Verdict, said: &str) {
    let failed = || verdict.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let told: Vec<String> = failed()
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    assert_eq!(
        (verdict.verdict, verdict.exit_code()),
        (Grade::Corrupt, 16),
        "{damage}: {told:#?}"
    );
    assert!(
        failed()
            .any(|check| check.word == Grade::Corrupt && format!("{}: {}", check.name, check.detail).contains(said)),
        "{damage}: not said: {said}: {told:#?}"
    );
}
