//! The layers of ARCHITECTURE.md: who may name whom, and that nobody names in a circle.

mod modules;

use std::{collections::BTreeMap, path::Path};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};

use modules::Modules;

/// The top folders of a crate from the bottom up; those of one floor do not name each other, and nobody names one of a higher floor.
const CRATES: [(&str, &[&[&str]]); 4] = [
    ("crates/glrl-node/src", &[&["value"], &["system"]]),
    (
        "crates/glrl-backup/src",
        &[
            &["model"],
            &["settings"],
            &["volume"],
            &["server"],
            &["state"],
            &["store"],
            &["scratch"],
            &["make", "verify", "restore", "binlogs"],
            &["retention"],
            &["operate"],
            &["bench"],
        ],
    ),
    (
        "src",
        &[
            &["source"],
            &["resource"],
            &["graph"],
            &["engine", "config"],
            &["report"],
            &["cli"],
        ],
    ),
    ("lab/src", &[]),
];

#[test]
fn a_layer_names_only_those_below_it() {
    let mut wrong = Vec::new();
    for (crate_, floors) in CRATES {
        let floor_of: BTreeMap<&str, usize> = floors
            .iter()
            .enumerate()
            .flat_map(|(number, names)| names.iter().map(move |name| (*name, number)))
            .collect();
        let modules = read(crate_);
        for (from, others) in modules.arrows() {
            for to in others {
                let (above, below) = (top(from), top(to));
                if floors.is_empty() || from.is_empty() || above == below {
                    continue;
                }
                let floor = |name| {
                    floor_of
                        .get(name)
                        .unwrap_or_else(|| panic!("{crate_}: {name} has no floor in CRATES"))
                };
                if floor(below) >= floor(above) {
                    wrong.push(format!("{crate_}: {from} names {to}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these run up, or to the side:\n{}", wrong.join("\n"));
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for (crate_, _) in CRATES {
        let modules = read(crate_);
        let mut graph = DiGraphMap::<_, ()>::new();
        for (from, others) in modules.arrows() {
            // A module is one with those in it, which see what it has for itself.
            let is_around = |to: &str| from.strip_prefix(to).is_some_and(|rest| rest.starts_with("::"));
            for to in others.into_iter().filter(|to| !from.is_empty() && !is_around(to)) {
                graph.add_edge(from, to, ());
            }
        }
        for circle in tarjan_scc(&graph).into_iter().filter(|circle| circle.len() > 1) {
            let arrows = graph
                .all_edges()
                .filter(|(from, to, ())| circle.contains(from) && circle.contains(to));
            let arrows: Vec<_> = arrows.map(|(from, to, ())| format!("  {from} names {to}")).collect();
            circles.push(format!("{crate_}:\n{}", arrows.join("\n")));
        }
    }
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

fn read(crate_: &str) -> Modules {
    Modules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(crate_))
}

/// The top folder that a module is in.
fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}
