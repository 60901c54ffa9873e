//! The page of one kind.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{MADE, types};
use crate::{
    cli::schema::{
        kind::{properties, whole},
        role,
    },
    resource::{KINDS, Kind},
};

/// All kinds with their first sentence, and the keys that every kind has.
pub(super) fn index() -> String {
    let mut text = format!("{MADE}# Kinds\n\n| kind | |\n|---|---|\n");
    for kind in KINDS {
        let schema = properties(kind);
        let description = description(&schema);
        let first = description.split("\n\n").next().unwrap_or_default();
        let _ = writeln!(text, "| [{0}]({0}.md) | {1} |", kind.name, cell(first));
    }
    text += "\n## Keys of every kind\n\nThey stand beside the kind's own key.\n\n| key | type | default | |\n|---|---|---|---|\n";
    for (name, schema) in role::meta() {
        let Value::Object(schema) = schema else { continue };
        row(&mut text, name, &schema, false);
    }
    text
}

/// Description, example, properties.
pub(super) fn page(kind: &Kind) -> String {
    let schema = properties(kind);
    let mut text = format!(
        "{MADE}# {}\n\n{}\n\n```yaml\n{}\n```\n\n## Properties\n\n| property | type | default | |\n|---|---|---|---|\n",
        kind.name,
        description(&schema),
        example(kind)
    );
    rows(&mut text, "", &schema);
    text += "\nEvery kind also has the [keys of every kind](README.md#keys-of-every-kind).\n";
    text
}

/// The kind's example as a role has it.
pub(super) fn example(kind: &Kind) -> String {
    let properties = kind.example.trim_end().replace('\n', "\n      ");
    format!("resources:\n  - {}:\n      {properties}", kind.name)
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// All settings of the backup programs.
pub(super) fn settings() -> String {
    let mut schema = whole(&schemars::schema_for!(crate::backup::Settings));
    // This host's name is the default on this host.
    schema["properties"]["instance"]["default"] = Value::Null;
    let mut text = format!(
        "{MADE}# Settings of the backup programs\n\n`/etc/glrl/backup.yml`, YAML; without it, or with an empty one, the defaults hold. Each \
         key can be given on the command line too, as in `glrl backup run --set lock.budget=2s`, with the value as in the file.\n\n\
         | key | type | default | |\n|---|---|---|---|\n"
    );
    let mut rows_of = String::new();
    rows(&mut rows_of, "", &schema);
    // A map that has keys of its own is said by them.
    let is_leaf = |line: &&str| !line.contains("| object |") && !line.contains("| map |");
    text.extend(rows_of.lines().filter(is_leaf).map(|line| format!("{line}\n")));
    text
}

/// The properties of an object, and below each that is an object itself, its own.
fn rows(text: &mut String, prefix: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        let path = format!("{prefix}{name}");
        row(text, &path, property, required.contains(&name.as_str()));
        rows(text, &format!("{path}."), &Value::Object(property.clone()));
    }
}

fn row(text: &mut String, name: &str, property: &Map<String, Value>, required: bool) {
    let default = match property.get("default") {
        _ if required => "required".to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(Value::String(default)) => format!("`{default}`"),
        Some(default) => format!("`{default}`"),
    };
    let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let _ = writeln!(
        text,
        "| `{name}` | {} | {default} | {} |",
        cell(&types::name(property)),
        cell(description)
    );
}

/// A text in a table's cell.
fn cell(text: &str) -> String {
    let lines: Vec<&str> = text
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ").replace('|', "\\|")
}
