//! The order in which things go, and what contradicts a removal, for every pair of kinds that are told apart by what they provide.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::*;
use crate::{resource::parse, system::Bytes};

/// A role that has nothing beside it.
struct Alone;

impl Role for Alone {
    fn file(&self, source: &str) -> Result<Bytes> {
        bail!("there is no file {source}")
    }

    fn tree(&self, source: &str) -> Result<Vec<String>> {
        bail!("there is no directory {source}")
    }

    fn render(&self, source: &str, _: &Map<String, Value>) -> Result<String> {
        bail!("there is no template {source}")
    }
}

fn declared((kind, properties): &(&str, Value)) -> Declaration {
    let mut resource = parse(kind, properties.clone()).unwrap().unwrap();
    resource.prepare(&Alone).unwrap();
    Declaration {
        id: resource.id(),
        resource,
        ..thing("k:none", &[], &[])
    }
}

fn with(properties: &Value, more: Value) -> Value {
    let mut properties = properties.clone();
    properties
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    properties
}

/// The ids in order, for both orders of the file.
fn orders(pair: [&(&str, Value); 2]) -> [Vec<String>; 2] {
    let order = |pair: [&(&str, Value); 2]| {
        let graph = build(pair.iter().map(|one| declared(one)).collect()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let ids = graph.order().iter().map(|&index| graph.get(index).id.to_string());
        ids.collect::<Vec<_>>()
    };
    [order(pair), order([pair[1], pair[0]])]
}

/// Pairs of which the first is made after the second, as present. `state: absent` makes each of them go.
fn pairs() -> Vec<[(&'static str, Value); 2]> {
    let dir = |path: &str| ("directory", json!({"path": path}));
    let mount = |path: &str| ("mount", json!({"path": path, "device": "/dev/sdb"}));
    let ann = || ("user", json!({"name": "ann"}));
    vec![
        [("file", json!({"path": "/d/f"})), dir("/d")],
        [("file", json!({"path": "/d/e/f"})), dir("/d")],
        [("link", json!({"path": "/d/l"})), dir("/d")],
        [dir("/d/e"), dir("/d")],
        [("file", json!({"path": "/l/f"})), ("link", json!({"path": "/l"}))],
        [("line", json!({"path": "/d/f", "line": "x"})), dir("/d")],
        [("file", json!({"path": "/srv/f", "owner": "ann"})), ann()],
        [
            ("file", json!({"path": "/srv/f", "group": "web"})),
            ("group", json!({"name": "web"})),
        ],
        [("directory", json!({"path": "/srv/d", "owner": "ann"})), ann()],
        [
            ("user", json!({"name": "ann", "group": "web"})),
            ("group", json!({"name": "web"})),
        ],
        [
            ("user", json!({"name": "ann", "groups": ["web"]})),
            ("group", json!({"name": "web"})),
        ],
        [("user", json!({"name": "ann"})), ("group", json!({"name": "ann"}))],
        [("cron", json!({"name": "j", "user": "ann"})), ann()],
        [("cron", json!({"name": "j", "user": "ann", "in": "cron.d"})), ann()],
        [("cron", json!({"name": "j"})), ("package", json!({"name": "cron"}))],
        [mount("/m/n"), mount("/m")],
        [mount("/m/n"), dir("/m")],
        [("file", json!({"path": "/m/f"})), mount("/m")],
        [dir("/m/d"), mount("/m")],
        [("swap", json!({"path": "/m/swap"})), mount("/m")],
        [("swap", json!({"path": "/d/swap"})), dir("/d")],
    ]
}

/// With what each kind has to say besides.
fn complete((kind, properties): &(&'static str, Value)) -> (&'static str, Value) {
    let more = match *kind {
        "link" => json!({"target": "/x"}),
        "cron" => json!({"schedule": "@daily", "command": "x"}),
        "line" => json!({"create": true}),
        "swap" => json!({"size": "1MiB"}),
        _ => json!({}),
    };
    (*kind, with(properties, more))
}

#[test]
fn what_goes_goes_in_the_reverse_of_the_order_in_which_it_is_made() {
    let gone = |(kind, properties): &(&'static str, Value)| (*kind, with(properties, json!({"state": "absent"})));
    let mut pairs: Vec<[(&str, Value); 2]> = pairs()
        .iter()
        .map(|[first, second]| [gone(first), gone(second)])
        .collect();
    // What does not say `absent`, and what is not made in this order.
    let service = |name: &str| ("service", json!({"name": name, "running": false, "enabled": false}));
    let export = || ("nfs_export", json!({"path": "/d", "clients": {}}));
    let absent = |kind: &'static str, path: &str| (kind, json!({"path": path, "state": "absent"}));
    pairs.extend([
        [service("app"), absent("file", "/etc/systemd/system/app.service")],
        [
            service("nginx"),
            ("package", json!({"name": "nginx", "state": "absent"})),
        ],
        [
            service("getty@tty1"),
            ("package", json!({"name": "getty", "state": "absent"})),
        ],
        [export(), absent("directory", "/d")],
        [
            export(),
            ("mount", json!({"path": "/d", "device": "/dev/sdb", "state": "absent"})),
        ],
        [absent("swap", "/swap"), absent("file", "/swap")],
        [
            ("mount", json!({"path": "/d", "device": "/dev/sdb", "state": "absent"})),
            absent("directory", "/d"),
        ],
        // Whether it is the account's primary group no role says.
        [
            ("user", json!({"name": "ann", "state": "absent"})),
            ("group", json!({"name": "web", "state": "absent"})),
        ],
    ]);
    for [first, second] in &pairs {
        let expected = [first, second].map(|one| declared(one).id.to_string());
        for order in orders([first, second]) {
            assert_eq!(order, expected, "{first:?} {second:?}");
        }
    }
}

#[test]
fn what_is_made_is_made_after_what_it_needs() {
    for [first, second] in &pairs() {
        let (first, second) = (complete(first), complete(second));
        let expected = [&second, &first].map(|one| declared(one).id.to_string());
        for order in orders([&first, &second]) {
            assert_eq!(order, expected, "{first:?} {second:?}");
        }
    }
}

#[test]
fn one_that_removes_what_another_makes_or_needs_contradicts_it() {
    let absent = |kind: &'static str, path: &str| (kind, json!({"path": path, "state": "absent"}));
    let file = |path: &str| ("file", json!({"path": path, "content": "x"}));
    let line = |path: &str| ("line", json!({"path": path, "line": "x", "create": true}));
    let undo = |maker: &str, remover: &str, path: &str, what: &str| {
        format!("{maker} and {remover} would undo each other: one makes {path}, the other removes {what}")
    };
    for (maker, remover, message) in [
        (
            line("/a"),
            absent("directory", "/a"),
            undo("line:/a x", "directory:/a", "/a", "it"),
        ),
        (
            line("/a"),
            absent("link", "/a"),
            undo("line:/a x", "link:/a", "/a", "it"),
        ),
        (
            line("/a"),
            absent("file", "/a"),
            undo("line:/a x", "file:/a", "/a", "it"),
        ),
        (
            line("/a/b"),
            absent("directory", "/a"),
            undo("line:/a/b x", "directory:/a", "/a/b", "/a"),
        ),
        (
            file("/a/b/c"),
            absent("directory", "/a"),
            undo("file:/a/b/c", "directory:/a", "/a/b/c", "/a"),
        ),
        (
            file("/a/b"),
            absent("link", "/a"),
            undo("file:/a/b", "link:/a", "/a/b", "/a"),
        ),
        (
            file("/a/b"),
            absent("file", "/a"),
            undo("file:/a/b", "file:/a", "/a/b", "/a"),
        ),
        (
            ("mount", json!({"path": "/m", "device": "/dev/sdb"})),
            absent("directory", "/m"),
            undo("mount:/m", "directory:/m", "/m", "it"),
        ),
        (
            ("exec", json!({"name": "x", "command": ["x"], "creates": "/a/b"})),
            absent("directory", "/a"),
            undo("exec:x", "directory:/a", "/a/b", "/a"),
        ),
        (
            ("user", json!({"name": "ann"})),
            absent("directory", "/home/ann"),
            undo("user:ann", "directory:/home/ann", "/home/ann", "it"),
        ),
        (
            ("swap", json!({"path": "/d/s", "size": "1MiB"})),
            absent("directory", "/d"),
            undo("swap:/d/s", "directory:/d", "/d/s", "/d"),
        ),
        (
            ("file", json!({"path": "/f", "owner": "ann"})),
            ("user", json!({"name": "ann", "state": "absent"})),
            "file:/f needs the user ann, which user:ann removes".to_owned(),
        ),
        (
            ("user", json!({"name": "ann", "groups": ["web"]})),
            ("group", json!({"name": "web", "state": "absent"})),
            "user:ann needs the group web, which group:web removes".to_owned(),
        ),
        (
            (
                "cron",
                json!({"name": "j", "user": "ann", "schedule": "@daily", "command": "x"}),
            ),
            ("user", json!({"name": "ann", "state": "absent"})),
            "cron:j needs the user ann, which user:ann removes".to_owned(),
        ),
    ] {
        for pair in [[&maker, &remover], [&remover, &maker]] {
            let wrong = build(pair.iter().map(|one| declared(one)).collect()).unwrap_err();
            let messages: Vec<_> = wrong.0.iter().map(|one| one.message.as_str()).collect();
            assert_eq!(messages, [message.as_str()]);
        }
    }
}

/// A part that goes, and the whole with it, are no contradiction; nor is an account that keeps its home's name to itself.
#[test]
fn removals_that_agree_are_no_contradiction() {
    let absent = |kind: &'static str, path: &str| (kind, json!({"path": path, "state": "absent"}));
    for pair in [
        [
            ("line", json!({"path": "/a", "line": "x", "state": "absent"})),
            absent("file", "/a"),
        ],
        [absent("file", "/a/b"), absent("directory", "/a")],
        [
            ("user", json!({"name": "ann", "create_home": false})),
            absent("directory", "/home/ann"),
        ],
        [
            ("user", json!({"name": "ann"})),
            ("group", json!({"name": "ann", "state": "absent"})),
        ],
    ] {
        let built = build(pair.iter().map(declared).collect());
        assert!(built.is_ok(), "{pair:?}: {built:?}");
    }
}

/// Every way to say an order, against one that is implied and cannot be otherwise.
#[test]
fn an_order_against_what_cannot_be_otherwise_is_a_cycle() {
    for [first, second] in pairs() {
        // Whether a group of the account's own name is there before is open, and so is whose package cron comes from.
        if second.1 == json!({"name": "ann"}) && second.0 == "group" || second.0 == "package" {
            continue;
        }
        for way in ["needs", "before", "notify"] {
            let (mut one, mut other) = (declared(&complete(&first)), declared(&complete(&second)));
            let (to_one, to_other) = (reference(&one), reference(&other));
            match way {
                "needs" => other.needs.push(to_one),
                "before" => one.before.push(to_other),
                _ => one.notify.push(to_other),
            }
            let ids = format!("{} needs {}", one.id, other.id);
            let wrong = build(vec![one, other]).expect_err(&format!("{first:?} {way} {second:?}"));
            let message = &wrong.0[0].message;
            assert!(
                message.starts_with("these resources wait for each other") && message.contains(&ids),
                "{message}"
            );
        }
    }
}

fn reference(declaration: &Declaration) -> Reference {
    Reference {
        id: declaration.id.clone(),
        place: place(),
    }
}
