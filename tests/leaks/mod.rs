//! No secret in any form: hard texts, in every property of every kind, looked for in all that glrl says and keeps.
//!
//! Each text has a process of its own, since a process knows its secrets by value. `GLRL_TEXT` names the text in it.

mod arguments;
mod cron;
mod notifications;
mod roles;
mod texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use glrl::{
    config::{self, Request},
    engine::{self, Run, RunState},
    graph::{self, Format},
    report::{Human, Json, Renderer, Verbosity, diagnostic, object},
    system::{BlockDevice, Contents, facts::SampleFacts},
};

use self::{
    roles::Variant,
    texts::{Traces, all},
};
use crate::{cases::Disks, support};

/// Says what it looks like where the secret is none of the hard texts.
const NEUTRAL: &str = "neutral";

/// Kinds that need no more than a tree of files.
const OF_A_TREE: [&str; 8] = ["file", "template", "directory", "link", "line", "user", "group", "cron"];

/// What was said of one text, by the output's name.
type Outputs = BTreeMap<String, Vec<u8>>;

/// A sample of the texts, for each run of the tests.
#[test]
fn hard_texts_are_nowhere() {
    try_texts(|index| index % 8 == 1);
}

/// All of them.
#[test]
#[ignore = "takes minutes: make test-long"]
fn all_hard_texts_are_nowhere() {
    try_texts(|_| true);
}

