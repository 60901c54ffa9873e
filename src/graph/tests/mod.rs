//! The passes together, on resources that are nothing but what they provide and require.

mod removals;

use std::collections::HashSet;

use anyhow::Result;
use proptest::prelude::*;

use super::{Declaration, Edge, Format, Reference, Retry, Selection, build};
use crate::{
    resource::{Plan, Resource, Role},
    source::{Place, Sources},
    system::{Claim, Probe, Reading},
    value::Id,
};

#[derive(Debug)]
struct Thing {
    id: Id,
    provides: Vec<Claim>,
    requires: Vec<Claim>,
}

impl Resource for Thing {
    fn id(&self) -> Id {
        self.id.clone()
    }

    fn prepare(&mut self, _: &dyn Role) -> Result<()> {
        Ok(())
    }

    fn plan(&self, _: &dyn Probe, _: bool) -> Result<Reading<Plan>> {
        Ok(Reading::Known(Plan::none()))
    }

    fn final_warnings(&self, _: &dyn Probe) -> Result<Reading<Vec<String>>> {
        Ok(Reading::Known(Vec::new()))
    }

    fn provides(&self) -> Vec<Claim> {
        self.provides.clone()
    }

    fn requires(&self) -> Vec<Claim> {
        self.requires.clone()
    }
}

fn place() -> Place {
    let file = Sources::default().add("role.yml", "");
    Place::new(file, 0..0)
}

fn thing(id: &str, provides: &[Claim], requires: &[Claim]) -> Declaration {
    let id: Id = id.parse().unwrap();
    Declaration {
        id: id.clone(),
        resource: Box::new(Thing {
            id,
            provides: provides.to_vec(),
            requires: requires.to_vec(),
        }),
        role: "test".into(),
        place: place(),
        skipped: None,
        needs: Vec::new(),
        before: Vec::new(),
        notify: Vec::new(),
        retry: Retry::default(),
        timeout: None,
        protect: None,
    }
}

fn to(id: &str) -> Reference {
    Reference {
        id: id.parse().unwrap(),
        place: place(),
    }
}

fn path(text: &str) -> Claim {
    Claim::Path(text.parse().unwrap())
}

fn names(graph: &super::Graph) -> Vec<&str> {
    graph.order().iter().map(|&index| graph.get(index).id.name()).collect()
}

#[test]
fn free_resources_stay_in_the_order_of_the_file() {
    let graph = build(vec![
        thing("k:c", &[], &[]),
        thing("k:a", &[], &[]),
        thing("k:b", &[], &[]),
    ])
    .unwrap();
    assert_eq!(names(&graph), ["c", "a", "b"]);
}

