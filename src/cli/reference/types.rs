//! The type of a property in words.

use serde_json::{Map, Value};

/// `mode`, `list of string`, `` `present` or `absent` ``.
pub(super) fn name(schema: &Map<String, Value>) -> String {
    if let Some(title) = schema.get("title").and_then(Value::as_str) {
        return words(title);
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", plain(value));
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return either(values.iter().map(|value| format!("`{}`", plain(value))));
    }
    for member in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = schema.get(member) {
            return either(choices.iter().filter_map(Value::as_object).map(name));
        }
    }
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        return to.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let of = |member: &str| schema.get(member).and_then(Value::as_object).map(name);
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => of("items").map_or_else(|| "list".to_owned(), |items| format!("list of {items}")),
        Some("object") => {
            let pattern = schema.get("patternProperties").and_then(Value::as_object);
            let pattern = pattern
                .and_then(|patterns| patterns.values().next()?.as_object())
                .map(name);
            let values = pattern.or_else(|| of("additionalProperties"));
            values.map_or_else(|| "map".to_owned(), |values| format!("map of {values}"))
        }
        Some(name) => name.to_owned(),
        None => "any value".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `a`, `a or b`, `a, b or c`.
fn either(choices: impl Iterator<Item = String>) -> String {
    let mut choices: Vec<String> = choices.collect();
    choices.dedup();
    match choices.pop() {
        Some(last) if !choices.is_empty() => format!("{} or {last}", choices.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// The name of a Rust type as words: `DevicePath` is `device path`.
fn words(title: &str) -> String {
    let title = title.replace("Abs", "Absolute");
    let mut words = String::new();
    for c in title.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_said_in_words() {
        for (schema, said) in [
            (json!({ "type": "string" }), "string"),
            (json!({ "type": "string", "title": "DevicePath" }), "device path"),
            (
                json!({ "type": "array", "items": { "type": "string", "title": "AbsPath" } }),
                "list of absolute path",
            ),
            (
                json!({ "enum": ["present", "absent", "latest"] }),
                "`present`, `absent` or `latest`",
            ),
            (
                json!({ "oneOf": [{ "const": "restart" }, { "const": "reload" }] }),
                "`restart` or `reload`",
            ),
            (json!({ "type": "object", "additionalProperties": true }), "map"),
            (
                json!({ "type": "object", "patternProperties": { "^a": { "type": "integer" } } }),
                "map of integer",
            ),
            (
                json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
                "integer or string",
            ),
            (json!({}), "any value"),
        ] {
            assert_eq!(name(schema.as_object().unwrap()), said);
        }
    }
}
