//! `glrl schema`: JSON Schema (draft 2020-12) for editors.

pub(super) mod kind;
pub(super) mod role;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;

use super::{Context, Error, Exit, examples};
use crate::resource::KINDS;

/// Print the JSON Schema of role files, or of one kind's properties
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl schema > glrl.schema.json", "for yaml-language-server"),
    ("glrl schema logical_volume", "one kind"),
]))]
pub(super) struct Args {
    /// A kind
    #[arg(value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)))]
    kind: Option<String>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let kind = KINDS.iter().find(|kind| args.kind.as_deref() == Some(kind.name));
    let schema = kind.map_or_else(role::role, kind::properties);
    let mut text = serde_json::to_string_pretty(&schema).context("writing the schema")?;
    text.push('\n');
    context.terminal.out(&text);
    Ok(Exit::Done)
}
