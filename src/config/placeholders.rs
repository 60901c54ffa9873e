//! Names whose values nobody gave: see `guess`.

use std::collections::HashSet;

/// Names whose values are placeholders: `inputs.size`, `vars.device`.
#[derive(Debug, Clone, Default)]
pub(super) struct Placeholders(HashSet<String>);

impl Placeholders {
    pub(super) fn add(&mut self, root: &str, name: &str) {
        self.0.insert(format!("{root}.{name}"));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text names one of them.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|name| {
            text.match_indices(name.as_str()).any(|(at, _)| {
                let next = text[at + name.len()..].chars().next();
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        })
    }
}
