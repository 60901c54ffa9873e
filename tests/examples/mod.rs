//! The roles in `examples/`, each of which is run: below a directory where that is all it needs, and else planned over a bare node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use glrl::{
    engine::event::{Event, Outcome},
    engine::{self, Run, RunState},
    graph,
    system::{BlockDevice, Contents},
};

use crate::{cases::Disks, support};

/// How an example is run.
#[derive(Clone, Copy)]
enum How {
    /// Converged twice below a directory with this many resources, the second time without a change.
    Converged(usize),
    /// Planned over a bare node with an empty disk: so many change, and so many are known after a package.
    Planned { changed: usize, unknown: usize },
}

use How::{Converged, Planned};

/// All of them: name, inputs, how it is run.
const EXAMPLES: [(&str, &[&str], How); 8] = [
    ("cron", &["keep_days=7"], Converged(6)),
    ("disk", &["disk=/dev/vdb"], Planned { changed: 7, unknown: 0 }),
    ("include", &["purpose=a web server"], Converged(4)),
    ("motd", &["purpose=a database server"], Converged(1)),
    ("ssh", &[], Planned { changed: 1, unknown: 3 }),
    ("tree", &[], Converged(2)),
    ("users", &[], Converged(3)),
    ("web", &["port=8080"], Planned { changed: 1, unknown: 2 }),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_example_is_run() {
    let there: BTreeSet<String> = fs::read_dir(directory())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let listed = EXAMPLES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(there, listed, "the files in examples/, and the table");
}

#[test]
fn examples_run() {
    for (name, set, how) in EXAMPLES {
        let role = directory().join(format!("{name}.yml"));
        match how {
            Converged(resources) => converge(&role, set, resources),
            Planned { changed, unknown } => plan(&role, set, changed, unknown),
        }
    }
}

/// Converges twice below a directory that has what a role may expect of any machine.
fn converge(role: &Path, set: &[&str], resources: usize) {
    let root = tempfile::tempdir().expect("a directory");
    for name in ["etc", "home", "srv", "usr"] {
        fs::create_dir(root.path().join(name)).expect("a directory");
    }
    for (name, text) in [
        ("passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("shadow", "root:*:20000:0:99999:7:::\n"),
        ("group", "root:x:0:\n"),
        ("gshadow", "root:*::\n"),
    ] {
        fs::write(root.path().join("etc").join(name), text).expect("a file");
    }
    for (time, status, summary) in [
        ("first", 2, format!("changed {resources}, unchanged 0, failed 0")),
        ("second", 0, format!("changed 0, unchanged {resources}, failed 0")),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_glrl"))
            .args(["converge", "--detailed-exitcode", "--role"])
            .arg(role)
            .arg("--roles-dir")
            .arg(directory())
            .arg("--root")
            .arg(root.path())
            .args(set.iter().flat_map(|value| ["--set", value]))
            .output()
            .expect("glrl runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let about = format!(
            "{}, the {time} time: {said}{}",
            role.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(status), "{about}");
        assert!(said.contains(&summary), "not '{summary}' in {about}");
    }
}

/// Plans over a bare node with the empty disk /dev/vdb.
fn plan(role: &Path, set: &[&str], changed: usize, unknown: usize) {
    let loaded = support::load_with(role, set).unwrap_or_else(|wrong| panic!("{wrong}"));
    let graph =
        graph::build(loaded.declarations).unwrap_or_else(|wrong| panic!("{}", support::draw(&wrong, &loaded.sources)));
    let disk = BlockDevice {
        path: "/dev/vdb".into(),
        size: 10 << 30,
        read_only: false,
        in_use: None,
        contents: Contents::Empty,
    };
    let node = Disks(BTreeMap::from([(disk.path.clone(), disk)]));
    let run = Run {
        graph: &graph,
        sources: &loaded.sources,
        name: "example".to_owned(),
        host: "example".to_owned(),
        roles: vec!["example".to_owned()],
        names: vec!["example".to_owned()],
        stop: || false,
    };
    let (mut counted, mut others) = ((0, 0), Vec::new());
    engine::plan(&run, &node, &RunState::default(), &mut |event| {
        let Event::Planned { id, outcome, .. } = event else {
            return;
        };
        match outcome {
            Outcome::Changed { .. } => counted.0 += 1,
            Outcome::Unknown { after, .. } if after.kind() == "package" => counted.1 += 1,
            outcome => others.push(format!("{id}: {outcome:?}")),
        }
    })
    .unwrap_or_else(|error| panic!("{}: {error:#}", role.display()));
    assert!(others.is_empty(), "{}: {others:?}", role.display());
    assert_eq!(counted, (changed, unknown), "{}", role.display());
}
