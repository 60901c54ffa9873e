//! `glrl graph`: the order of resources, for other programs' eyes.

use super::{Context, Error, Exit, examples, roles::Roles};
use crate::graph::Format;

/// Print which resource comes before which, and why
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl graph --role mysql | dot -Tsvg > mysql.svg", "with Graphviz"),
    ("glrl graph --role mysql --format mermaid", "for a page in Markdown"),
]))]
pub(super) struct Args {
    #[command(flatten)]
    roles: Roles,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Format::Dot, help_heading = "Output")]
    format: Format,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    // The order does not depend on most values; nobody has to give them to see it.
    let prepared = args.roles.prepare(true)?;
    context.terminal.out(&prepared.graph.export(args.format));
    Ok(Exit::Done)
}
