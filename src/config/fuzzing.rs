//! What holds for what people write: see `crate::fuzzing`. There is a value, or mistakes that can be drawn and stand in the text.
#![expect(clippy::disallowed_methods, reason = "it makes the files that are read")]

use std::{cell::OnceCell, fs, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    Failure, Layer, Request, SampleFacts, budget, deep,
    expression::Expressions,
    library::Home,
    load,
    node::{Data, Node, Text},
    placeholders::Placeholders,
    role::RoleFile,
    role_context::place_in,
    scope::{FactTable, Scope},
    secrets::Secrets,
    templates::Templates,
    yaml as yaml_file,
};
use crate::{
    graph, report,
    source::{Diagnostics, Place, Sources},
    value::secret,
};

/// Every mistake stands in the text, and can be drawn without a character that a terminal would obey.
fn explained(diagnostics: &Diagnostics, sources: &Sources) {
    assert!(!diagnostics.0.is_empty(), "nothing says what is wrong");
    for diagnostic in &diagnostics.0 {
        let is_rest = diagnostic.message.ends_with("more: these come first");
        assert!(diagnostic.place.is_some() || is_rest, "{diagnostic:?} stands nowhere");
        for place in diagnostic
            .place
            .iter()
            .chain(diagnostic.notes.iter().map(|(place, _)| place))
        {
            let text = sources.text(place.file);
            assert!(
                text.get(place.range()).is_some(),
                "{diagnostic:?} does not stand in {text:?}"
            );
        }
        report::diagnostic::object(diagnostic, sources);
    }
    let drawn = report::diagnostic::render(diagnostics, sources, 80);
    let drawn = anstream::adapter::strip_str(&drawn).to_string();
    assert!(
        !drawn.contains(|c: char| c.is_control() && c != '\n'),
        "{drawn:?} is obeyed"
    );
}

/// A tree whose nodes stand in the text, each inside the one above it, and which reads back from the JSON that it is equal to.
pub(crate) fn yaml(text: &str) {
    let mut sources = Sources::default();
    let file = sources.add("x.yml", text);
    let root = match yaml_file::parse(file, &Arc::clone(sources.text(file))) {
        Ok(root) => root,
        Err(mistakes) => return explained(&mistakes, &sources),
    };
    stands(&root, text);
    let value = match root.to_value() {
        Ok(value) => value,
        Err(mistake) => return explained(&mistake.into(), &sources),
    };
    let json = value.to_string();
    let file = sources.add("x.json", json.as_str());
    let again = yaml_file::parse(file, &json.into()).map(|root| root.to_value());
    assert_eq!(again, Ok(Ok(value)));
}

fn stands(node: &Node, text: &str) {
    assert!(
        text.get(node.place.range()).is_some(),
        "{node:?} does not stand in {text:?}"
    );
    match &node.data {
        Data::Sequence(items) => items.iter().for_each(|item| stands(item, text)),
        Data::Mapping(pairs) => pairs.iter().for_each(|pair| {
            assert!(
                text.get(pair.key_place.range()).is_some(),
                "{pair:?} does not stand in {text:?}"
            );
            stands(&pair.value, text);
        }),
        _ => {}
    }
}

/// The files beside a role, in memory where `TMPDIR` is.
fn with_site<T>(files: &[(&str, &str)], then: impl FnOnce(&std::path::Path) -> T) -> T {
    thread_local! {
        static SITE: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
    }
    const BESIDE: [(&str, &str); 4] = [
        (
            "roles/demo2.yml",
            "role: demo2\ninputs: { x: path }\nresources: [ { directory: '${inputs.x}/demo2' } ]\n",
        ),
        (
            "templates/t.hbs",
            "{{#each inputs.names}}{{this}} {{/each}}{{vars.a}}\n",
        ),
        ("files/f", "contents\n"),
        ("files/tree/a", "a\n"),
    ];
    SITE.with(|site| {
        let write = |path: &std::path::Path, text: &str| fs::write(path, text).expect("a file can be written");
        let site = site.get_or_init(|| {
            let site = tempfile::tempdir().expect("a temporary directory can be made");
            for directory in ["roles", "templates", "files/tree"] {
                fs::create_dir_all(site.path().join(directory)).expect("a directory can be made");
            }
            for (name, text) in BESIDE {
                write(&site.path().join(name), text);
            }
            site
        });
        for (name, text) in files {
            write(&site.path().join(name), text);
        }
        then(site.path())
    })
}

/// Loads the role `demo`, and orders its resources, as `glrl check` does.
fn check(files: &[(&str, &str)], set: Vec<String>) {
    secret::forget();
    with_site(files, |site| {
        let is_given = files.len() > 1;
        let loaded = load(&Request {
            roles_directories: vec![site.join("roles")],
            vars_files: is_given.then(|| site.join("values.yml")).into_iter().collect(),
            set,
            samples: true,
            ..Request::new(["demo"], &SampleFacts)
        });
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(Failure { sources, diagnostics }) => return explained(&diagnostics, &sources),
        };
        for value in &loaded.values {
            for origin in value.origin.iter().chain(&value.overrode) {
                assert!(
                    loaded
                        .sources
                        .text(origin.place.file)
                        .get(origin.place.range())
                        .is_some(),
                    "{value:?}"
                );
                assert!(origin.layer != Layer::File || is_given, "{value:?} comes from nowhere");
            }
        }
        let (count, sources) = (loaded.declarations.len(), loaded.sources);
        match graph::build(loaded.declarations) {
            Ok(graph) => assert_eq!(graph.declarations().len(), count, "resources are lost"),
            Err(mistakes) => explained(&mistakes, &sources),
        }
    });
}

