//! The closing line.

use std::fmt::Write as _;

use super::{
    super::{
        style::{ERROR, STRONG, paint},
        text::duration,
    },
    Story,
};
use crate::engine::event::Summary;

/// `3 to change, 41 as declared, 2 known later`; `changed 3, unchanged 41, failed 0 in 12.3 s`. What there is none of is left
/// out, except for what everybody looks for. `left`: how many had no turn because the run was stopped.
pub(super) fn line(story: Story, summary: &Summary, left: usize, milliseconds: u64) -> String {
    let mut parts = Vec::new();
    let mut part = |number: usize, always: bool, bad: bool, text: String| {
        if number > 0 || always {
            parts.push(paint(if number > 0 && bad { ERROR } else { STRONG }, text));
        }
    };
    let Summary {
        unchanged,
        changed,
        unknown,
        skipped,
        failed,
        refused,
        partly: _,
    } = *summary;
    match story {
        Story::Plan => {
            part(changed, true, false, format!("{changed} to change"));
            part(unchanged, true, false, format!("{unchanged} as declared"));
            part(unknown, false, false, format!("{unknown} known later"));
            part(skipped, false, false, format!("{skipped} skipped"));
            part(failed, false, true, format!("{failed} failed"));
            part(refused, false, true, format!("{refused} refused"));
        }
        Story::Converge => {
            part(changed, true, false, format!("changed {changed}"));
            part(unchanged, true, false, format!("unchanged {unchanged}"));
            part(unknown, false, false, format!("unknown {unknown}"));
            part(skipped, false, false, format!("skipped {skipped}"));
            part(failed, true, true, format!("failed {failed}"));
            part(refused, false, true, format!("refused {refused}"));
        }
    }
    if left > 0 {
        parts.push(paint(ERROR, format_args!("{left} not reached")));
    }
    let mut line = parts.join(", ");
    if story == Story::Converge {
        let _ = write!(line, " in {}", duration(milliseconds));
    }
    line + "\n"
}
