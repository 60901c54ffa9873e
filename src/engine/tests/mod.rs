//! Planning and converging on a tree of files, with resources that are as small as the point they make.

mod lab;
mod ledger;
mod node;
mod notifications;

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};

use self::lab::*;
use super::{Run, RunState, converge, pending::Pending, plan};
use crate::{
    engine::event::{Event, Outcome},
    graph::{self, Declaration, Graph, Retry},
    resource::{Action, Plan, Resource, Role},
    system::{Claim, LocalNode, Meta, Op, Probe, Reading, System},
    value::Id,
};

#[test]
fn a_plan_changes_nothing_and_is_what_happens_and_then_nothing_is_left() {
    let lab = Lab::new();
    let mut second = note("second", "2", Habit::Listens);
    second.needs.push(to("first"));
    let mut first = note("first", "1", Habit::Plain);
    first.notify.push(to("second"));
    let graph = graph::build(vec![second, first]).unwrap();

    let (planned, _) = lab.plan(&graph);
    assert_eq!((planned.changed, planned.unchanged), (2, 0));
    assert_eq!(lab.tree.path().read_dir().unwrap().count(), 0, "planning wrote");

    let (done, events) = lab.converge(&graph);
    assert_eq!(done, planned);
    assert_eq!(drifts(&events), 0);
    assert_eq!(lab.read("second"), "2!");

    let (again, events) = lab.converge(&graph);
    assert_eq!((again.changed, again.unchanged), (0, 2));
    assert_eq!(drifts(&events), 0);
}

#[test]
fn a_failure_stops_what_needs_it_and_nothing_else() {
    let lab = Lab::new();
    let mut changed = note("changed", "c", Habit::Plain);
    changed.notify.push(to("listener"));
    let mut bad = note("bad", "b", Habit::Fails);
    bad.notify.push(to("listener"));
    let mut child = note("child", "x", Habit::Plain);
    child.needs.push(to("bad"));
    let mut grandchild = note("grandchild", "x", Habit::Plain);
    grandchild.needs.push(to("child"));
    let graph = graph::build(vec![
        bad,
        child,
        grandchild,
        changed,
        note("listener", "l", Habit::Listens),
        note("free", "f", Habit::Plain),
    ])
    .unwrap();
    let (summary, events) = lab.converge(&graph);
    assert_eq!((summary.failed, summary.skipped, summary.changed), (1, 2, 3));
    assert_eq!(
        *outcome(&events, "grandchild"),
        Outcome::Skipped {
            because: "needs note:bad".to_owned(),
            cause: Some("note:bad".parse().unwrap()),
        }
    );
    assert_eq!(lab.read("listener"), "l!", "notified by what did change");
    assert_eq!(lab.read("free"), "f");
}

#[test]
fn a_notification_survives_the_death_of_the_run() {
    let lab = Lab::new();
    let declare = |habit| {
        let mut config = note("config", "new", Habit::Plain);
        config.notify.push(to("listener"));
        let mut listener = note("listener", "l", habit);
        listener.needs.push(to("gate"));
        graph::build(vec![config, note("gate", "g", Habit::Plain), listener]).unwrap()
    };
    // The run ends right after the change: the listener's turn never comes.
    let graph = declare(Habit::Listens);
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    let state = lab.state();
    let mut config_done = false;
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = converge(&lab.run(&graph), &node, &state, &mut |event| {
            assert!(!config_done, "killed here");
            config_done = matches!(&event, Event::Applied { id, .. } if id.name() == "config");
        });
    }));
    assert!(died.is_err());
    assert_eq!(lab.read("config"), "new");

    let (planned, _) = lab.plan(&graph);
    assert_eq!(planned.changed, 2, "the dry run knows what is pending");
    let (_, events) = lab.converge(&graph);
    assert_eq!(*outcome(&events, "config"), Outcome::Unchanged);
    assert_eq!(lab.read("listener"), "l!");
    assert_eq!(RunState::load(&lab.state()).unwrap().pending, Pending::default());
    lab.converge(&graph);
    assert_eq!(lab.read("listener"), "l!", "once");
}

/// A role with nothing beside it.
struct Alone;

impl Role for Alone {
    fn file(&self, source: &str) -> Result<crate::system::Bytes> {
        bail!("there is no file {source}")
    }

    fn tree(&self, source: &str) -> Result<Vec<String>> {
        bail!("there is no directory {source}")
    }

    fn render(&self, source: &str, _: &serde_json::Map<String, serde_json::Value>) -> Result<String> {
        bail!("there is no template {source}")
    }
}

