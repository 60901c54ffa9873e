//! What follows without being said: a file needs its directory, a filesystem its volume, all below a mount point the mount.

use std::{collections::HashMap, path::Path};

use petgraph::{
    algo::tarjan_scc,
    graph::{DiGraph, NodeIndex},
};

use super::{Declaration, Edge};
use crate::{system::Fact, value::AbsPath};

/// Adds the implied edges. `explicit` is an order of the explicit ones: an implied edge that goes against it is dropped where
/// it would be part of a cycle.
pub(super) fn imply(declarations: &[Declaration], edges: &mut DiGraph<(), Edge>, explicit: &[usize]) {
    let provided = Provided::of(declarations);
    for (here, declaration) in declarations.iter().enumerate() {
        if declaration.skipped.is_some() {
            continue;
        }
        let mut sources = Vec::new();
        for fact in declaration.resource.requires() {
            match &fact {
                Fact::Path(path) => sources.extend(provided.standing(path)),
                _ => sources.extend(provided.facts.get(&fact).into_iter().flatten()),
            }
        }
        // A directory on which something is mounted is the mounted one, unless it is the mount's own; and what a program makes
        // is declared after it is made.
        for fact in declaration.resource.provides() {
            if let Fact::Path(path) = &fact {
                sources.extend(provided.mounts.get(&**path).into_iter().flatten());
                sources.extend(provided.made.get(path).into_iter().flatten());
            }
        }
        sources.sort_unstable();
        sources.dedup();
        for source in sources {
            if source != here {
                edges.add_edge(NodeIndex::new(source), NodeIndex::new(here), Edge::Implied);
            }
        }
    }
    break_cycles(edges, explicit);
}

/// Who provides what.
#[derive(Default)]
struct Provided {
    facts: HashMap<Fact, Vec<usize>>,
    paths: HashMap<AbsPath, Vec<usize>>,
    made: HashMap<AbsPath, Vec<usize>>,
    mounts: HashMap<Box<Path>, Vec<usize>>,
}

impl Provided {
    fn of(declarations: &[Declaration]) -> Self {
        let mut provided = Self::default();
        for (here, declaration) in declarations.iter().enumerate().filter(|(_, one)| one.skipped.is_none()) {
            for fact in declaration.resource.provides() {
                match fact {
                    Fact::Path(path) => provided.paths.entry(path).or_default().push(here),
                    Fact::Made(path) => provided.made.entry(path).or_default().push(here),
                    Fact::Mounted(path) => provided.mounts.entry(Box::from(&*path)).or_default().push(here),
                    fact => provided.facts.entry(fact).or_default().push(here),
                }
            }
        }
        provided
    }

    /// The resources that have to be applied before something can stand at a path: the nearest directory above it, or it
    /// itself, that is declared, made or mounted.
    fn standing(&self, path: &AbsPath) -> Vec<usize> {
        let mut above = Some(path.clone());
        while let Some(here) = above {
            let mut found: Vec<usize> = self.paths.get(&here).into_iter().flatten().copied().collect();
            found.extend(self.made.get(&here).into_iter().flatten());
            found.extend(self.mounts.get(&*here).into_iter().flatten());
            if !found.is_empty() {
                return found;
            }
            above = here
                .parent()
                .and_then(Path::to_str)
                .and_then(|parent| parent.parse().ok());
        }
        Vec::new()
    }
}

/// Drops the implied edges that run backwards inside a cycle: what is left of it runs forwards only.
fn break_cycles(edges: &mut DiGraph<(), Edge>, explicit: &[usize]) {
    let mut position = vec![0; explicit.len()];
    for (place, &node) in explicit.iter().enumerate() {
        position[node] = place;
    }
    let mut component = vec![usize::MAX; explicit.len()];
    for (number, nodes) in tarjan_scc(&*edges)
        .into_iter()
        .enumerate()
        .filter(|(_, nodes)| nodes.len() > 1)
    {
        for node in nodes {
            component[node.index()] = number;
        }
    }
    edges.retain_edges(|edges, edge| {
        let Some((from, to)) = edges.edge_endpoints(edge) else {
            return true;
        };
        let together = component[from.index()] != usize::MAX && component[from.index()] == component[to.index()];
        !(together && edges[edge] == Edge::Implied && position[from.index()] > position[to.index()])
    });
}
