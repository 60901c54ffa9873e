//! What each trouble looks like to a monitor.

use std::fs;

use crate::{
    fixtures,
    model::{
        error::Error,
        layout::{ARCHIVE, path_of},
    },
    operate::status::*,
    store::verdicts,
};

fn found(settings: &Settings) -> (Health, Vec<String>) {
    let [history, binlogs] = ["backup", "binlogs"].map(|what| Records::glance(settings, what).unwrap());
    let seen = within(PATIENCE, settings, look);
    let last = (binlogs.last.as_ref(), Gap::read(settings));
    let status = judge(settings, clock::now(), history, last, seen, Ok(Vec::new()));
    let problems = status.problems.into_iter().map(|problem| problem.message);
    (status.health, problems.collect())
}

#[test]
fn a_gap_in_the_logs_lasts_until_the_next_backup() {
    let directory = tempfile::tempdir().unwrap();
    let settings = fixtures::settings(directory.path());
    let backup = fixtures::backup(&settings, 5);
    let message = "binary logs are missing: a restore lacks some".to_owned();
    let state = glrl_node::system::state::StateDir::open(&settings.state_directory.join("binlogs/db1")).unwrap();
    let gap = serde_json::json!({ "backup": backup.id, "message": message });
    state.write("gap.json", &serde_json::to_vec(&gap).unwrap()).unwrap();
    assert_eq!(found(&settings), (Health::Failed, vec![message.clone()]));
    // The run that has found it has failed by that, which is said once.
    let failed: Result<()> = Err(Error::new(Kind::Failed, message.clone()));
    let records = Records::open(&settings, "binlogs").unwrap();
    records.end(Attempt::begin().ended(&failed)).unwrap();
    assert_eq!(found(&settings), (Health::Failed, vec![message]));
    records.end(Attempt::begin().ended(&Ok(()))).unwrap();
    fixtures::backup(&settings, 1);
    assert_eq!(found(&settings), (Health::Ok, Vec::new()));
}

/// As of two hosts of one name: the node says what is its own, and that the other is there.
#[test]
fn another_server_under_the_instance_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    let settings = fixtures::settings(directory.path());
    fixtures::backup(&settings, 5);
    let mut other = fixtures::backup(&settings, 1);
    other.host = "db1.site-b".to_owned();
    fixtures::rewrite(&settings, &other);
    let (health, said) = found(&settings);
    assert_eq!((health, said.len()), (Health::Failed, 1), "{said:?}");
    assert!(
        said[0].contains("db1.site-b") && said[0].contains("'instance: db1"),
        "{said:?}"
    );
}

#[test]
fn each_trouble_has_its_word() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = fixtures::settings(directory.path());
    let said = |problem: &str| vec![problem.to_owned()];
    assert_eq!(found(&settings), (Health::Stale, said("there is no backup")));

    fixtures::backup(&settings, 50);
    assert_eq!(
        found(&settings),
        (
            Health::Stale,
            said("the newest backup is 50 h 0 min old, at most 26 h 0 min are allowed")
        )
    );
    let newest = fixtures::backup(&settings, 5);
    assert_eq!(found(&settings), (Health::Ok, Vec::new()));

    settings.verify.max_proven_age = Some(Duration::from_hours(48));
    assert_eq!(found(&settings), (Health::Stale, said("no backup is known to restore")));
    verdicts::keep(&settings, &fixtures::verdict(&newest, Grade::Ok)).unwrap();
    assert_eq!(found(&settings), (Health::Ok, Vec::new()));
    verdicts::keep(&settings, &fixtures::verdict(&newest, Grade::Corrupt)).unwrap();
    assert_eq!(
        found(&settings),
        (
            Health::Corrupt,
            vec![
                "the newest backup does not restore: tables: shop.orders".to_owned(),
                "no backup is known to restore".to_owned()
            ]
        )
    );
    settings.verify.max_proven_age = None;

    fixtures::backup(&settings, 1);
    let records = Records::open(&settings, "backup").unwrap();
    let failed: Result<()> = Err(Error::new(Kind::LockBudget, "the lock was not had"));
    records.end(Attempt::begin().ended(&failed)).unwrap();
    assert_eq!(
        found(&settings),
        (Health::Failed, said("the last run failed: the lock was not had"))
    );
    records.end(Attempt::begin().ended(&Ok(()))).unwrap();
    assert_eq!(found(&settings), (Health::Ok, Vec::new()));

    let binlogs = Records::open(&settings, "binlogs").unwrap();
    binlogs.end(Attempt::begin().ended(&failed)).unwrap();
    assert_eq!(
        found(&settings),
        (
            Health::Failed,
            said("binary logs are not being archived: the lock was not had")
        )
    );
    binlogs.end(Attempt::begin().ended(&Ok(()))).unwrap();
    assert_eq!(found(&settings), (Health::Ok, Vec::new()));

    fs::write(path_of(&settings.target.directory, &newest.id, ARCHIVE), "short").unwrap();
    let (health, problems) = found(&settings);
    assert_eq!((health, problems.len()), (Health::Corrupt, 1));
    assert!(problems[0].contains("is broken"), "{problems:?}");

    let to_come = fixtures::backup(&settings, -1000);
    let (health, problems) = found(&settings);
    assert_eq!((health, problems.len()), (Health::Corrupt, 2));
    assert!(problems[1].contains("still to come"), "{problems:?}");
    assert!(problems[1].contains(&to_come.id.to_string()), "{problems:?}");

    settings.target.mounted = true;
    let (health, problems) = found(&settings);
    assert_eq!((health, problems.len()), (Health::Target, 1));
    assert!(problems[0].contains("is not mounted"), "{problems:?}");
}

#[test]
fn a_target_that_does_not_answer_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let settings = fixtures::settings(directory.path());
    let seen = within(Duration::from_millis(50), &settings, |settings| {
        std::thread::sleep(Duration::from_secs(5));
        look(settings)
    });
    let status = judge(
        &settings,
        clock::now(),
        History::default(),
        (None, None),
        seen,
        Ok(vec!["mysql/glrl-1".to_owned()]),
    );
    assert_eq!(status.health, Health::Target);
    assert!(status.problems[0].message.contains("does not answer within 0 s"));
    assert_eq!((status.problems.len(), status.problems[1].health), (2, Health::Failed));
}