/// A job of every minute, in a run in which each look at the clock finds another minute.
#[test]
fn what_follows_from_the_time_is_no_drift() {
    let lab = Lab::new();
    let real = LocalNode::offline(lab.tree.path()).unwrap();
    for path in ["/etc", "/etc/cron.d"] {
        let path = path.parse().unwrap();
        real.execute(&Op::MakeDirectory {
            path,
            meta: Meta::default(),
        })
        .unwrap();
    }
    for (path, text) in [
        ("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("/etc/group", "root:x:0:\n"),
    ] {
        let (path, contents) = (path.parse().unwrap(), text.as_bytes().into());
        let meta = Meta::default();
        real.execute(&Op::WriteFile {
            path,
            contents,
            meta,
            validate: None,
        })
        .unwrap();
    }
    let minutes = std::sync::atomic::AtomicI64::new(0);
    let clock = || {
        let minute = minutes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let start: jiff::Zoned = "2026-11-30T23:58:59.9[UTC]".parse().unwrap();
        start + jiff::Span::new().minutes(minute)
    };
    let node = node::Node::around(&real).clock(&clock);
    let job = serde_json::json!({"name": "often", "schedule": "* * * * *", "command": "true", "in": "cron.d"});
    let mut declared = note("job", "", Habit::Plain);
    declared.resource = crate::resource::parse("cron", job).unwrap().unwrap();
    declared.resource.prepare(&Alone).unwrap();
    let graph = graph::build(vec![declared]).unwrap();
    let mut events = Vec::new();
    let summary = converge(&lab.run(&graph), &node, &lab.state(), &mut |event| events.push(event)).unwrap();
    assert_eq!((summary.changed, drifts(&events)), (1, 0), "{events:?}");
    assert!(minutes.into_inner() > 1, "the clock was asked again");
}

#[test]
fn what_is_never_satisfied_has_failed() {
    let lab = Lab::new();
    let graph = graph::build(vec![note("restless", "r", Habit::Restless)]).unwrap();
    let (_, events) = lab.converge(&graph);
    let Outcome::Failed { error } = outcome(&events, "restless") else {
        panic!("{events:?}")
    };
    assert_eq!(
        error,
        "it was applied and is still not as declared (contents: nothing is there)"
    );
}

#[test]
fn a_refusal_is_told_apart() {
    let lab = Lab::new();
    let graph = graph::build(vec![note("disk", "", Habit::Refuses)]).unwrap();
    let (summary, events) = lab.converge(&graph);
    assert_eq!((summary.refused, summary.failed), (1, 0));
    assert!(matches!(outcome(&events, "disk"), Outcome::Refused { hint, .. } if hint == "name it in wipe"));
}

#[test]
fn operations_are_tried_again() {
    let lab = Lab::new();
    let mut bad = note("bad", "b", Habit::Fails);
    bad.retry = Retry {
        times: 2,
        delay: Duration::from_millis(1),
    };
    let graph = graph::build(vec![bad]).unwrap();
    let (summary, events) = lab.converge(&graph);
    assert_eq!(summary.failed, 1);
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Waiting { .. }))
            .count(),
        2
    );
}

#[test]
fn a_node_that_moves_is_reported() {
    let lab = Lab::new();
    let graph = graph::build(vec![
        note("first", "1", Habit::Plain),
        note("second", "2", Habit::Plain),
    ])
    .unwrap();
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    let mut drift = Vec::new();
    converge(&lab.run(&graph), &node, &lab.state(), &mut |event| match event {
        Event::Applied { id, .. } if id.name() == "first" => {
            meddle(&lab);
        }
        Event::Drift { id, message } => drift.push((id, message)),
        _ => {}
    })
    .unwrap();
    assert_eq!(
        drift,
        [(
            Id::new("note", "second"),
            "the plan was: update (contents); now it is: nothing to do".to_owned()
        )]
    );
}

/// Somebody else puts the wanted file in place between the plan and its turn.
fn meddle(lab: &Lab) {
    let write = Op::WriteFile {
        path: "/second".parse().unwrap(),
        contents: b"2".as_slice().into(),
        meta: Meta::default(),
        validate: None,
    };
    LocalNode::offline(lab.tree.path()).unwrap().execute(&write).unwrap();
}

#[test]
fn what_a_package_may_bring_is_unknown_to_those_that_need_it() {
    let overlay_base = crate::system::overlay::Bare;
    let mut config = note("etc", "c", Habit::Plain);
    config.resource = Box::new(Note {
        id: config.id.clone(),
        path: "/etc/thing.conf".parse().unwrap(),
        contents: "c",
        habit: Habit::Plain,
    });
    config.needs.push(to("package"));
    let mut listener = note("listener", "", Habit::Listens);
    listener.id = Id::new("note", "listener");
    config.notify.push(to("listener"));
    let graph = graph::build(vec![note("package", "", Habit::Installs), config, listener]).unwrap();
    let lab = Lab::new();
    let mut found = Vec::new();
    plan(&lab.run(&graph), &overlay_base, &RunState::default(), &mut |event| {
        if let Event::Planned { id, outcome, .. } = event {
            found.push((id.name().to_owned(), outcome));
        }
    })
    .unwrap();
    assert!(matches!(
        &found[0].1,
        Outcome::Changed {
            action: Action::Create,
            ..
        }
    ));
    let Outcome::Unknown { after, wants } = &found[1].1 else {
        panic!("{found:?}")
    };
    assert_eq!((after.name(), wants.len()), ("package", 1));
    assert!(
        matches!(&found[2].1, Outcome::Changed { .. }),
        "it is missing, whoever tells it"
    );
}