/// The text of a role: its resources have an order, or mistakes are told.
pub(crate) fn role(text: &str) {
    check(&[("roles/demo.yml", text)], Vec::new());
}

/// A role that takes a value of every type.
const TAKES: &str = r#"role: demo
inputs:
  base: { type: path, default: /srv }
  fs: { type: [xfs, ext4], default: xfs }
  names: { type: list of string, default: [a, "b"] }
  sizes: { type: map of size, default: { a: 1GiB } }
  count: { type: int, min: 1, max: 9, default: 3 }
  ratio: { type: number, default: 1.5 }
  is_on: { type: bool, default: true }
  mode: { type: mode, default: "0644" }
  wait: { type: duration, default: 5m }
  from: { type: host, optional: true }
  owner: { type: string, optional: true, pattern: "^[a-z]+$" }
  token: { type: string, optional: true, secret: true }
  tokens: { type: list of string, optional: true, secret: true }
vars:
  header: "Bearer ${inputs.token}"
includes:
  - { role: demo2, inputs: { x: "${inputs.base}" } }
resources:
  - directory: { path: "${inputs.base}/${each.value}", mode: "${inputs.mode}" }
    for_each: ${inputs.names}
  - file: { path: /etc/token, content: "${vars.header}${inputs.count}" }
    when: ${inputs.token != null}
"#;

/// A file of values, with arguments in lines that begin with `--set `: they are taken, or mistakes are told.
pub(crate) fn values(text: &str) {
    let (set, file): (Vec<&str>, Vec<&str>) = text.split_inclusive('\n').partition(|line| line.starts_with("--set "));
    let set = set
        .into_iter()
        .map(|line| line.trim_end_matches('\n')["--set ".len()..].to_owned());
    check(
        &[("roles/demo.yml", TAKES), ("values.yml", &file.concat())],
        set.collect(),
    );
}

/// What expressions and templates of these contracts see.
fn seen() -> [Map<String, Value>; 2] {
    [
        json!({
            "base": "/srv", "names": ["a", "b", "é"], "count": 3, "ratio": 1.5, "owner": null, "is_on": true,
            "sizes": { "a": "1GiB", "b": "2GiB" }, "long": (0..40).collect::<Vec<_>>(), "text": "x".repeat(200),
        }),
        json!({ "a": 1, "list": [[1, 2], [3]], "map": { "x": { "y": "z" } } }),
    ]
    .map(|value| value.as_object().cloned().unwrap_or_default())
}

/// A template renders, twice to the same text, or its mistake stands in it.
pub(crate) fn template(text: &str) {
    let [inputs, vars] = seen();
    let values = json!({
        "inputs": inputs, "vars": vars, "role": { "name": "demo" }, "facts": { "os": { "id": "debian" }, "hostname": "db1" },
    });
    deep(|| {
        let templates = Templates::default();
        let rendered = templates.render("t.hbs", text, &values);
        if let Err(wrong) = &rendered {
            let mut sources = Sources::default();
            let file = sources.add("t.hbs", text);
            assert!(wrong.at.is_some(), "{wrong:?} stands nowhere");
            let place = place_in(file, text, wrong.at);
            assert!(
                text.get(place.range()).is_some(),
                "{wrong:?} does not stand in {text:?}"
            );
        }
        assert_eq!(
            templates.render("t.hbs", text, &values),
            rendered,
            "it renders once more"
        );
    });
}

/// A text with `${…}`: its value, twice the same and within the budget, or mistakes that stand in it.
pub(crate) fn expression(text: &str) {
    deep(|| {
        let [inputs, vars] = seen();
        let mut sources = Sources::default();
        let file = sources.add("x.yml", text);
        let whole = Arc::clone(sources.text(file));
        let node = Node::new(
            Place::new(file, 0..text.len()),
            Data::Plain(Text::slice(&whole, 0..text.len())),
        );
        let role_file = RoleFile {
            name: "demo".to_owned(),
            description: None,
            path: "x.yml".to_owned(),
            home: Home::Bundled(&[]),
            inputs: Vec::new(),
            vars: Vec::new(),
            includes: Vec::new(),
            resources: Vec::new(),
        };
        let scope = Scope {
            file: &role_file,
            role: &json!({ "name": "demo" }),
            inputs: &inputs,
            vars: &vars,
            facts: &FactTable::new(&SampleFacts),
            each: None,
            placeholders: &Placeholders::default(),
            secrets: &Secrets::default(),
        };
        let expressions = Expressions::default();
        let evaluate = || {
            let mut mistakes = Diagnostics::default();
            let evaluated = expressions
                .evaluate(&node, &scope, &sources, &mut mistakes)
                .into_owned();
            mistakes.or(evaluated).map(|evaluated| evaluated.to_value())
        };
        let value = evaluate();
        match &value {
            Ok(value) => {
                let size = value.as_ref().map_or(0, budget::size);
                assert!(size <= budget::LARGEST + 16, "{size} bytes");
            }
            Err(mistakes) => explained(mistakes, &sources),
        }
        assert_eq!(evaluate(), value, "it has the same value once more");
    });
}