#[test]
fn needs_before_and_notify_order() {
    let mut first = thing("k:1", &[], &[]);
    first.needs.push(to("k:3"));
    let mut second = thing("k:2", &[], &[]);
    second.before.push(to("k:1"));
    let mut third = thing("k:3", &[], &[]);
    third.notify.push(to("k:2"));
    let graph = build(vec![first, second, third]).unwrap();
    assert_eq!(names(&graph), ["3", "2", "1"]);
    assert_eq!(graph.notified_by(2).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_file_waits_for_the_mount_above_it_and_for_its_directory() {
    let mounted = Claim::Mounted("/data".parse().unwrap());
    let graph = build(vec![
        thing("file:deep", &[path("/data/a/b/c")], &[path("/data/a/b")]),
        thing("directory:/data", &[path("/data")], &[path("/")]),
        thing("mount:/data", &[mounted], &[]),
    ])
    .unwrap();
    assert_eq!(names(&graph), ["/data", "/data", "deep"]);
    assert_eq!(graph.get(graph.order()[0]).id.kind(), "mount");
}

#[test]
fn an_implied_edge_yields_to_an_explicit_one_if_it_can() {
    let package = || Claim::Package("p".to_owned());
    let mut user = thing("cron:x", &[], &[package()]);
    user.before.push(to("package:p"));
    let graph = build(vec![thing("package:p", &[package()], &[]), user]).unwrap();
    assert_eq!(names(&graph), ["x", "p"]);

    let mut file = thing("file:x", &[path("/d/x")], &[path("/d")]);
    file.notify.push(to("directory:/d"));
    let wrong = build(vec![thing("directory:/d", &[path("/d")], &[]), file]).unwrap_err();
    assert_eq!(
        wrong.0[0].message,
        "these resources wait for each other: directory:/d needs file:x needs directory:/d"
    );
}

#[test]
fn mistakes_are_all_reported() {
    let mut one = thing("file:a", &[path("/a")], &[]);
    one.needs.push(to("flie:b"));
    one.notify.push(to("file:a"));
    let wrong = build(vec![one, thing("file:b", &[path("/b")], &[])]).unwrap_err();
    let messages: Vec<&str> = wrong.0.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["file:a names itself", "no resource flie:b is declared"]);
    assert_eq!(
        wrong.0[1].hint.as_ref().map(ToString::to_string).as_deref(),
        Some("did you mean 'file:b'?")
    );

    let twice = build(vec![
        thing("file:a", &[path("/a")], &[]),
        thing("line:a", &[path("/a")], &[]),
    ])
    .unwrap_err();
    assert_eq!(twice.0[0].message, "/a has two owners: file:a and line:a");
    let twice = build(vec![thing("k:a", &[], &[]), thing("k:a", &[], &[])]).unwrap_err();
    assert_eq!(twice.0[0].message, "k:a is declared twice");
}

#[test]
fn a_file_is_written_as_a_whole_or_in_parts() {
    let whole = || Claim::Whole("/a".parse().unwrap());
    let part = |path: &str| Claim::Part(path.parse().unwrap());
    let both = build(vec![
        thing("line:a", &[part("/a")], &[]),
        thing("file:a", &[path("/a"), whole()], &[]),
    ]);
    let wrong = both.unwrap_err();
    assert_eq!(
        wrong.0[0].message,
        "file:a and line:a would undo each other: both say what /a holds"
    );
    let parts = build(vec![
        thing("line:a", &[part("/a")], &[]),
        thing("line:b", &[part("/a")], &[]),
        thing("file:a", &[path("/a")], &[]),
        thing("line:c", &[part("/b")], &[]),
    ]);
    assert!(parts.is_ok());
}

#[test]
fn what_a_program_makes_is_owned_by_another_and_never_removed() {
    let made = || Claim::Made("/a".parse().unwrap());
    let graph = build(vec![
        thing("file:below", &[path("/a/b")], &[path("/a")]),
        thing("directory:a", &[path("/a")], &[]),
        thing("exec:a", &[made()], &[]),
        thing("exec:again", &[made()], &[]),
    ])
    .unwrap();
    assert_eq!(names(&graph), ["a", "again", "a", "below"]);
    assert_eq!(graph.get(graph.order()[0]).id.kind(), "exec");
    let wrong = build(vec![
        thing("exec:a", &[made()], &[]),
        thing("link:a", &[path("/a"), Claim::Absent("/a".parse().unwrap())], &[]),
    ])
    .unwrap_err();
    assert_eq!(
        wrong.0[0].message,
        "exec:a and link:a would undo each other: one makes /a, the other removes it"
    );
}

#[test]
fn a_cycle_is_drawn() {
    let mut a = thing("k:a", &[], &[]);
    a.needs.push(to("k:b"));
    let mut b = thing("k:b", &[], &[]);
    b.needs.push(to("k:c"));
    let mut c = thing("k:c", &[], &[]);
    c.needs.push(to("k:a"));
    let mut tail = thing("k:tail", &[], &[]);
    tail.needs.push(to("k:a"));
    let wrong = build(vec![tail, a, b, c]).unwrap_err();
    assert_eq!(
        wrong.0[0].message,
        "these resources wait for each other: k:a needs k:b needs k:c needs k:a"
    );
    assert_eq!(wrong.0[0].notes.len(), 2);
}

#[test]
fn what_is_wrong_in_every_pass_is_said_together() {
    let claimed = |id: &str| thing(id, &[path("/a")], &[]);
    let needing = |id: &str, needs: &[&str]| {
        let mut thing = thing(id, &[], &[]);
        thing.needs.extend(needs.iter().map(|id| to(id)));
        thing
    };
    let wrong = build(vec![
        claimed("file:/a"),
        claimed("directory:/a"),
        needing("k:self", &["k:self"]),
        needing("k:lost", &["k:nowhere"]),
        needing("k:1", &["k:2"]),
        needing("k:2", &["k:1"]),
        needing("k:3", &["k:4"]),
        needing("k:4", &["k:3"]),
        thing("k:1", &[], &[]),
    ])
    .unwrap_err();
    let messages: Vec<_> = wrong.0.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "/a has two owners: file:/a and directory:/a",
            "k:1 is declared twice",
            "k:self names itself",
            "no resource k:nowhere is declared",
            "these resources wait for each other: k:1 needs k:2 needs k:1",
            "these resources wait for each other: k:3 needs k:4 needs k:3",
        ]
    );
}