fn try_texts(wanted: impl Fn(usize) -> bool) {
    let open = outputs_of(NEUTRAL);
    let open: Vec<u8> = open.values().flatten().copied().collect();
    let names: Vec<_> = all()
        .into_iter()
        .enumerate()
        .filter(|(index, _)| wanted(*index))
        .map(|(_, text)| text)
        .collect();
    let mut leaks = Vec::new();
    let (mut said, mut outputs) = (0, BTreeSet::new());
    for pair in names.chunks(2) {
        let found = std::thread::scope(|scope| {
            let children: Vec<_> = pair.iter().map(|(name, _)| scope.spawn(|| outputs_of(name))).collect();
            children
                .into_iter()
                .map(|child| child.join().unwrap())
                .collect::<Vec<_>>()
        });
        for ((name, text), found) in pair.iter().zip(found) {
            let traces = Traces::of(text, &open);
            for (output, bytes) in found {
                said += bytes.len();
                leaks.extend(
                    traces
                        .find(&bytes)
                        .map(|around| format!("{name}, {output}: {around}\n")),
                );
                outputs.insert(output);
            }
        }
    }
    println!(
        "{} texts, {} resources, {} outputs, {said} bytes: {} found",
        names.len(),
        roles::variants().len(),
        outputs.len(),
        leaks.len()
    );
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// What is said and kept where this text is the secret, by a process of its own.
fn outputs_of(name: &str) -> Outputs {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leaks::one_text", "--nocapture"])
        .env("GLRL_TEXT", name)
        .env("GLRL_OUTPUTS", directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    let files = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let outputs: Outputs = files
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    assert!(outputs.len() > 10, "{outputs:?}");
    outputs
}

/// The part of the process for one text.
#[test]
fn one_text() {
    let (Ok(name), Ok(into)) = (std::env::var("GLRL_TEXT"), std::env::var("GLRL_OUTPUTS")) else {
        return;
    };
    let text = all()
        .into_iter()
        .find(|(other, _)| *other == name)
        .map_or("neutral-token-of-27-letters".to_owned(), |(_, text)| text);
    let outputs = say(&text);
    for (name, bytes) in outputs {
        fs::write(Path::new(&into).join(name), bytes).unwrap();
    }
}

fn say(text: &str) -> Outputs {
    let mut outputs = Outputs::new();
    let site = tempfile::tempdir().unwrap();
    for directory in [
        "roles",
        "templates",
        "tree/etc/cron.d",
        "tree/etc/mysql/conf.d",
        "tree/srv",
        "tree/home",
        "tree/var/spool/cron/crontabs",
    ] {
        fs::create_dir_all(site.path().join(directory)).unwrap();
    }
    for (name, text) in [
        ("templates/secret.hbs", roles::TEMPLATE),
        ("tree/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("tree/etc/shadow", "root:*:20000:0:99999:7:::\n"),
        ("tree/etc/group", "root:x:0:\ncrontab:x:101:\n"),
        ("tree/etc/gshadow", "root:*::\n"),
        ("tree/etc/lines", "one\n"),
        ("tree/etc/changes", "user = b\npassword = former-swordfish\nport = 2\n"),
    ] {
        fs::write(site.path().join(name), text).unwrap();
    }
    let variants = roles::variants();
    // In parts: each mistake is drawn with its excerpt of the role.
    let mut valid = Vec::new();
    for part in variants.chunks(40) {
        valid.extend(check(site.path(), text, part.iter().collect(), &mut outputs));
    }
    let valid = check(site.path(), text, valid, &mut outputs);
    assert!(
        valid.len() > 100,
        "{} of {} resources can be read",
        valid.len(),
        variants.len()
    );
    plan(site.path(), text, &mut outputs);
    let of_a_tree: Vec<_> = valid
        .into_iter()
        .filter(|variant| OF_A_TREE.contains(&variant.kind))
        .collect();
    check(site.path(), text, of_a_tree, &mut outputs);
    converge(site.path(), text, &mut outputs);
    outputs
}

fn request<'r>(site: &Path, text: &str) -> Request<'r> {
    let mut request = Request::new([site.join("roles/leaks.yml").display().to_string()], &SampleFacts);
    request.environment.push(("token".to_owned(), text.to_owned()));
    request
}

/// Loads the role again and again, without those resources that cannot be read, and keeps what is said of them.
fn check<'v>(site: &Path, text: &str, mut variants: Vec<&'v Variant>, outputs: &mut Outputs) -> Vec<&'v Variant> {
    loop {
        let (role, lines) = roles::role(&variants);
        fs::write(site.join("roles/leaks.yml"), role).unwrap();
        let failure = match config::load(&request(site, text)) {
            Ok(loaded) => match graph::build(loaded.declarations) {
                Ok(_) => return variants,
                Err(diagnostics) => config::Failure {
                    sources: loaded.sources,
                    diagnostics,
                },
            },
            Err(failure) => failure,
        };
        let drawn = support::draw(&failure.diagnostics, &failure.sources);
        outputs.entry("mistakes".to_owned()).or_default().extend(drawn.bytes());
        let mut wrong = BTreeSet::new();
        for mistake in &failure.diagnostics.0 {
            let json = object(diagnostic::object(mistake, &failure.sources));
            outputs
                .entry("mistakes as JSON".to_owned())
                .or_default()
                .extend(json.bytes());
            let place = mistake
                .place
                .map(|place| failure.sources.locate(place))
                .unwrap_or_default();
            let line: Option<usize> = place.rsplit(':').nth(1).and_then(|line| line.parse().ok());
            wrong.extend(line.and_then(|line| lines.get(line - 1).copied().flatten()));
        }
        assert!(!wrong.is_empty(), "{drawn}");
        let kept = variants.iter().enumerate().filter(|(index, _)| !wrong.contains(index));
        variants = kept.map(|(_, variant)| *variant).collect();
    }
}

/// A bare node with empty disks.
fn node() -> Disks {
    let disk = |path: &str| BlockDevice {
        path: path.into(),
        size: 10 << 30,
        read_only: false,
        in_use: None,
        contents: Contents::Empty,
    };
    Disks(BTreeMap::from(
        ["/dev/vdb", "/dev/sdb"].map(|path| (path.into(), disk(path))),
    ))
}

/// Plans it over a bare node, as each renderer says it.
fn plan(site: &Path, text: &str, outputs: &mut Outputs) {
    let loaded = config::load(&request(site, text)).unwrap_or_else(|_| panic!("it was read before"));
    let explained = format!(
        "{:?}",
        loaded.values.iter().filter(|value| !value.secret).collect::<Vec<_>>()
    );
    outputs.insert("values that are no secret".to_owned(), explained.into());
    let graph = graph::build(loaded.declarations).unwrap();
    for (name, format) in [
        ("dot", Format::Dot),
        ("mermaid", Format::Mermaid),
        ("graph", Format::Json),
    ] {
        outputs.insert(name.to_owned(), graph.export(format).into());
    }
    let node = node();
    let run = Run {
        graph: &graph,
        sources: &loaded.sources,
        name: "leaks".to_owned(),
        host: "leaks".to_owned(),
        roles: vec!["leaks".to_owned()],
        names: vec!["leaks".to_owned()],
        stop: || false,
    };
    let mut renderers: Vec<(&str, Box<dyn Renderer>)> = vec![
        ("plan", Box::new(Human::new(Verbosity::Verbose))),
        (
            "plan, 40 columns",
            Box::new(Human::new(Verbosity::Normal).columns(Some(40))),
        ),
        ("plan as JSON", Box::new(Json)),
    ];
    engine::plan(&run, &node, &RunState::default(), &mut |event| {
        for (name, renderer) in &mut renderers {
            let said = renderer.event(&event);
            outputs
                .entry((*name).to_owned())
                .or_default()
                .extend((said.out + &said.err).bytes());
        }
    })
    .unwrap();
}

/// Runs glrl itself on a tree, twice, and then with another secret; keeps what it says, and the files of its state.
fn converge(site: &Path, text: &str, outputs: &mut Outputs) {
    for (name, args, token) in [
        ("converge", "converge --verbose --debug", text),
        ("converge again", "converge --json", text),
        ("explain", "explain token", text),
        ("plan with another secret", "plan --verbose", "the-next-secret"),
        ("plan with another secret, as JSON", "plan --json", "the-next-secret"),
        ("converge with another secret", "converge --verbose", "the-next-secret"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_glrl"))
            .args(args.split(' '))
            .args(["--role", "roles/leaks.yml", "--root", "tree"])
            .current_dir(site)
            .env("NO_COLOR", "1")
            .env("GLRL_VAR_token", token)
            .output()
            .unwrap();
        outputs.insert(name.to_owned(), [output.stdout, output.stderr].concat());
    }
    for entry in walk(&site.join("tree/.glrl")) {
        let name = format!("state {}", entry.file_name().unwrap().display());
        outputs.entry(name).or_default().extend(fs::read(&entry).unwrap());
    }
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}
