//! The schema of one kind's properties, as roles write them.

use serde_json::{Map, Value, json};

use crate::resource::Kind;

/// Written out whole, without `null`: a property that has no value is not written. (schemars gives every `Option` a null, and
/// shares types by names that are only unique within one kind.)
pub(in crate::cli) fn properties(kind: &Kind) -> Value {
    whole((kind.schema)())
}

/// Any schema, written out so.
pub(in crate::cli) fn whole(schema: &schemars::Schema) -> Value {
    // Not `to_value` of the schema itself, which loses the usual order of keywords.
    let mut schema = serde_json::to_value(schema).unwrap_or_else(|error| unreachable!("a schema is JSON: {error}"));
    let definitions = match schema.get_mut("$defs").map(Value::take) {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    tidy(&mut schema, &definitions, 0);
    if let Value::Object(members) = &mut schema {
        for member in ["$schema", "title", "$defs"] {
            members.shift_remove(member);
        }
    }
    schema
}

/// Types of properties do not contain themselves; this deep none is nested.
const DEEPEST: usize = 32;

fn tidy(schema: &mut Value, definitions: &Map<String, Value>, depth: usize) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| tidy(item, definitions, depth)),
        Value::Object(members) => {
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = unwrapped(description);
            }
            drop_null(members);
            inline(members, definitions, depth);
            for member in members.values_mut() {
                tidy(member, definitions, depth);
            }
        }
        _ => {}
    }
}

/// Doc comments are wrapped where the source is; paragraphs stay apart.
fn unwrapped(text: &str) -> String {
    let paragraphs: Vec<_> = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect();
    paragraphs.join("\n\n")
}

/// Puts what `$ref` names in its place. What stands beside it, a property's own description, counts.
fn inline(members: &mut Map<String, Value>, definitions: &Map<String, Value>, depth: usize) {
    let name = members
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|to| to.strip_prefix("#/$defs/"));
    let Some(Value::Object(definition)) = name.and_then(|name| definitions.get(name)) else {
        return;
    };
    assert!(depth < DEEPEST, "a property's type contains itself");
    let mut definition = Value::Object(definition.clone());
    tidy(&mut definition, definitions, depth + 1);
    members.shift_remove("$ref");
    merge_below(members, definition);
}

/// Adds the members of another schema that are not there yet.
fn merge_below(members: &mut Map<String, Value>, other: Value) {
    if let Value::Object(other) = other {
        for (name, value) in other {
            members.entry(name).or_insert(value);
        }
    }
}

fn drop_null(members: &mut Map<String, Value>) {
    if members.get("default") == Some(&Value::Null) {
        members.shift_remove("default");
    }
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            members.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        choices.retain(|choice| choice != &json!({ "type": "null" }));
        if let [one] = choices.as_slice() {
            let one = one.clone();
            members.shift_remove("anyOf");
            merge_below(members, one);
        }
    }
}

/// The same with an expression allowed wherever a value stands: `mode: "${inputs.mode}"`.
pub(super) fn with_expressions(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.values_mut().for_each(or_expression);
    }
    if let Some(Value::Object(patterns)) = members.get_mut("patternProperties") {
        patterns.values_mut().for_each(or_expression);
        // A key may be an expression as well.
        if let Some(value) = patterns.values().next().cloned() {
            patterns.insert("\\$\\{".to_owned(), value);
        }
    }
    for member in ["items", "additionalProperties"] {
        if let Some(value @ Value::Object(_)) = members.get_mut(member) {
            or_expression(value);
        }
    }
    for member in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = members.get_mut(member) {
            choices.iter_mut().for_each(with_expressions);
        }
    }
}

/// The same, or the one property that has to be given alone: `package: lvm2`.
pub(super) fn or_key_property(schema: Value) -> Value {
    let key = match schema["required"].as_array().map(Vec::as_slice) {
        Some([Value::String(key)]) => schema["properties"][key].clone(),
        _ => return schema,
    };
    json!({ "description": schema["description"], "anyOf": [schema, key] })
}

fn or_expression(schema: &mut Value) {
    with_expressions(schema);
    let Value::Object(members) = schema else { return };
    let free_text = members.get("type") == Some(&json!("string"))
        && !members.contains_key("pattern")
        && !members.contains_key("enum");
    if members.is_empty() || free_text {
        return;
    }
    // What editors show of a property stands outside; what it may be stands inside.
    let mut outer = Map::new();
    for member in ["description", "default", "examples"] {
        if let Some(value) = members.shift_remove(member) {
            outer.insert(member.to_owned(), value);
        }
    }
    outer.insert(
        "anyOf".to_owned(),
        json!([Value::Object(std::mem::take(members)), { "$ref": "#/$defs/expression" }]),
    );
    *schema = Value::Object(outer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_references_go() {
        let definitions = json!({ "State": { "enum": ["present", "absent"], "description": "Of the type." } });
        let mut schema = json!({
            "properties": {
                "a": { "type": ["string", "null"], "default": null },
                "b": { "anyOf": [{ "$ref": "#/$defs/State" }, { "type": "null" }], "description": "Its own." },
                "c": { "$ref": "#/$defs/State" },
            }
        });
        tidy(&mut schema, definitions.as_object().unwrap(), 0);
        assert_eq!(
            schema,
            json!({
                "properties": {
                    "a": { "type": "string" },
                    "b": { "description": "Its own.", "enum": ["present", "absent"] },
                    "c": { "enum": ["present", "absent"], "description": "Of the type." },
                }
            })
        );
    }

    #[test]
    fn an_expression_stands_for_any_value() {
        let mut schema = json!({
            "properties": {
                "text": { "type": "string" },
                "list": { "type": "array", "items": { "type": "integer" }, "description": "Some." },
            }
        });
        with_expressions(&mut schema);
        let expression = json!({ "$ref": "#/$defs/expression" });
        assert_eq!(
            schema["properties"],
            json!({
                "text": { "type": "string" },
                "list": {
                    "description": "Some.",
                    "anyOf": [
                        { "type": "array", "items": { "anyOf": [{ "type": "integer" }, expression] } },
                        expression,
                    ],
                },
            })
        );
    }
}
