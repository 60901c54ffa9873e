//! An order in which everything comes after what it needs, or the cycle that makes one impossible.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use petgraph::{
    Direction::{Incoming, Outgoing},
    algo::tarjan_scc,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use super::{Declaration, Edge};
use crate::{
    source::{Diagnostic, Diagnostics},
    system::Claim,
};

/// Kahn's order; among resources that are free the one that stands first in the files comes first, so that two runs agree.
pub(super) fn order(declarations: &[Declaration], edges: &DiGraph<(), Edge>) -> Result<Vec<usize>, Diagnostics> {
    let mut waiting: Vec<usize> = edges
        .node_indices()
        .map(|node| edges.edges_directed(node, Incoming).count())
        .collect();
    let mut free: BinaryHeap<Reverse<usize>> = (0..declarations.len())
        .filter(|&node| waiting[node] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(declarations.len());
    // What no role says: a group that goes may be the primary one of an account that goes, an account that comes may take its number,
    // and the group that useradd makes with one may take a number that a declared group is to have.
    let is_first = |one: &Declaration| goes(one, is_user) || comes(one, is_group) && !comes(one, is_user);
    let waits = |one: &Declaration| goes(one, is_group) && !goes(one, is_user) || comes(one, is_user);
    let mut first = declarations.iter().filter(|one| is_first(one)).count();
    let mut later = BinaryHeap::new();
    while let Some(Reverse(node)) = free.pop().or_else(|| later.pop()) {
        let one = &declarations[node];
        if first > 0 && !free.is_empty() && waits(one) {
            later.push(Reverse(node));
            continue;
        }
        order.push(node);
        if first > 0 && is_first(one) {
            first -= 1;
            if first == 0 {
                free.append(&mut later);
            }
        }
        for edge in edges.edges_directed(NodeIndex::new(node), Outgoing) {
            let next = edge.target().index();
            waiting[next] -= 1;
            if waiting[next] == 0 {
                free.push(Reverse(next));
            }
        }
    }
    if order.len() == declarations.len() {
        Ok(order)
    } else {
        let mut circles: Vec<_> = tarjan_scc(edges).into_iter().filter(|nodes| nodes.len() > 1).collect();
        circles.sort_by_key(|nodes| nodes.iter().min().copied());
        let drawn = circles.iter().map(|nodes| draw(declarations, edges, nodes));
        Err(Diagnostics(drawn.collect()))
    }
}

/// Of a longer cycle only the ends are drawn.
const DRAWN: usize = 20;

fn is_user(claim: &Claim) -> bool {
    matches!(claim, Claim::User(_))
}

fn is_group(claim: &Claim) -> bool {
    matches!(claim, Claim::Group(_))
}

/// Whether a resource removes such a thing.
fn goes(one: &Declaration, is: fn(&Claim) -> bool) -> bool {
    one.skipped.is_none() && one.resource.is_absent() && one.resource.provides().iter().any(is)
}

/// Whether a resource makes such a thing, or keeps it.
fn comes(one: &Declaration, is: fn(&Claim) -> bool) -> bool {
    one.skipped.is_none() && !one.resource.is_absent() && one.resource.provides().iter().any(is)
}

/// Draws one cycle among resources of which each waits for all others.
fn draw(declarations: &[Declaration], edges: &DiGraph<(), Edge>, among: &[NodeIndex]) -> Diagnostic {
    // Each of them waits for another of them: going backwards long enough closes a circle.
    let start = among.iter().min().copied().unwrap_or_default().index();
    let inside: HashSet<NodeIndex> = among.iter().copied().collect();
    let mut path: Vec<(usize, &Edge)> = Vec::new();
    let mut node = start;
    let mut seen = vec![usize::MAX; declarations.len()];
    while seen[node] == usize::MAX {
        seen[node] = path.len();
        let Some(edge) = edges
            .edges_directed(NodeIndex::new(node), Incoming)
            .find(|edge| inside.contains(&edge.source()))
        else {
            break;
        };
        path.push((node, edge.weight()));
        node = edge.source().index();
    }
    let circle = &path[seen[node].min(path.len())..];
    let names: Vec<&str> = circle.iter().map(|(node, _)| declarations[*node].id.as_str()).collect();
    let between = names.len().saturating_sub(DRAWN);
    let drawn = if between > 1 {
        let (first, last) = (&names[..DRAWN / 2], &names[names.len() - DRAWN / 2..]);
        format!(
            "{} needs … ({between} more) … needs {}",
            first.join(" needs "),
            last.join(" needs ")
        )
    } else {
        names.join(" needs ")
    };
    let drawn = format!("{drawn} needs {}", names.first().copied().unwrap_or_default());
    let mut places = circle.iter().map(|(node, edge)| match edge {
        Edge::Needs(place) | Edge::Notifies(place) => (*place, *node),
        Edge::Implied => (declarations[*node].place, *node),
    });
    let (place, first) = places.next().unwrap_or((declarations[start].place, start));
    let mut diagnostic = Diagnostic::at(place, format!("these resources wait for each other: {drawn}"))
        .label(format!("{} waits here", declarations[first].id))
        .hint("drop one of these edges");
    for (place, node) in places.take(DRAWN) {
        diagnostic = diagnostic.note(place, format!("{} waits here", declarations[node].id));
    }
    diagnostic
}
