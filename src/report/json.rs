//! Events for programs: one JSON object a line, on standard output.

use serde_json::Value;

use super::{Rendered, Renderer};
use crate::engine::event::Event;
use crate::value::secret::redact_json;

/// Renders each event as a line of JSON. The format is that of `event`, with its version in the first line.
#[derive(Debug, Default)]
pub struct Json;

impl Renderer for Json {
    fn event(&mut self, event: &Event) -> Rendered {
        Rendered {
            out: object(event) + "\n",
            ..Rendered::default()
        }
    }
}

/// Anything as JSON on one line, secrets gone.
pub fn object(value: impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(value).unwrap_or_else(|error| Value::String(error.to_string()));
    redact_json(&mut value);
    value.to_string()
}
