//! The unified diff of two texts, with a few lines of context (diff(1), POSIX).

use std::{fmt::Write, time::Duration};

use similar::{ChangeTag, TextDiff};

use super::{
    style::{CREATE, DIM, REMOVE, paint},
    text,
};

/// Lines around a change.
const CONTEXT: usize = 3;
/// After so long a coarser diff is good enough: a generated file of megabytes must not hold up a plan.
const PATIENCE: Duration = Duration::from_millis(500);

/// What differs between two texts, line by line, without a heading. At most `limit` lines, then how many more there are.
/// Of a text that is new or gone pass `""` for the other: it is shown whole, with no hunk header.
pub fn unified(before: &str, after: &str, limit: usize) -> Vec<String> {
    let (before, after) = (text::lines(before), text::lines(after));
    if before == after {
        return vec![paint(DIM, "only a secret in it differs")];
    }
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before.as_str(), after.as_str());
    let whole = before.is_empty() || after.is_empty();
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if !whole {
            lines.push(paint(DIM, hunk.header()));
        }
        for change in hunk.iter_changes() {
            let content = change.value().trim_end_matches('\n');
            lines.push(match change.tag() {
                ChangeTag::Insert => paint(CREATE, format_args!("+{content}")),
                ChangeTag::Delete => paint(REMOVE, format_args!("-{content}")),
                ChangeTag::Equal => format!(" {content}"),
            });
            if change.missing_newline() {
                lines.push(paint(DIM, "\\ no newline at the end"));
            }
        }
    }
    shorten(&mut lines, limit);
    lines
}

/// Cuts what is beyond the limit, unless that is little more than the line that would stand for it.
fn shorten(lines: &mut Vec<String>, limit: usize) {
    const SLACK: usize = 3;
    if lines.len() > limit.saturating_add(SLACK) {
        let more = lines.len() - limit;
        lines.truncate(limit);
        let mut note = String::new();
        let _ = write!(note, "… {more} more lines (-v shows all)");
        lines.push(paint(DIM, note));
    }
}
