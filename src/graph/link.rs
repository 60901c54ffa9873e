//! What the role says of order: `needs`, `before`, `notify`.

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};

use super::{Declaration, Edge, Reference};
use crate::{
    source::{Diagnostic, Diagnostics},
    value::Id,
};

/// A graph of the explicit edges, and what is wrong: references to nothing and to oneself. `unread`: whether a resource of this name
/// may be among those that could not be read.
pub(super) fn link(
    declarations: &[Declaration],
    index: &HashMap<Id, usize>,
    unread: &dyn Fn(&Id) -> bool,
    wrong: &mut Diagnostics,
) -> DiGraph<(), Edge> {
    let mut edges = DiGraph::with_capacity(declarations.len(), declarations.len());
    for _ in declarations {
        edges.add_node(());
    }
    for (here, declaration) in declarations.iter().enumerate() {
        let mut find = |reference: &Reference| match index.get(&reference.id) {
            Some(&there) if there == here => {
                wrong.push(Diagnostic::at(
                    reference.place,
                    format!("{} names itself", declaration.id),
                ));
                None
            }
            Some(&there) => Some(NodeIndex::new(there)),
            None if unread(&reference.id) => None,
            None => {
                wrong.push(
                    Diagnostic::at(reference.place, format!("no resource {} is declared", reference.id))
                        .did_you_mean(reference.id.as_str(), index.keys().map(Id::as_str)),
                );
                None
            }
        };
        let me = NodeIndex::new(here);
        for reference in &declaration.needs {
            if let Some(there) = find(reference) {
                edges.add_edge(there, me, Edge::Needs(reference.place));
            }
        }
        for reference in &declaration.before {
            if let Some(there) = find(reference) {
                edges.add_edge(me, there, Edge::Needs(reference.place));
            }
        }
        for reference in &declaration.notify {
            if let Some(there) = find(reference) {
                edges.add_edge(me, there, Edge::Notifies(reference.place));
            }
        }
    }
    edges
}
