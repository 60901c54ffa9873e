//! Who is told of what, counted: of what happened, once; of what did not, never; whatever the moment at which a run fails or dies.

use std::{
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::{
    system::{BlockDevice, Bytes, Entry, Export, Group, Guard, Lvm, Mount, Package, Swap, Unit, Usage, User},
    value::{DevicePath, UnitName},
};

/// How a resource comes to its contents, as many small steps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// A file of its own.
    Writes(&'static str),
    /// A file that its `validate` refuses.
    Refused(&'static str),
    /// A program that fails.
    Fails,
}

#[derive(Debug)]
struct Steps {
    id: Id,
    steps: Vec<Step>,
}

impl Resource for Steps {
    fn id(&self) -> Id {
        self.id.clone()
    }

    fn prepare(&mut self, _: &dyn Role) -> Result<()> {
        Ok(())
    }

    fn plan(&self, node: &dyn Probe, _: bool) -> Result<Reading<Plan>> {
        let mut plan = Plan::none();
        for step in &self.steps {
            let (path, validate) = match step {
                Step::Writes(path) => (path, None),
                Step::Refused(path) => (path, Some(vec!["false".to_owned()])),
                Step::Fails => {
                    plan = plan.op(Op::Run(Command::new(["groupdel", "none"])));
                    continue;
                }
            };
            if known!(node.contents(Path::new(path))?).is_none() {
                plan.action = Action::Update;
                plan = plan.change(Change::new(*path, "x")).op(Op::WriteFile {
                    path: path.parse().unwrap(),
                    contents: b"x".as_slice().into(),
                    meta: Meta::default(),
                    validate,
                });
            }
        }
        Ok(Reading::Known(plan))
    }

    fn afterwards(&self, _: &dyn Probe) -> Result<Reading<Vec<String>>> {
        Ok(Reading::Known(Vec::new()))
    }

    fn provides(&self) -> Vec<Fact> {
        Vec::new()
    }

    fn requires(&self) -> Vec<Fact> {
        Vec::new()
    }
}

/// A resource of these steps that notifies a listener.
fn graph_of(steps: &[Step]) -> Graph {
    let mut config = note("config", "", Habit::Plain);
    config.resource = Box::new(Steps {
        id: config.id.clone(),
        steps: steps.to_vec(),
    });
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
        assert_eq!(Earlier::load(&lab.state()).unwrap().owed, Owed::default(), "{steps:?}");
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
            let node = Dying {
                node: &real,
                left: AtomicUsize::new(kill),
            };
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

/// A node on which the run dies before an operation, or after it.
struct Dying<'n> {
    node: &'n LocalNode,
    left: AtomicUsize,
}

impl Dying<'_> {
    fn may_die(&self) {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        assert!(left > 0, "killed here");
    }
}

impl System for Dying<'_> {
    fn execute(&self, op: &Op) -> Result<()> {
        self.may_die();
        self.node.execute(op)?;
        self.may_die();
        Ok(())
    }
}

macro_rules! by_its_node {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl Probe for Dying<'_> {
            $(fn $name(&self, $($arg: $type),*) -> Result<Reading<$answer>> {
                self.node.$name($($arg),*)
            })+
        }
    };
}

by_its_node! {
    entry(path: &Path) -> Option<Entry>;
    contents(path: &Path) -> Option<Bytes>;
    list(path: &Path) -> Vec<OsString>;
    user(name: &str) -> Option<User>;
    group(name: &str) -> Option<Group>;
    package(name: &str) -> Option<Package>;
    unit(name: &UnitName) -> Option<Unit>;
    mounts() -> Arc<Vec<Mount>>;
    usage(mount_point: &Path) -> Usage;
    block(device: &DevicePath) -> Option<BlockDevice>;
    lvm() -> Arc<Lvm>;
    swaps() -> Arc<Vec<Swap>>;
    exports() -> Arc<Vec<Export>>;
    guard(guard: &Guard) -> bool;
}
