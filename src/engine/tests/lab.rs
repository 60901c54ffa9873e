//! A tree of files to run on, and resources that are as small as the point that a test makes.

use std::path::Path;

use anyhow::Result;

use super::super::{Run, RunState, converge, plan};
use crate::{
    engine::event::{Event, Outcome, Summary},
    graph::{Declaration, Graph, Reference, Retry},
    resource::{Action, Change, Plan, Resource, Role, Shown},
    source::{Place, Sources},
    system::{Claim, Command, Effect, LocalNode, Meta, Op, Probe, Reading, Refused, known, state::StateDir},
    value::{AbsPath, Id},
};

/// A file with these contents; what it does beyond that is its `Habit`.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) id: Id,
    pub(super) path: AbsPath,
    pub(super) contents: &'static str,
    pub(super) habit: Habit,
}

#[derive(Debug, PartialEq)]
pub(super) enum Habit {
    /// None.
    Plain,
    /// It also counts, in its file, how often it was notified.
    Listens,
    /// Its operation fails.
    Fails,
    /// It is never satisfied.
    Restless,
    /// It protects data.
    Refuses,
    /// It installs a package.
    Installs,
    /// It wants no file.
    Removes,
    /// It comes to its contents in many small steps.
    Does(Vec<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// A file of its own.
    Writes(&'static str),
    /// A file that its `validate` refuses.
    Refused(&'static str),
    /// A program that fails.
    Fails,
}

/// What is left to do of these steps.
pub(super) fn left_of(steps: &[Step], node: &dyn Probe) -> Result<Reading<Plan>> {
    let mut plan = Plan::none();
    for step in steps {
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

impl Resource for Note {
    fn id(&self) -> Id {
        self.id.clone()
    }

    fn prepare(&mut self, _: &dyn Role) -> Result<()> {
        Ok(())
    }

    fn plan(&self, node: &dyn Probe, notified: bool) -> Result<Reading<Plan>> {
        if self.habit == Habit::Refuses {
            return Err(Refused::because("an ext4 is on it", "name it in wipe"));
        }
        if self.habit == Habit::Installs {
            let there = known!(node.package("thing")?).is_some();
            let install = Plan::to(Action::Create).op(Op::Install {
                packages: vec!["thing".to_owned()],
            });
            return Ok(Reading::Known(if there { Plan::none() } else { install }));
        }
        if let Habit::Does(steps) = &self.habit {
            return left_of(steps, node);
        }
        let now = known!(node.contents(&self.path)?);
        if self.habit == Habit::Removes {
            let path = self.path.clone();
            return Ok(Reading::Known(now.map_or_else(Plan::none, |_| {
                Plan::to(Action::Remove).op(Op::Remove { path })
            })));
        }
        let mut wanted = self.contents.to_owned();
        if self.habit == Habit::Listens {
            let told = now
                .as_deref()
                .map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'!').count());
            wanted += &"!".repeat(told + usize::from(notified));
        }
        if now.as_deref() == Some(wanted.as_bytes()) && self.habit != Habit::Restless {
            return Ok(Reading::Known(Plan::none()));
        }
        let mut plan = Plan::to(Action::Update).change(Change::new("contents", Shown::Text(wanted.clone())));
        if self.habit == Habit::Fails {
            plan = plan.op(Op::Run(
                Command::new(["groupdel", "none"]).makes([Effect::Entry(self.path.to_path_buf(), None)]),
            ));
        }
        Ok(Reading::Known(plan.op(Op::WriteFile {
            path: self.path.clone(),
            contents: wanted.into_bytes().into(),
            meta: Meta::default(),
            validate: None,
        })))
    }

    fn final_warnings(&self, _: &dyn Probe) -> Result<Reading<Vec<String>>> {
        Ok(Reading::Known(Vec::new()))
    }

    fn provides(&self) -> Vec<Claim> {
        vec![Claim::Path(self.path.clone())]
    }

    fn requires(&self) -> Vec<Claim> {
        Vec::new()
    }
}

pub(super) fn note(name: &str, contents: &'static str, habit: Habit) -> Declaration {
    let id = Id::new("note", name);
    let path = if habit == Habit::Installs {
        format!("/pkg-{name}")
    } else {
        format!("/{name}")
    };
    Declaration {
        id: id.clone(),
        resource: Box::new(Note {
            id,
            path: path.parse().unwrap(),
            contents,
            habit,
        }),
        place: place(),
        role: "test".into(),
        skipped: None,
        needs: Vec::new(),
        before: Vec::new(),
        notify: Vec::new(),
        retry: Retry::default(),
        timeout: None,
        protect: None,
    }
}

pub(super) fn place() -> Place {
    Place::new(Sources::default().add("role.yml", ""), 0..0)
}

pub(super) fn to(name: &str) -> Reference {
    Reference {
        id: Id::new("note", name),
        place: place(),
    }
}

/// A tree, its state directory, and what runs on it say.
pub(super) struct Lab {
    pub(super) tree: tempfile::TempDir,
    pub(super) state: tempfile::TempDir,
    pub(super) sources: Sources,
}

impl Lab {
    pub(super) fn new() -> Self {
        let mut sources = Sources::default();
        sources.add("role.yml", "");
        Self {
            tree: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            sources,
        }
    }

    pub(super) fn run<'a>(&'a self, graph: &'a Graph) -> Run<'a> {
        Run {
            graph,
            sources: &self.sources,
            name: Run::fresh_name(),
            host: "test".to_owned(),
            roles: Vec::new(),
            names: vec!["test".to_owned()],
            stop: || false,
        }
    }

    pub(super) fn state(&self) -> StateDir {
        StateDir::open(self.state.path()).unwrap()
    }

    pub(super) fn plan(&self, graph: &Graph) -> (Summary, Vec<Event>) {
        let node = LocalNode::offline(self.tree.path()).unwrap();
        let mut events = Vec::new();
        let run_state = RunState::load(&self.state()).unwrap();
        let summary = plan(&self.run(graph), &node, &run_state, &mut |event| events.push(event)).unwrap();
        (summary, events)
    }

    pub(super) fn converge(&self, graph: &Graph) -> (Summary, Vec<Event>) {
        let node = LocalNode::offline(self.tree.path()).unwrap();
        let mut events = Vec::new();
        let summary = converge(&self.run(graph), &node, &self.state(), &mut |event| events.push(event)).unwrap();
        (summary, events)
    }

    pub(super) fn read(&self, name: &str) -> String {
        let file = LocalNode::offline(self.tree.path())
            .unwrap()
            .contents(&Path::new("/").join(name))
            .unwrap();
        match file {
            Reading::Known(Some(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{name}: {other:?}"),
        }
    }
}

pub(super) fn outcome<'e>(events: &'e [Event], name: &str) -> &'e Outcome {
    events
        .iter()
        .find_map(|event| match event {
            Event::Applied { id, outcome, .. } if id.name() == name => Some(outcome),
            _ => None,
        })
        .unwrap_or_else(|| panic!("{name} had no turn"))
}

pub(super) fn drifts(events: &[Event]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event, Event::Drift { .. }))
        .count()
}
