//! Who is told of what, counted: of what happened, once; of what did not, never; whatever the moment at which a run fails or dies.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{node::Node, *};

/// A resource of these steps that notifies a listener.
fn graph_of(steps: &[Step]) -> Graph {
    let mut config = note("config", "", Habit::Does(steps.to_vec()));
    config.notify.push(to("listener"));
    graph::build(vec![config, note("listener", "l", Habit::Listens)]).unwrap()
}

/// How often the listener was told.
fn told(lab: &Lab) -> usize {
    lab.read("listener").matches('!').count()
}

#[test]
fn only_what_was_changed_is_told() {
    use Step::{Fails, Refused, Writes};
    for (steps, times) in [
        (&[Writes("/a")][..], 1),
        (&[Refused("/a")], 0),
        (&[Fails], 0),
        (&[Fails, Writes("/a")], 0),
        (&[Refused("/a"), Writes("/b")], 0),
        // What was changed in part is in effect, or may be.
        (&[Writes("/a"), Refused("/b")], 1),
        (&[Writes("/a"), Fails], 1),
    ] {
        let lab = Lab::new();
        for run in 1..=3 {
            lab.converge(&graph_of(steps));
            assert_eq!(told(&lab), times, "{steps:?}, run {run}");
        }
        assert_eq!(
            RunState::load(&lab.state()).unwrap().pending,
            Pending::default(),
            "{steps:?}"
        );
    }
}

#[test]
fn a_run_that_is_killed_anywhere_tells_of_what_happened_once() {
    use Step::{Fails, Refused, Writes};
    let steps = [Writes("/a"), Writes("/b")];
    // Before and after each of its operations, and of the listener's one.
    for kill in 0..=5 {
        for (later, which) in [
            (&steps[..], "the same"),
            (&[Refused("/a"), Writes("/b")], "the first is refused"),
            (&[Fails, Writes("/a"), Writes("/b")], "it fails"),
        ] {
            let lab = Lab::new();
            let real = LocalNode::offline(lab.tree.path()).unwrap();
            // It dies before an operation, or after it.
            let left = AtomicUsize::new(kill);
            let die = || assert!(left.fetch_sub(1, Ordering::Relaxed) > 0, "killed here");
            let node = Node::around(&real).beside(&die);
            let graph = graph_of(&steps);
            let died = catch_unwind(AssertUnwindSafe(|| {
                let _ = converge(&lab.run(&graph), &node, &lab.state(), &mut |_| {});
            }));
            assert!(died.is_err(), "killed at {kill}");
            let changed = lab.tree.path().join("a").exists();
            for _ in 0..3 {
                lab.converge(&graph_of(later));
            }
            // Where the listener's own file was written, and nothing noted that it was, it is told once more: at least once.
            let heard = told(&lab);
            let expected = usize::from(changed || which == "the same");
            let again = usize::from(kill == 5);
            assert!(
                (expected..=expected + again).contains(&heard),
                "killed at {kill}, then {which}: told {heard} times, not {expected}"
            );
        }
    }
}

#[test]
fn nothing_is_changed_that_could_not_be_told() {
    let lab = Lab::new();
    let graph = graph_of(&[Step::Writes("/a")]);
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    let state = lab.state();
    let mut events = Vec::new();
    let summary = converge(&lab.run(&graph), &node, &state, &mut |event| {
        if matches!(&event, Event::Applying { id, .. } if id.name() == "config") {
            in_its_way(lab.state.path());
        }
        events.push(event);
    });
    assert_eq!(summary.unwrap().failed, 1);
    let Outcome::Failed { error } = outcome(&events, "config") else {
        panic!("{events:?}")
    };
    assert!(error.contains("noting who is to be notified"), "{error}");
    assert!(!lab.tree.path().join("a").exists());
    assert_eq!(told(&lab), 0);
}

/// Nothing can be written there any more, as on a full disk.
#[expect(clippy::disallowed_methods, reason = "the test meddles")]
fn in_its_way(state: &Path) {
    std::fs::remove_dir_all(state).unwrap();
    std::fs::write(state, "").unwrap();
}

#[test]
fn what_an_earlier_release_owed_is_still_owed() {
    let lab = Lab::new();
    lab.state()
        .write("pending.json", br#"{"note:listener": ["note:config"]}"#)
        .unwrap();
    lab.converge(&graph_of(&[]));
    assert_eq!(told(&lab), 1);
}
