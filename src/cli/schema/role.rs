//! The schema of a whole role file: the envelope, and below it all kinds.

use serde_json::{Map, Value, json};

use super::kind;
use crate::resource::KINDS;

/// JSON Schema, draft 2020-12.
pub(super) fn role() -> Value {
    let mut definitions = Map::new();
    definitions.insert("expression".to_owned(), expression());
    definitions.insert("reference".to_owned(), reference());
    definitions.insert("input".to_owned(), input());
    for kind in KINDS {
        let mut schema = kind::properties(kind);
        kind::with_expressions(&mut schema);
        definitions.insert(kind.name.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A role of glrl",
        "type": "object",
        "additionalProperties": false,
        "required": ["role"],
        "properties": {
            "role": { "type": "string", "description": "The role's name; the file is NAME.yml." },
            "description": { "type": "string", "description": "What the role is for." },
            "inputs": {
                "type": "object",
                "description": "The values that the role asks for, checked before anything runs.",
                "additionalProperties": { "$ref": "#/$defs/input" },
            },
            "vars": { "type": "object", "description": "Values that the role works out from its inputs and from facts." },
            "includes": {
                "type": "array",
                "description": "Roles that are part of this one.",
                "items": include(),
            },
            "resources": { "type": "array", "description": "What the node has to be like.", "items": resource() },
        },
        "$defs": definitions,
    })
}

/// One kind with its properties, and what every kind can say beside it.
fn resource() -> Value {
    let mut properties = Map::new();
    for kind in KINDS {
        properties.insert(
            kind.name.to_owned(),
            json!({ "$ref": format!("#/$defs/{}", kind.name) }),
        );
    }
    let kinds: Vec<Value> = KINDS.iter().map(|kind| json!({ "required": [kind.name] })).collect();
    for (name, schema) in meta() {
        properties.insert(name.to_owned(), schema);
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "oneOf": kinds,
    })
}

/// The keys that mean the same for every kind.
pub(in crate::cli) fn meta() -> Vec<(&'static str, Value)> {
    let references = |description: &str| {
        json!({
            "description": description,
            "type": "array",
            "items": { "$ref": "#/$defs/reference" },
        })
    };
    vec![
        (
            "id",
            json!({ "type": "string", "description": "The name of this resource, instead of kind:name." }),
        ),
        (
            "when",
            json!({
                "description": "The resource is left out where this is false.",
                "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/expression" }],
            }),
        ),
        (
            "for_each",
            json!({
                "description": "Repeats the resource for each item, which is ${each.key} and ${each.value}.",
                "anyOf": [{ "type": "array" }, { "type": "object" }, { "$ref": "#/$defs/expression" }],
            }),
        ),
        ("needs", references("Resources that come before this one.")),
        ("before", references("Resources that come after this one.")),
        ("notify", references("Resources that are told when this one changes.")),
        (
            "retry",
            json!({
                "description": "How often its operations are tried again.",
                "type": "object",
                "additionalProperties": false,
                "required": ["times"],
                "properties": {
                    "times": { "type": "integer", "minimum": 0, "description": "Tries after the first." },
                    "delay": { "type": "string", "description": "Pause between two.", "default": "5s", "examples": ["30s"] },
                },
            }),
        ),
        (
            "timeout",
            json!({ "type": "string", "description": "How long one of its programs may take.", "examples": ["10m"] }),
        ),
        (
            "protect",
            json!({ "type": "boolean", "description": "Nothing may remove or reformat it.", "default": false }),
        ),
        (
            "comment",
            json!({ "type": "string", "description": "For those who read the role." }),
        ),
    ]
}

fn include() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["role"],
        "properties": {
            "role": { "type": "string", "description": "Its name." },
            "inputs": { "type": "object", "description": "Values for its inputs." },
        },
    })
}

fn input() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type"],
        "properties": {
            "type": {
                "description": "What a value must be.",
                "examples": ["string", "bool", "int", "size", "duration", "mode", "path", "device", "host", "url"],
            },
            "description": { "type": "string", "description": "What it is for." },
            "default": { "description": "The value where none is given." },
            "optional": { "type": "boolean", "description": "It may be left out, and is null then.", "default": false },
            "secret": { "type": "boolean", "description": "It is never shown.", "default": false },
        },
    })
}

fn expression() -> Value {
    json!({
        "description": "An expression in CEL: ${inputs.name}, ${facts.os.id == \"debian\"}.",
        "type": "string",
        "pattern": "\\$\\{",
    })
}

fn reference() -> Value {
    json!({
        "description": "A resource, kind:name.",
        "type": "string",
        "pattern": "^[a-z_]+:.+$|\\$\\{",
        "examples": ["package:lvm2", "mount:/backup"],
    })
}
