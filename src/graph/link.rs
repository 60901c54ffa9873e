//! What the role says of order: `needs`, `before`, `notify`.

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};

use super::{Declaration, Edge, Reference};
use crate::{
    source::{Diagnostic, Diagnostics},
    value::Id,
};

/// A graph of the explicit edges; errors for references to nothing and to oneself.
pub(super) fn link(declarations: &[Declaration], index: &HashMap<Id, usize>) -> Result<DiGraph<(), Edge>, Diagnostics> {
    let mut wrong = Diagnostics::default();
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
    wrong.or(edges)
}
