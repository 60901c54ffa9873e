//! What went wrong, once more and in full, where the eye looks last.

use std::fmt::Write as _;

use super::super::{
    style::{DIM, ERROR, HELP, paint},
    text::{self, line},
};
use crate::{engine::event::Outcome, value::Id};

/// A resource that failed or was refused.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    id: Id,
    place: String,
    word: &'static str,
    error: String,
    hint: Option<String>,
}

impl Problem {
    /// The problem in an outcome, if it is one.
    pub(super) fn of(id: &Id, place: &str, outcome: &Outcome) -> Option<Self> {
        let (word, error, hint) = match outcome {
            Outcome::Failed { error } => ("failed", error, None),
            Outcome::Refused { error, hint } => ("refused", error, Some(hint)),
            _ => return None,
        };
        Some(Self {
            id: id.clone(),
            place: place.to_owned(),
            word,
            error: error.clone(),
            hint: hint.filter(|hint| !hint.is_empty()).cloned(),
        })
    }

    /// A block in the form of a compiler's error: which, where, why, what to do.
    pub(super) fn block(&self) -> String {
        let mut block = format!(
            "{} {}\n",
            paint(ERROR, format_args!("{}:", self.word)),
            line(self.id.as_str())
        );
        if !self.place.is_empty() {
            let _ = writeln!(block, "  {} {}", paint(DIM, "-->"), line(&self.place));
        }
        for part in text::cut(&text::lines(&self.error)).lines() {
            let _ = writeln!(block, "  {part}");
        }
        if let Some(hint) = &self.hint {
            // Whole, however long: it is to be pasted.
            let hint = text::whole(hint);
            let _ = writeln!(block, "  {} {hint}", paint(HELP, "help:"));
        }
        block
    }
}