#[test]
fn a_stop_between_operations_ends_the_run() -> Result<()> {
    let lab = Lab::new();
    let graph = graph::build(vec![note("first", "1", Habit::Plain)]).unwrap();
    let node = LocalNode::offline(lab.tree.path())?;
    let run = Run {
        stop: || true,
        ..lab.run(&graph)
    };
    let mut last = None;
    let Err(error) = converge(&run, &node, &lab.state(), &mut |event| last = Some(event)) else {
        bail!("it went on")
    };
    assert!(error.is::<super::Stopped>());
    let Some(Event::RunFinished { stopped, summary, .. }) = last else {
        bail!("it ended with {last:?}")
    };
    assert_eq!(
        (stopped.as_deref(), summary.total()),
        (Some("stopped by a signal; run again to go on"), 0)
    );
    let record = lab.state.path().join("runs").join(&run.name).join("events.ndjson");
    let record = std::io::read_to_string(std::fs::File::open(record)?)?;
    assert!(
        record.lines().last().is_some_and(|line| line.contains("run_finished")),
        "{record}"
    );
    Ok(())
}

#[test]
fn what_failed_after_an_operation_has_changed_something() {
    let lab = Lab::new();
    let graph = graph::build(vec![
        note("restless", "r", Habit::Restless),
        note("bad", "b", Habit::Fails),
    ])
    .unwrap();
    let (summary, _) = lab.converge(&graph);
    assert_eq!((summary.failed, summary.changed, summary.partly), (2, 0, 1));
}

#[test]
fn a_timeout_is_for_the_program_that_validates_too() {
    let lab = Lab::new();
    let mut slow = note("slow", "s", Habit::Plain);
    slow.resource = Box::new(Validated(slow.id.clone()));
    slow.timeout = Some(Duration::from_millis(50));
    let graph = graph::build(vec![slow]).unwrap();
    let (_, events) = lab.converge(&graph);
    let Outcome::Failed { error } = outcome(&events, "slow") else {
        panic!("{events:?}")
    };
    assert!(error.contains("took longer than 0.05 s"), "{error}");
}

/// A file whose validation takes long.
#[derive(Debug)]
struct Validated(Id);

impl Resource for Validated {
    fn id(&self) -> Id {
        self.0.clone()
    }

    fn prepare(&mut self, _: &dyn Role) -> Result<()> {
        Ok(())
    }

    fn plan(&self, _: &dyn Probe, _: bool) -> Result<Reading<Plan>> {
        Ok(Reading::Known(Plan::to(Action::Create).op(Op::WriteFile {
            path: "/validated".parse().unwrap(),
            contents: b"x".as_slice().into(),
            meta: Meta::default(),
            validate: Some(vec!["sleep".to_owned(), "60".to_owned()]),
        })))
    }

    fn final_warnings(&self, _: &dyn Probe) -> Result<Reading<Vec<String>>> {
        Ok(Reading::Known(Vec::new()))
    }

    fn provides(&self) -> Vec<Claim> {
        Vec::new()
    }

    fn requires(&self) -> Vec<Claim> {
        Vec::new()
    }
}

#[test]
fn a_run_that_cannot_be_recorded_is_done_all_the_same() {
    let lab = Lab::new();
    lab.state().write("runs", b"in the way").unwrap();
    let graph = graph::build(vec![note("first", "1", Habit::Plain)]).unwrap();
    let (summary, _) = lab.converge(&graph);
    assert_eq!(summary.changed, 1);
}

#[test]
fn the_last_runs_are_kept_and_some_that_had_something_to_tell() {
    use std::{fs, io::Write};
    let lab = Lab::new();
    let state = lab.state();
    for day in 0..90 {
        // Until day 40 every other run has changed something.
        let lines = if day < 40 && day % 2 == 0 {
            "{}\n{}\n{}\n"
        } else {
            "{}\n{}\n"
        };
        let mut record = state.journal(&format!("202601{day:02}T000000Z-1")).unwrap();
        record.write_all(lines.as_bytes()).unwrap();
    }
    state.journal("mine").unwrap();
    assert!(super::Run::is_name(&super::Run::fresh_name()));

    let graph = graph::build(vec![note("first", "1", Habit::Plain)]).unwrap();
    lab.converge(&graph);
    let runs = state.runs().unwrap();
    let kept: Vec<&str> = runs
        .iter()
        .filter_map(|name| name.strip_prefix("202601"))
        .map(|rest| &rest[..2])
        .collect();
    let expected: Vec<String> = (20..40).step_by(2).chain(41..90).map(|day| day.to_string()).collect();
    assert_eq!(kept, expected);
    assert_eq!(runs.len(), 49 + 10 + 2, "and this one, and what is called otherwise");

    let run = Run {
        name: "again".to_owned(),
        ..lab.run(&graph)
    };
    let node = LocalNode::offline(lab.tree.path()).unwrap();
    converge(&run, &node, &state, &mut |_| {}).unwrap();
    let record = lab.state.path().join("runs/again/events.ndjson");
    let size = fs::metadata(&record).unwrap().len();
    assert!(size < 600, "a run without changes leaves {size} bytes");
}
