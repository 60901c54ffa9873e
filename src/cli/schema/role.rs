//! The schema of a whole role file: the envelope, and below it all kinds.

use serde_json::{Map, Value, json};

use super::kind;
use crate::{config::type_names, resource::KINDS};

/// JSON Schema, draft 2020-12.
pub(super) fn role() -> Value {
    let mut definitions = Map::new();
    definitions.insert("expression".to_owned(), expression());
    definitions.insert("reference".to_owned(), reference());
    definitions.insert("input".to_owned(), input());
    for kind in KINDS {
        let mut schema = kind::properties(kind);
        kind::with_expressions(&mut schema);
        let schema = kind::or_key_property(schema);
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
        let one = json!({ "$ref": "#/$defs/reference" });
        json!({ "description": description, "anyOf": [{ "type": "array", "items": one }, one] })
    };
    vec![
        (
            "id",
            json!({ "type": "string", "description": "The name of this resource, instead of kind:name." }),
        ),
        ("when", when()),
        ("for_each", for_each()),
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
            json!({ "type": "boolean", "description": "Nothing may remove or reformat it, also when it is declared no longer; false lets it go." }),
        ),
        (
            "comment",
            json!({ "type": "string", "description": "For those who read the role." }),
        ),
    ]
}

fn include() -> Value {
    let name = json!({ "type": "string", "description": "Its name." });
    let keys = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["role"],
        "properties": {
            "role": name,
            "inputs": { "type": "object", "description": "Values for its inputs." },
            "when": when(),
            "for_each": for_each(),
        },
    });
    json!({ "anyOf": [keys, name] })
}

fn input() -> Value {
    let words: Vec<_> = type_names().collect();
    let declared = json!({
        "description": "What a value must be: a word, 'list of WORD', 'map of WORD', or the choices as a list.",
        "examples": words,
        "anyOf": [
            { "type": "string", "pattern": format!("^(list of |map of )*({}|one of .+)$", words.join("|")) },
            { "type": "array", "minItems": 1, "items": { "type": ["string", "integer", "boolean"] } },
        ],
    });
    let keys = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type"],
        "properties": {
            "type": declared,
            "description": { "type": "string", "description": "What it is for." },
            "default": { "description": "The value where none is given." },
            "optional": { "type": "boolean", "description": "It may be left out, and is null then.", "default": false },
            "secret": { "type": "boolean", "description": "It is never shown.", "default": false },
            "min": { "type": "integer", "description": "The least number." },
            "max": { "type": "integer", "description": "The greatest number." },
            "pattern": { "type": "string", "description": "The regular expression that a text matches.", "format": "regex" },
        },
    });
    json!({ "anyOf": [keys, declared] })
}

fn when() -> Value {
    json!({
        "description": "It is left out where this is false.",
        "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/expression" }],
    })
}

fn for_each() -> Value {
    json!({
        "description": "It is repeated for each element, which is ${each.key} and ${each.value}.",
        "anyOf": [{ "type": "array" }, { "type": "object" }, { "$ref": "#/$defs/expression" }],
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
