//! Cases, and the laws that hold for every policy and every set of backups.

use std::collections::BTreeSet;

use glrl_node::value::Duration;
use proptest::prelude::*;

use crate::retention::policy::*;

fn at(time: &str, state: State) -> Candidate {
    Candidate {
        id: format!("mysql-db1-{time}Z").parse().unwrap(),
        state,
    }
}

/// One line a backup, as `glrl backup prune` says it.
fn said(keep: &Keep, backups: &[Candidate]) -> String {
    judge(keep, &TimeZone::UTC, backups)
        .iter()
        .map(|judged| {
            let fate = if judged.keep { "keep  " } else { "delete" };
            format!("{fate} {}  {}\n", judged.id.time(), judged.reasons.join(", "))
        })
        .collect()
}

#[test]
fn reasons_are_given() {
    let backups = [
        at("20261001T020000", State::Complete),
        at("20261031T020000", State::Verified),
        at("20261101T020000", State::Complete),
        at("20261102T020000", State::Complete),
        at("20261103T020000", State::Broken("its archive is gone".to_owned())),
        at("20261104T020000", State::Corrupt),
        at("20261104T140000", State::Complete),
        at("20261105T020000", State::Complete),
    ];
    let keep = Keep {
        last: 1,
        daily: 2,
        weekly: 2,
        within: Some("12h".parse().unwrap()),
        ..Keep::default()
    };
    insta::assert_snapshot!(said(&keep, &backups), @"
    delete 20261001T020000Z  outside of last 1, daily 2, weekly 2, within 12h
    keep   20261031T020000Z  newest verified
    keep   20261101T020000Z  weekly 2026-W44
    delete 20261102T020000Z  outside of last 1, daily 2, weekly 2, within 12h
    keep   20261103T020000Z  broken, left alone: its archive is gone
    delete 20261104T020000Z  outside of last 1, daily 2, weekly 2, within 12h, corrupt, takes no place
    keep   20261104T140000Z  daily 2026-11-04, within 12h
    keep   20261105T020000Z  last, daily 2026-11-05, weekly 2026-W45, within 12h
    ");
}

#[test]
fn while_a_rule_has_room_the_oldest_stays() {
    let backups = [
        at("20261101T020000", State::Complete),
        at("20261102T020000", State::Complete),
        at("20261103T020000", State::Complete),
    ];
    let keep = Keep {
        monthly: 6,
        ..Keep::default()
    };
    insta::assert_snapshot!(said(&keep, &backups), @"
    keep   20261101T020000Z  monthly (the oldest)
    delete 20261102T020000Z  outside of monthly 6
    keep   20261103T020000Z  monthly 2026-11
    ");
}

#[test]
fn days_are_those_of_the_nodes_zone() {
    // Half past eleven and half past midnight in Berlin, the same day in UTC.
    let backups = [
        at("20261101T223000", State::Complete),
        at("20261101T233000", State::Complete),
    ];
    let keep = Keep {
        daily: 2,
        ..Keep::default()
    };
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let kept: Vec<_> = judge(&keep, &zone, &backups)
        .into_iter()
        .map(|judged| judged.reasons)
        .collect();
    assert_eq!(kept, [["daily 2026-11-01"], ["daily 2026-11-02"]]);
}

#[test]
fn seven_failed_runs_push_nothing_out() {
    let good = (1..=7).map(|day| at(&format!("2026110{day}T020000"), State::Complete));
    let failed = (11..=17).map(|day| at(&format!("202611{day}T020000"), State::Broken(String::new())));
    let keep = Keep {
        last: 7,
        ..Keep::default()
    };
    let backups: Vec<_> = good.chain(failed).collect();
    assert!(judge(&keep, &TimeZone::UTC, &backups).iter().all(|judged| judged.keep));
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        1 => Just(State::Broken(String::new())),
        1 => Just(State::Corrupt),
        3 => Just(State::Complete),
        2 => Just(State::Verified),
    ]
}

/// Backups at distinct times within a few months, many on the same day.
fn backups() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::btree_map(0..1200_i64, states(), 0..40).prop_map(|backups| {
        let instance = "db1".parse().unwrap();
        let one = |(hours, state): (i64, State)| Candidate {
            id: BackupId::new(
                &instance,
                Timestamp::from_second(1_790_000_000 + hours * 3 * 3600).unwrap(),
            ),
            state,
        };
        backups.into_iter().map(one).collect()
    })
}

