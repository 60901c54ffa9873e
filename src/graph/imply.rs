//! What follows without being said: a file needs its directory, a filesystem its volume, all below a mount point the mount.

use std::{collections::HashMap, path::Path};

use petgraph::{
    algo::tarjan_scc,
    graph::{DiGraph, NodeIndex},
};

use super::{Declaration, Edge, cycle};
use crate::{source::Diagnostics, system::Claim, value::AbsPath};

/// Adds the implied edges. `explicit` is an order of the explicit ones. What cannot work the other way round is kept against them,
/// and the cycle is a mistake; any other implied edge that goes against the order is dropped where it would be part of a cycle.
pub(super) fn imply(
    declarations: &[Declaration],
    edges: &mut DiGraph<(), Edge>,
    explicit: Vec<usize>,
) -> Result<(), Diagnostics> {
    let provided = Provided::of(declarations);
    let (mut binding, mut yielding) = (Vec::new(), Vec::new());
    for (here, declaration) in declarations.iter().enumerate() {
        if declaration.skipped.is_some() {
            continue;
        }
        let own = declaration.resource.provides();
        let mut sources = Vec::new();
        for claim in declaration.resource.requires() {
            if let Claim::Path(path) = &claim {
                let (found, at) = provided.standing(path);
                let binds = at.is_some_and(|at| own.iter().any(|own| stands_below(own, &at)));
                sources.extend(found.into_iter().map(|source| (source, binds)));
            } else {
                let binds = !matches!(claim, Claim::Package(_) | Claim::Unit(_)) && !own.contains(&claim);
                sources.extend(provided.of_fact(&claim).map(|source| (source, binds)));
            }
        }
        // A directory on which something is mounted is the mounted one, unless it is the mount's own; and what a program makes
        // is declared after it is made.
        let mut under = Vec::new();
        for claim in &own {
            if let Claim::Path(path) = claim {
                under.extend(provided.mounts.get(&**path).into_iter().flatten().copied());
                sources.extend(
                    provided
                        .made
                        .get(path)
                        .into_iter()
                        .flatten()
                        .map(|&source| (source, false)),
                );
            }
        }
        // A mount point goes after the mount, also where both are to be absent.
        yielding.extend(
            under
                .iter()
                .filter(|&&source| source != here)
                .map(|&source| (source, here)),
        );
        sources.sort_unstable();
        sources.dedup();
        for (source, binds) in sources {
            if source == here || under.contains(&source) {
                continue;
            }
            // What goes, goes in the reverse of the order in which it is made.
            let (goes, source_goes) = (
                declaration.resource.is_absent(),
                declarations[source].resource.is_absent(),
            );
            let edge = if goes && source_goes {
                (here, source)
            } else {
                (source, here)
            };
            let binds = binds && goes == source_goes;
            if binds { &mut binding } else { &mut yielding }.push(edge);
        }
    }
    let order = add(declarations, edges, &binding, explicit)?;
    for (from, to) in yielding {
        edges.add_edge(NodeIndex::new(from), NodeIndex::new(to), Edge::Implied);
    }
    break_cycles(edges, &order);
    Ok(())
}

/// Adds the edges that bind. Returns an order that keeps them, or the cycles that the role closes with its own edges.
fn add(
    declarations: &[Declaration],
    edges: &mut DiGraph<(), Edge>,
    binding: &[(usize, usize)],
    explicit: Vec<usize>,
) -> Result<Vec<usize>, Diagnostics> {
    if binding.is_empty() {
        return Ok(explicit);
    }
    let mut bound = edges.clone();
    for &(from, to) in binding {
        bound.add_edge(NodeIndex::new(from), NodeIndex::new(to), Edge::Implied);
    }
    let order = cycle::order(declarations, &bound)?;
    *edges = bound;
    Ok(order)
}

/// Whether what a resource puts in place is below this directory.
fn stands_below(own: &Claim, directory: &AbsPath) -> bool {
    match own {
        Claim::Path(path) | Claim::Part(path) | Claim::Mounted(path) => {
            path != directory && path.starts_with(&**directory)
        }
        _ => false,
    }
}

/// Who provides what.
#[derive(Default)]
struct Provided {
    claims: HashMap<Claim, Vec<usize>>,
    paths: HashMap<AbsPath, Vec<usize>>,
    made: HashMap<AbsPath, Vec<usize>>,
    mounts: HashMap<Box<Path>, Vec<usize>>,
}

impl Provided {
    fn of(declarations: &[Declaration]) -> Self {
        let mut provided = Self::default();
        for (here, declaration) in declarations.iter().enumerate().filter(|(_, one)| one.skipped.is_none()) {
            for claim in declaration.resource.provides() {
                match claim {
                    Claim::Path(path) => provided.paths.entry(path).or_default().push(here),
                    Claim::Made(path) => provided.made.entry(path).or_default().push(here),
                    Claim::Mounted(path) => provided.mounts.entry(Box::from(&*path)).or_default().push(here),
                    claim => provided.claims.entry(claim).or_default().push(here),
                }
            }
        }
        provided
    }

    /// The resources that provide anything but a path.
    fn of_fact(&self, claim: &Claim) -> impl Iterator<Item = usize> {
        self.claims.get(claim).into_iter().flatten().copied()
    }

    /// The resources that have to be applied before something can stand at a path, and where they put what it stands in: the nearest
    /// directory above it, or it itself, that is declared, made or mounted.
    fn standing(&self, path: &AbsPath) -> (Vec<usize>, Option<AbsPath>) {
        let mut above = Some(path.clone());
        while let Some(here) = above {
            let mut found: Vec<usize> = self.paths.get(&here).into_iter().flatten().copied().collect();
            found.extend(self.made.get(&here).into_iter().flatten());
            found.extend(self.mounts.get(&*here).into_iter().flatten());
            if !found.is_empty() {
                return (found, Some(here));
            }
            above = here
                .parent()
                .and_then(Path::to_str)
                .and_then(|parent| parent.parse().ok());
        }
        (Vec::new(), None)
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
