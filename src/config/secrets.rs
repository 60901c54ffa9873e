//! Which names of a role hold what is secret: its secret inputs, and all that was computed from one. What an expression
//! makes of a secret is as secret as that is, and is registered with `value::secret` the moment it exists.

use std::collections::HashSet;

use serde_json::Value;

use crate::value::secret;

/// Names whose values are secret: `inputs.token`, `vars.url`.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets(HashSet<String>);

impl Secrets {
    pub(super) fn add(&mut self, root: &str, name: &str) {
        self.0.insert(format!("{root}.{name}"));
    }

    /// Whether a member of a root is secret; of the root as a whole, whether any is.
    pub(super) fn has(&self, root: &str, member: Option<&str>) -> bool {
        match member {
            Some(member) => self.0.contains(&format!("{root}.{member}")),
            None => self
                .0
                .iter()
                .any(|name| name.strip_prefix(root).is_some_and(|rest| rest.starts_with('.'))),
        }
    }
}

/// What an expression may give although it reads a secret: its own literals, values that are not secret, names of members.
/// `inputs.token == null ? "0644" : "0600"` does not make a secret of all modes.
#[derive(Debug, Default)]
pub(super) struct Plain(HashSet<String>);

impl Plain {
    pub(super) fn of(literals: &[Value]) -> Self {
        let mut plain = Self::default();
        for literal in literals {
            plain.add(literal, false);
        }
        plain
    }

    /// Adds the scalars of a value, of a secret one only the names of its members.
    pub(super) fn add(&mut self, value: &Value, secret: bool) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(item, secret)),
            Value::Object(members) => {
                for (name, value) in members {
                    self.0.insert(name.clone());
                    self.add(value, secret);
                }
            }
            _ => self.0.extend(text(value).filter(|_| !secret)),
        }
    }

    /// Registers all else that a result holds.
    pub(super) fn register_others(&self, result: &Value) {
        let register = |text: &str| {
            if !self.0.contains(text) {
                secret::register(text);
            }
        };
        match result {
            Value::Array(items) => items.iter().for_each(|item| self.register_others(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    register(name);
                    self.register_others(value);
                }
            }
            _ => drop(text(result).as_deref().map(register)),
        }
    }
}

/// A text or a number as it is written inside text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