fn policies() -> impl Strategy<Value = Keep> {
    let count = || prop_oneof![Just(0_u32), 1..8_u32];
    let within = prop::option::of((0..2000_u64).prop_map(|hours| Duration::seconds(hours * 3600)));
    (count(), count(), count(), count(), within).prop_map(|(last, daily, weekly, monthly, within)| Keep {
        last,
        daily,
        weekly,
        monthly,
        within,
    })
}

fn deleted(keep: &Keep, backups: &[Candidate]) -> BTreeSet<BackupId> {
    let judged = judge(keep, &TimeZone::UTC, backups);
    judged
        .into_iter()
        .filter(|judged| !judged.keep)
        .map(|judged| judged.id)
        .collect()
}

proptest! {
    #[test]
    fn an_empty_policy_deletes_nothing(backups in backups()) {
        prop_assert!(deleted(&Keep::default(), &backups).is_empty());
    }

    #[test]
    fn neither_the_newest_nor_the_newest_verified_goes(keep in policies(), backups in backups()) {
        let gone = deleted(&keep, &backups);
        let newest_of = |wanted: &dyn Fn(&State) -> bool| {
            backups.iter().filter(|backup| wanted(&backup.state)).map(|backup| &backup.id).max()
        };
        for kept in [
            newest_of(&|state| *state == State::Verified),
            newest_of(&|state| matches!(state, State::Complete | State::Verified)),
        ].into_iter().flatten() {
            prop_assert!(!gone.contains(kept), "{kept}");
        }
    }

    #[test]
    fn what_is_broken_changes_nothing_and_stays(keep in policies(), backups in backups()) {
        let (broken, whole): (Vec<_>, Vec<_>) =
            backups.iter().cloned().partition(|backup| matches!(backup.state, State::Broken(_)));
        let gone = deleted(&keep, &backups);
        prop_assert_eq!(&gone, &deleted(&keep, &whole));
        prop_assert!(broken.iter().all(|backup| !gone.contains(&backup.id)));
    }

    #[test]
    fn a_second_time_deletes_nothing(keep in policies(), backups in backups()) {
        let gone = deleted(&keep, &backups);
        let left: Vec<_> = backups.into_iter().filter(|backup| !gone.contains(&backup.id)).collect();
        prop_assert_eq!(deleted(&keep, &left), BTreeSet::new());
    }

    #[test]
    fn keeping_more_never_deletes_more(keep in policies(), more in policies(), backups in backups()) {
        // A policy that is empty keeps all: less of it is not more.
        prop_assume!(!keep.is_empty());
        let sum = Keep {
            last: keep.last + more.last,
            daily: keep.daily + more.daily,
            weekly: keep.weekly + more.weekly,
            monthly: keep.monthly + more.monthly,
            within: keep.within.max(more.within),
        };
        prop_assert!(deleted(&sum, &backups).is_subset(&deleted(&keep, &backups)));
    }

    #[test]
    fn the_order_does_not_matter(keep in policies(), backups in backups(), seed in any::<u64>()) {
        let mut other = backups.clone();
        let key = |backup: &Candidate| blake3::hash(format!("{seed}{}", backup.id).as_bytes()).to_string();
        other.sort_by_key(key);
        prop_assert_eq!(judge(&keep, &TimeZone::UTC, &backups), judge(&keep, &TimeZone::UTC, &other));
    }

    #[test]
    fn no_verdict_ever_deletes_more(keep in policies(), backups in backups()) {
        let without: Vec<_> = backups
            .iter()
            .map(|backup| Candidate {
                id: backup.id.clone(),
                state: match &backup.state {
                    State::Broken(why) => State::Broken(why.clone()),
                    _ => State::Complete,
                },
            })
            .collect();
        prop_assert!(deleted(&keep, &backups).is_subset(&deleted(&keep, &without)));
    }
}