#[test]
fn a_selection_takes_what_it_needs_along() {
    let mut app = thing("k:app", &[], &[]);
    app.needs.push(to("k:base"));
    let mut graph = build(vec![thing("k:base", &[], &[]), app, thing("k:other", &[], &[])]).unwrap();
    graph
        .select(&Selection {
            only: vec!["k:app".parse().unwrap()],
            skip: Vec::new(),
        })
        .unwrap();
    let skipped: Vec<bool> = graph.declarations().iter().map(|one| one.skipped.is_some()).collect();
    assert_eq!(skipped, [false, false, true]);
    let error = graph
        .select(&Selection {
            only: vec!["k:ap".parse().unwrap()],
            skip: Vec::new(),
        })
        .unwrap_err();
    assert_eq!(error, "no resource k:ap is declared; did you mean k:app?");
}

#[test]
fn exports_name_every_edge() {
    let mut a = thing("file:a", &[], &[]);
    a.notify.push(to("service:b"));
    let graph = build(vec![a, thing("service:b", &[], &[])]).unwrap();
    assert!(
        graph
            .export(Format::Dot)
            .contains("\"file:a\" -> \"service:b\" [style=bold, label=\"notifies\"];")
    );
    assert!(graph.export(Format::Mermaid).contains("n0 ==>|notifies| n1"));
    assert!(graph.export(Format::Json).contains("\"because\": \"notifies\""));
}

#[test]
fn exports_hide_secrets_and_tell_apart_what_differs_in_them() {
    for secret in ["first\"horse", "second\\horse"] {
        crate::value::secret::register(secret);
    }
    let mut a = thing("file:/a/first\"horse", &[], &[]);
    a.notify.push(to("file:/a/second\\horse"));
    let graph = build(vec![a, thing("file:/a/second\\horse", &[], &[])]).unwrap();
    for (format, edge) in [
        (Format::Dot, "\"file:/a/‹secret› #1\" -> \"file:/a/‹secret› #2\""),
        (Format::Mermaid, "n1[\"file:/a/‹secret› #2\"]"),
        (Format::Json, "\"to\": \"file:/a/‹secret› #2\""),
    ] {
        let text = graph.export(format);
        assert!(text.contains(edge) && !text.contains("horse"), "{text}");
    }
}

proptest! {
    /// Whatever is implied, an order is found, and it keeps every explicit edge.
    #[test]
    fn implied_edges_never_make_a_cycle(
        explicit in prop::collection::vec((0_usize..12, 0_usize..12), 0..20),
        claims in prop::collection::vec((0_u8..6, 0_u8..6), 12),
    ) {
        let mut things: Vec<Declaration> = claims
            .iter()
            .enumerate()
            .map(|(index, (provides, requires))| {
                let package = |number: &u8| Claim::Package(number.to_string());
                thing(&format!("k:{index}"), &[package(provides)], &[package(requires)])
            })
            .collect();
        // Forward edges only, so that the explicit graph has an order.
        for (from, to_index) in explicit.iter().filter(|(from, to)| from < to) {
            things[*to_index].needs.push(to(&format!("k:{from}")));
        }
        let graph = build(things).unwrap();
        let position: Vec<usize> = {
            let mut position = vec![0; 12];
            for (place, &index) in graph.order().iter().enumerate() {
                position[index] = place;
            }
            position
        };
        for index in 0..12 {
            for (before, edge) in graph.before(index) {
                prop_assert!(position[before] < position[index], "{before} before {index}: {edge:?}");
            }
        }
        for (from, to) in explicit.iter().filter(|(from, to)| from < to) {
            prop_assert!(graph.before(*to).any(|(before, edge)| before == *from && matches!(edge, Edge::Needs(_))));
        }
        prop_assert_eq!(graph.order().iter().collect::<HashSet<_>>().len(), 12);
    }
}
