//! Cases as data: `tests/cases/KIND/NAME.yml` says what a node is like, what a role wants, what the plan is, and what the node is like
//! afterwards. Each case runs on an overlay over a bare node, and each is held to the laws: what was planned is what is applied, without
//! drift, and a second plan is empty.

mod node;
mod state;
mod volumes;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use glrl::{
    engine::event::{Event, Outcome},
    engine::{self, Run, RunState},
    graph,
    resource::Change,
    system::state::StateDir,
};
use serde::Deserialize;

use node::CaseNode;
pub(crate) use node::Disks;
use state::State;

/// One case.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    /// What it shows, in a sentence.
    about: String,
    /// The node before.
    before: State,
    /// What packages bring when they are installed, and programs, by their whole command, when they are run.
    brings: BTreeMap<String, State>,
    /// Files beside the role: `templates/motd.hbs`, `files/motd`.
    beside: BTreeMap<String, String>,
    /// A role that was converged before, without its first line.
    earlier: String,
    /// The role, without its first line.
    role: String,
    /// What the dry run says, one line a resource that is not unchanged: see `line`.
    plan: Vec<String>,
    /// What converging did, where it is not what was planned: what was unknown is known now.
    converge: Option<Vec<String>>,
    /// The node after.
    after: State,
}

#[test]
fn every_case() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files = Vec::new();
    collect(&directory, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no case in {}", directory.display());
    let only = std::env::var("GLRL_CASE").unwrap_or_default();
    let mut wrong = Vec::new();
    let mut run = 0;
    for file in files.iter().filter(|file| file.to_string_lossy().contains(&only)) {
        run += 1;
        let name = file.strip_prefix(&directory).expect("below it").display().to_string();
        if let Err(problem) = check(file) {
            wrong.push(format!("{name}: {problem}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {run} cases:\n\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn every_kind_has_cases() {
    for kind in glrl::resource::KINDS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cases")
            .join(kind.name);
        assert!(directory.is_dir(), "{} has no folder in tests/cases", kind.name);
        let mut cases = Vec::new();
        collect(&directory, &mut cases);
        assert!(
            cases.len() >= 2,
            "{} has {} cases, which are too few",
            kind.name,
            cases.len()
        );
        for case in cases {
            let text = fs::read_to_string(&case).expect("a case");
            assert!(
                text.contains(&format!("- {}:", kind.name)),
                "{} is about another kind",
                case.display()
            );
        }
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("wrong") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
}

/// Runs one case; an error says in what it differs.
fn check(file: &Path) -> Result<(), String> {
    let case: Case = crate::support::read(file)?;
    if case.about.is_empty() {
        return Err("it does not say what it shows: add `about`".to_owned());
    }
    let beside = tempfile::tempdir().expect("a directory");
    for (name, contents) in &case.beside {
        let path = beside.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, contents).expect("a file");
    }
    let base = case.before.base();
    let node = CaseNode::new(&base, &case.before, &case.brings);
    let state = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(state.path()).expect("a state directory");
    let role = beside.path().join("roles/case.yml");
    fs::create_dir_all(beside.path().join("roles")).expect("a directory");
    if !case.earlier.is_empty() {
        with_run(&role, &case.earlier, |run| {
            engine::converge(run, &node, &state, &mut |_| {}).map_err(|error| format!("{error:#}"))
        })?;
    }
    with_run(&role, &case.role, |run| check_run(&case, run, &node, &state))?;
    case.after.compare(&node)
}

/// A run of a role with this text.
fn with_run<T>(role: &Path, text: &str, then: impl FnOnce(&Run<'_>) -> Result<T, String>) -> Result<T, String> {
    fs::write(role, format!("role: case\n{text}")).expect("a role");
    let loaded = crate::support::load(role)?;
    let graph = graph::build(loaded.declarations).map_err(|wrong| crate::support::draw(&wrong, &loaded.sources))?;
    then(&Run {
        graph: &graph,
        sources: &loaded.sources,
        name: "case".to_owned(),
        host: "case".to_owned(),
        roles: vec!["case".to_owned()],
        names: vec!["case".to_owned()],
        stop: || false,
    })
}

fn check_run(case: &Case, run: &Run<'_>, node: &CaseNode<'_>, state: &StateDir) -> Result<(), String> {
    let plan = |sink: &mut dyn FnMut(Event)| {
        let run_state = RunState::load(state)?;
        engine::plan(run, node, &run_state, sink)
    };
    let mut planned = Vec::new();
    plan(&mut |event| planned.extend(line(&event))).map_err(|error| format!("{error:#}"))?;
    expect("plan", &case.plan, &planned)?;

    let (mut applied, mut drift, mut open) = (Vec::new(), Vec::new(), HashSet::new());
    engine::converge(run, node, state, &mut |event| match &event {
        Event::Drift { id, message } => drift.push(format!("{id}: {message}")),
        Event::Applied { id, outcome, .. } => {
            applied.extend(line(&event));
            if matches!(
                outcome,
                Outcome::Failed { .. } | Outcome::Refused { .. } | Outcome::Skipped { .. }
            ) {
                open.insert(id.clone());
            }
        }
        Event::Warning { .. } => applied.extend(line(&event)),
        _ => {}
    })
    .map_err(|error| format!("{error:#}"))?;
    if !drift.is_empty() {
        return Err(format!("what was planned turned out otherwise: {}", drift.join("; ")));
    }
    // Orphans are the plan's to list.
    let mut expected = case.converge.as_ref().unwrap_or(&case.plan).clone();
    expected.retain(|line| !line.starts_with("orphan "));
    expect("converge", &expected, &applied)?;

    // What failed is still open, what was warned of may be warned of again, and all else is done.
    let mut left = Vec::new();
    plan(&mut |event| match &event {
        Event::Planned { id, .. } if open.contains(id) => {}
        Event::Orphan { .. }
        | Event::Warning { .. }
        | Event::Planned {
            outcome: Outcome::Unchanged,
            ..
        } => {}
        _ => left.extend(line(&event)),
    })
    .map_err(|error| format!("{error:#}"))?;
    expect("a second plan", &Vec::new(), &left)
}

fn expect(what: &str, expected: &Vec<String>, found: &Vec<String>) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let list = |lines: &Vec<String>| lines.iter().map(|line| format!("    - {line:?}\n")).collect::<String>();
    Err(format!("{what} is\n{}  and should be\n{}", list(found), list(expected)))
}

fn properties(changes: &[Change]) -> String {
    changes
        .iter()
        .map(|change| change.property.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A resource's outcome in one line, `None` where it stays as it is: `update file:/etc/motd: contents, mode`.
fn line(event: &Event) -> Option<String> {
    match event {
        Event::Orphan { id, role } => return Some(format!("orphan {id} of {role}")),
        Event::Warning { id, message } => return Some(format!("warn {id}: {message}")),
        _ => {}
    }
    let (Event::Planned {
        id, outcome, warnings, ..
    }
    | Event::Applied {
        id, outcome, warnings, ..
    }) = event
    else {
        return None;
    };
    let mut line = match outcome {
        Outcome::Unchanged if warnings.is_empty() => return None,
        Outcome::Unchanged => format!("keep {id}"),
        Outcome::Changed { action, changes, .. } => {
            format!("{action} {id}: {}", properties(changes))
        }
        Outcome::Unknown { after, wants } if wants.is_empty() => format!("unknown {id} after {after}"),
        Outcome::Unknown { after, wants } => format!("unknown {id} after {after}: {}", properties(wants)),
        Outcome::Skipped { because, .. } => format!("skip {id}: {because}"),
        Outcome::Failed { error } => format!("fail {id}: {error}"),
        Outcome::Refused { error, .. } => format!("refuse {id}: {error}"),
    };
    for warning in warnings {
        line += &format!("; warning: {warning}");
    }
    Some(line)
}
