//! The properties of one resource, before and after.

use super::super::{
    diff,
    style::{CREATE, DIM, REMOVE, paint},
    text::{count, line},
};
use crate::resource::{Change, Shown};

/// How many lines of a text are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of a text that changes: enough for any edit by hand.
    pub(super) diff: usize,
    /// Of a text that is new or goes: enough to recognise it.
    pub(super) whole: usize,
}

impl Limits {
    /// Everything is shown.
    pub(super) const NONE: Self = Self {
        diff: usize::MAX,
        whole: usize::MAX,
    };
}

/// The lines below a resource, not indented: short values in one column, then texts with their diffs.
pub(super) fn lines(changes: &[Change], limits: Limits) -> Vec<String> {
    let (texts, values): (Vec<_>, Vec<_>) = changes.iter().partition(|change| is_text(change));
    let width = values
        .iter()
        .map(|change| change.property.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for change in values {
        lines.push(format!(
            "{:width$}  {}",
            line(&change.property),
            short(&change.before, &change.after)
        ));
    }
    for change in texts {
        lines.push(line(&change.property));
        let (before, after, limit) = match (&change.before, &change.after) {
            (Shown::Text(before), Shown::Text(after)) => (before.as_str(), after.as_str(), limits.diff),
            (Shown::Text(before), _) => (before.as_str(), "", limits.whole),
            (_, Shown::Text(after)) => ("", after.as_str(), limits.whole),
            _ => continue,
        };
        lines.extend(
            diff::unified(before, after, limit)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
    }
    lines
}

/// Whether it is shown as a diff: text on one side, text or nothing on the other. An empty text has no lines to show.
fn is_text(change: &Change) -> bool {
    match (&change.before, &change.after) {
        (Shown::Text(_), Shown::Text(_)) => true,
        (Shown::Text(text), Shown::Absent) | (Shown::Absent, Shown::Text(text)) => !text.is_empty(),
        _ => false,
    }
}

fn short(before: &Shown, after: &Shown) -> String {
    let arrow = paint(DIM, "->");
    match (before, after) {
        (Shown::Absent, after) => paint(CREATE, value(after)),
        (before, Shown::Absent) => format!("{} {arrow} none", paint(REMOVE, value(before))),
        (before, after) => format!(
            "{} {arrow} {}",
            paint(REMOVE, value(before)),
            paint(CREATE, value(after))
        ),
    }
}

/// A value on one line; in quotes where its ends would not be seen.
fn value(shown: &Shown) -> String {
    match shown {
        Shown::Absent => "none".to_owned(),
        Shown::Value(value) if value.is_empty() || value.trim() != value => format!("\"{}\"", line(value)),
        Shown::Value(value) => line(value),
        Shown::Text(text) if text.is_empty() => "empty".to_owned(),
        Shown::Text(text) => format!("text of {}", count(text.lines().count(), "line")),
        Shown::Binary(bytes) => format!("binary, {}", count(*bytes, "byte")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_is_called_empty() {
        let empty = || Shown::contents(b"");
        for (change, shown) in [
            (Change::new("contents", empty()), "contents  empty"),
            (Change::gone("contents", empty()), "contents  empty -> none"),
        ] {
            let lines: Vec<_> = lines(&[change], Limits::NONE)
                .iter()
                .map(|line| anstream::adapter::strip_str(line).to_string())
                .collect();
            assert_eq!(lines, [shown]);
        }
    }
}
