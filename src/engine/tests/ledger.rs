//! What one run protects, and later ones find.

use super::*;

/// One note that says this of its protection.
fn protecting(name: &str, habit: Habit, protect: Option<bool>) -> Graph {
    let retry = Retry {
        times: 1,
        delay: Duration::ZERO,
    };
    let note = note(name, "kept", habit);
    graph::build(vec![Declaration { retry, protect, ..note }]).unwrap()
}

fn orphans(events: &[Event]) -> Vec<&str> {
    let ids = events.iter().filter_map(|event| match event {
        Event::Orphan { id, .. } => Some(id.as_str()),
        _ => None,
    });
    ids.collect()
}

#[test]
fn what_a_killed_run_made_is_protected() {
    let lab = Lab::new();
    let graph = protecting("data", Habit::Restless, Some(true));
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    let state = lab.state();
    // Its operation is done, and nothing after it.
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = converge(&lab.run(&graph), &node, &state, &mut |event| {
            assert!(!matches!(event, Event::Waiting { .. }), "killed here");
        });
    }));
    assert!(died.is_err());
    assert_eq!(lab.read("data"), "kept");

    let (_, events) = lab.plan(&protecting("other", Habit::Plain, None));
    assert_eq!(orphans(&events), ["note:data"]);
    let removal = protecting("data", Habit::Removes, None);
    let (summary, _) = lab.plan(&removal);
    assert_eq!(summary.refused, 1);
    let (summary, events) = lab.converge(&removal);
    assert_eq!(summary.refused, 1, "{events:?}");
    assert_eq!(lab.read("data"), "kept");
}

#[test]
fn protection_is_lifted_by_saying_so() {
    let lab = Lab::new();
    lab.converge(&protecting("data", Habit::Plain, Some(true)));
    let mut skipped = note("data", "kept", Habit::Plain);
    (skipped.protect, skipped.skipped) = (Some(false), Some("not selected".to_owned()));
    lab.converge(&graph::build(vec![skipped]).unwrap());
    assert_eq!(
        lab.converge(&protecting("data", Habit::Removes, None)).0.refused,
        1,
        "it had no turn"
    );

    let (_, events) = lab.plan(&protecting("data", Habit::Plain, Some(false)));
    let warned = |event: &Event| matches!(event, Event::Planned { warnings, .. } if warnings.len() == 1);
    assert!(events.iter().any(warned), "{events:?}");
    assert_eq!(
        lab.converge(&protecting("data", Habit::Removes, None)).0.refused,
        1,
        "a plan lifts nothing"
    );

    lab.converge(&protecting("data", Habit::Plain, Some(false)));
    let (summary, events) = lab.converge(&protecting("data", Habit::Removes, None));
    assert_eq!((summary.changed, orphans(&events)), (1, Vec::new()));
}

#[test]
fn a_thing_that_cannot_be_planned_is_let_go_all_the_same() {
    let lab = Lab::new();
    lab.converge(&protecting("data", Habit::Plain, Some(true)));
    assert_eq!(
        lab.converge(&protecting("data", Habit::Refuses, Some(false))).0.refused,
        1
    );
    let (_, events) = lab.plan(&protecting("other", Habit::Plain, None));
    assert_eq!(orphans(&events), Vec::<&str>::new());
}

#[test]
fn only_the_roles_of_the_run_have_orphans() {
    let lab = Lab::new();
    lab.converge(&protecting("data", Habit::Plain, Some(true)));
    let graph = protecting("other", Habit::Plain, None);
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    let run = Run {
        names: vec!["another".to_owned()],
        ..lab.run(&graph)
    };
    let mut events = Vec::new();
    plan(&run, &node, &RunState::load(&lab.state()).unwrap(), &mut |event| {
        events.push(event);
    })
    .unwrap();
    assert_eq!(orphans(&events), Vec::<&str>::new());
}

#[test]
fn a_run_stops_at_a_ledger_that_it_cannot_read() {
    let lab = Lab::new();
    lab.state().write("protected.json", b"{").unwrap();
    let graph = protecting("data", Habit::Plain, None);
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    let error = converge(&lab.run(&graph), &node, &lab.state(), &mut |_| {}).unwrap_err();
    assert!(format!("{error:#}").contains("protected.json"), "{error:#}");
}
