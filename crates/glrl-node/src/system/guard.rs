//! Programs that only answer a question: `unless` and `only_if` of an `exec`.

use std::time::Duration;

/// A program of the user's whose exit status is an answer. It runs while planning, so it runs where it cannot write: in a
/// mount namespace of its own in which every filesystem is read-only (`mount_setattr(2)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// It is killed, and that is an error, when it takes longer.
    pub timeout: Duration,
}
