//! The graph for other programs' eyes: Graphviz, Mermaid, JSON.

use std::{borrow::Cow, fmt::Write};

use petgraph::visit::EdgeRef;
use serde_json::json;

use super::{Edge, Graph};
use crate::value::secret::redact;

/// A format to write the graph in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Graphviz: `glrl graph … | dot -Tsvg`.
    Dot,
    /// A Mermaid flowchart, as Markdown pages show it.
    Mermaid,
    /// Nodes and edges as JSON.
    Json,
}

impl Graph {
    /// The graph as text.
    pub fn export(&self, format: Format) -> String {
        match format {
            Format::Dot => self.dot(),
            Format::Mermaid => self.mermaid(),
            Format::Json => self.json(),
        }
    }

    fn arrows(&self) -> impl Iterator<Item = (usize, usize, &Edge)> {
        self.edges
            .edge_references()
            .map(|edge| (edge.source().index(), edge.target().index(), edge.weight()))
    }

    fn dot(&self) -> String {
        let mut text = String::from("digraph glrl {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n");
        for (index, declaration) in self.declarations.iter().enumerate() {
            let style = if declaration.skipped.is_some() {
                " [style=dashed]"
            } else {
                ""
            };
            let _ = writeln!(text, "  {:?}{style};", self.name(index));
        }
        for (from, to, edge) in self.arrows() {
            let style = match edge {
                Edge::Needs(_) => "",
                Edge::Notifies(_) => " [style=bold, label=\"notifies\"]",
                Edge::Implied => " [style=dotted]",
            };
            let _ = writeln!(text, "  {:?} -> {:?}{style};", self.name(from), self.name(to));
        }
        text.push_str("}\n");
        text
    }

    fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for index in 0..self.declarations.len() {
            let name = self.name(index).replace('"', "#quot;");
            let _ = writeln!(text, "  n{index}[\"{name}\"]");
        }
        for (from, to, edge) in self.arrows() {
            let arrow = match edge {
                Edge::Needs(_) => "-->",
                Edge::Notifies(_) => "==>|notifies|",
                Edge::Implied => "-.->",
            };
            let _ = writeln!(text, "  n{from} {arrow} n{to}");
        }
        text
    }

    fn json(&self) -> String {
        let nodes: Vec<_> = self
            .order
            .iter()
            .map(|&index| {
                json!({
                    "id": self.name(index),
                    "skipped": self.declarations[index].skipped.as_deref().map(redact),
                })
            })
            .collect();
        let edges: Vec<_> = self
            .arrows()
            .map(|(from, to, edge)| {
                json!({
                    "from": self.name(from),
                    "to": self.name(to),
                    "because": match edge {
                        Edge::Needs(_) => "needs",
                        Edge::Notifies(_) => "notifies",
                        Edge::Implied => "implied",
                    },
                })
            })
            .collect();
        let mut text = serde_json::to_string_pretty(&json!({ "resources": nodes, "edges": edges })).unwrap_or_default();
        text.push('\n');
        text
    }

    /// A resource's name without secrets, which all formats quote in ways of their own. Two names that differ only in a secret are
    /// told apart by their place in the files.
    fn name(&self, index: usize) -> Cow<'_, str> {
        match redact(self.declarations[index].id.as_str()) {
            Cow::Owned(redacted) => Cow::Owned(format!("{redacted} #{}", index + 1)),
            name @ Cow::Borrowed(_) => name,
        }
    }
}
