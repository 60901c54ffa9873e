//! Events for programs: one JSON object a line, on standard output.

use serde_json::Value;

use super::{Renderer, Said, event::Event, redact};

/// Renders each event as a line of JSON. The format is that of `event`, with its version in the first line.
#[derive(Debug, Default)]
pub struct Json;

impl Renderer for Json {
    fn event(&mut self, event: &Event) -> Said {
        Said {
            out: object(event) + "\n",
            ..Said::default()
        }
    }
}

/// Anything as JSON on one line, secrets gone. They are looked for in each string before it is quoted: quoting would hide a
/// secret of several lines.
pub fn object(value: impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(value).unwrap_or_else(|error| Value::String(error.to_string()));
    redact_strings(&mut value);
    value.to_string()
}

fn redact_strings(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_strings),
        Value::Object(members) => members.values_mut().for_each(redact_strings),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
