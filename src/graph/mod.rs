//! The order of things: declarations become a graph by a list of passes, each a small file. All are linear in edges.

mod cycle;
mod declaration;
mod declare;
mod export;
mod grow;
mod imply;
mod keep;
mod link;
mod numbers;
mod reserve;
mod target;
#[cfg(test)]
mod tests;

use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

pub use declaration::{Declaration, Reference, Retry};
pub use export::Format;
pub use target::Selection;

use crate::{
    source::{Diagnostics, Place},
    value::Id,
};

/// Why one resource comes before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// A `needs` or `before`, written here.
    Needs(Place),
    /// A `notify`, written here: the first tells the second.
    Notifies(Place),
    /// The second requires what the first provides.
    Implied,
}

/// Resources in the order in which they are planned and converged.
#[derive(Debug)]
pub struct Graph {
    declarations: Vec<Declaration>,
    edges: DiGraph<(), Edge>,
    order: Vec<usize>,
}

/// Builds the graph: each pass with its reason.
pub fn build(mut declarations: Vec<Declaration>) -> Result<Graph, Diagnostics> {
    let (mut edges, explicit) = explicit(&declarations, &|_| false)?;
    // What follows from what resources provide and require; against the explicit order only what cannot be otherwise, as a mistake.
    imply::imply(&declarations, &mut edges, explicit).map_err(Diagnostics::in_order)?;
    let order = cycle::order(&declarations, &edges)?;
    // What one resource declares, another does not purge.
    keep::keep(&mut declarations);
    // What one keeps free, another does not take.
    reserve::reserve(&mut declarations);
    // What one is to have, another is not given.
    numbers::numbers(&mut declarations);
    // What cannot grow before it is mounted grows then.
    grow::grow(&mut declarations);
    Ok(Graph {
        declarations,
        edges,
        order,
    })
}

/// What is wrong with the order of these resources, among which there are some missing that could not be read: `unread` says whether
/// a name may be one of theirs.
pub fn mistakes(declarations: &[Declaration], unread: &dyn Fn(&Id) -> bool) -> Diagnostics {
    explicit(declarations, unread).err().unwrap_or_default()
}

/// The edges that the role says, and an order of them. What is wrong in any pass is said together.
fn explicit(
    declarations: &[Declaration],
    unread: &dyn Fn(&Id) -> bool,
) -> Result<(DiGraph<(), Edge>, Vec<usize>), Diagnostics> {
    let mut wrong = Diagnostics::default();
    // Each resource once, each path in one hand.
    let index = declare::declare(declarations, &mut wrong);
    // What the role says: needs, before, notify.
    let edges = link::link(declarations, &index, unread, &mut wrong);
    // An order of the explicit edges alone, or the cycles they make.
    match cycle::order(declarations, &edges) {
        Ok(order) => wrong.or((edges, order)),
        Err(circles) => {
            wrong.extend(circles);
            Err(wrong)
        }
    }
    .map_err(Diagnostics::in_order)
}

impl Graph {
    /// Indices of the resources, each after all it needs; those that are free stay in the order of the files.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.declarations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.declarations.is_empty()
    }

    /// A resource by its index.
    pub fn get(&self, index: usize) -> &Declaration {
        &self.declarations[index]
    }

    /// All resources, in the order of the files.
    pub fn declarations(&self) -> &[Declaration] {
        &self.declarations
    }

    /// What comes right before a resource, and why.
    pub fn before(&self, index: usize) -> impl Iterator<Item = (usize, &Edge)> {
        self.edges
            .edges_directed(NodeIndex::new(index), Incoming)
            .map(|edge| (edge.source().index(), edge.weight()))
    }

    /// The resources that one tells when it changes.
    pub fn notified_by(&self, index: usize) -> impl Iterator<Item = usize> {
        self.edges
            .edges_directed(NodeIndex::new(index), Outgoing)
            .filter(|edge| matches!(edge.weight(), Edge::Notifies(_)))
            .map(|edge| edge.target().index())
    }
}
