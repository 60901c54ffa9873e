//! `glrl facts`: what expressions can ask about the node.

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use serde_json::{Map, Value};

use super::{Context, Error, Exit, examples, node::Node};
use crate::{
    report::{
        object,
        style::{DIM, paint},
        text::line,
    },
    system::facts::{Facts, NAMES, NodeFacts},
};

/// Print what expressions in roles can ask about the node
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl facts", "all of them"),
    ("glrl facts os", "one"),
    ("glrl facts --json | jq .memory", "for programs"),
]))]
pub(super) struct Args {
    /// One of them
    #[arg(value_parser = PossibleValuesParser::new(NAMES))]
    name: Option<String>,
    /// Print one JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    node: Node,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let facts = NodeFacts::new(args.node.path());
    let mut values = Map::new();
    let mut failed = Vec::new();
    for name in NAMES
        .iter()
        .filter(|name| args.name.as_deref().is_none_or(|only| only == **name))
    {
        match facts
            .get(name)
            .with_context(|| format!("the fact '{name}' cannot be read"))
        {
            Ok(value) => drop(values.insert((*name).to_owned(), value)),
            Err(error) => failed.push(Error::from(error)),
        }
    }
    if values.is_empty()
        && let Some(error) = failed.pop()
    {
        return Err(error);
    }
    let text = if args.json {
        object(values) + "\n"
    } else {
        table(&values)
    };
    context.terminal.out(&text);
    // The others are there all the same.
    let last = failed.pop();
    for error in failed {
        let width = context.terminal.width();
        context.terminal.err(&error.render(width));
    }
    last.map_or(Ok(Exit::Done), Err)
}

/// One value a line, by the name it has in an expression.
fn table(values: &Map<String, Value>) -> String {
    let mut rows = Vec::new();
    for (name, value) in values {
        flatten(&format!("facts.{name}"), value, &mut rows);
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let row = |(name, value): &(String, String)| format!("{name:width$}  {value}\n");
    rows.iter().map(row).collect()
}

fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (member, value) in members {
                flatten(&format!("{name}.{member}"), value, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{name}[{index}]"), value, rows);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(scalar).collect();
            rows.push((name.to_owned(), format!("[{}]", items.join(", "))));
        }
        Value::Null => rows.push((name.to_owned(), paint(DIM, "null"))),
        scalar_value => rows.push((name.to_owned(), scalar(scalar_value))),
    }
}

fn scalar(value: &Value) -> String {
    line(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str())
}
