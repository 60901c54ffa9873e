//! The error that protects data.

/// Going on could destroy something that is not proven to be empty or glrl's own. Exit code 3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refused {
    /// What was found, and what was not done because of it.
    pub what: String,
    /// What the operator can do.
    pub hint: String,
}

impl Refused {
    /// A refusal, ready to be returned as an error.
    pub fn because(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
        .into()
    }
}
