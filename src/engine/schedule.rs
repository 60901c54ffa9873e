//! Whose turn it is. One resource after the other, in the graph's order; what needs a failed one is passed over with the cause
//! named, and the rest goes on.

use crate::{
    graph::{Edge, Graph},
    value::Id,
};

/// The turns of one pass over the graph.
#[derive(Debug)]
pub(super) struct Schedule<'g> {
    graph: &'g Graph,
    next: usize,
    /// For each resource that failed or was passed over: the one that failed first.
    blocked: Vec<Option<usize>>,
}

/// A resource's turn.
#[derive(Debug)]
pub(super) struct Turn<'g> {
    /// Which.
    pub(super) index: usize,
    /// The resource it needs and that failed, directly or not.
    pub(super) blocked_by: Option<&'g Id>,
}

impl<'g> Schedule<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self {
            graph,
            next: 0,
            blocked: vec![None; graph.len()],
        }
    }

    /// The next turn, once the one before it has been taken.
    pub(super) fn next(&mut self) -> Option<Turn<'g>> {
        let index = *self.graph.order().get(self.next)?;
        self.next += 1;
        // Who is told by a failed resource is not held up by it: others may tell it too.
        let cause = self
            .graph
            .before(index)
            .filter(|(_, edge)| !matches!(edge, Edge::Notifies(_)))
            .find_map(|(before, _)| self.blocked[before]);
        self.blocked[index] = cause;
        Some(Turn {
            index,
            blocked_by: cause.map(|cause| &self.graph.get(cause).id),
        })
    }

    /// Notes that a resource failed.
    pub(super) fn failed(&mut self, index: usize) {
        self.blocked[index] = Some(index);
    }
}
