//! What gives way to a secret: last year's password is no more for showing than this year's, and no role knows it any more.

use std::{borrow::Cow, collections::HashSet};

use similar::{ChangeTag, TextDiff};

use super::{FORMER, SHOWN, redact};

/// What is left of a line without its white space.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What stands around the secrets of a new line.
struct Frame<'t> {
    head: &'t str,
    tail: &'t str,
}

impl<'t> Frame<'t> {
    fn of(line: &'t str) -> Option<Self> {
        let line = line.trim_end_matches('\n');
        let (head, tail) = (line.split_once(SHOWN)?.0, line.rsplit_once(SHOWN)?.1);
        Some(Self { head, tail })
    }

    /// A former line without what stood in the secret's place.
    fn fill(&self, line: &str) -> Option<String> {
        let (line, head, tail) = (squeezed(line), squeezed(self.head), squeezed(self.tail));
        let is_around = !(head.is_empty() && tail.is_empty()) && line.len() >= head.len() + tail.len();
        (is_around && line.starts_with(&head) && line.ends_with(&tail)).then(|| [self.head, FORMER, self.tail].concat())
    }
}

fn first_word(line: &str) -> Option<&str> {
    line.split(|c: char| c.is_whitespace() || "=:,".contains(c))
        .find(|word| !word.is_empty())
}

/// Returns a text that is about to give way to `after`, without what gives way to a secret there.
///
/// A line that goes where one with a secret comes is shown as far as the new one tells what stands around the secret, or where another new
/// line, without a secret, begins with the same word. All else there may be a former secret.
pub fn redact_former<'t>(before: &'t str, after: &str) -> Cow<'t, str> {
    let new = redact(after);
    if before == after || !new.contains(SHOWN) {
        return Cow::Borrowed(before);
    }
    let old = redact(before);
    let diff = TextDiff::from_lines(&*old, &*new);
    let mut shown = String::with_capacity(before.len());
    for group in groups(&diff) {
        let frames: Vec<_> = group.comes.iter().filter_map(|line| Frame::of(line)).collect();
        let words: HashSet<_> = group
            .comes
            .iter()
            .filter(|line| !line.contains(SHOWN))
            .filter_map(|line| first_word(line))
            .collect();
        let mut hidden = false;
        for line in group.goes {
            let is_open = frames.is_empty() || first_word(line).is_some_and(|word| words.contains(word));
            if let Some(filled) = frames.iter().find_map(|frame| frame.fill(line)) {
                shown.push_str(&filled);
                shown.push('\n');
                hidden = false;
            } else if is_open {
                shown.push_str(line);
                hidden = false;
            } else if !std::mem::replace(&mut hidden, true) {
                shown.push_str(FORMER);
                shown.push('\n');
            }
        }
        group.stays.iter().for_each(|line| shown.push_str(line));
    }
    if !before.ends_with('\n') && shown.ends_with('\n') {
        shown.pop();
    }
    if shown.trim_end() == FORMER {
        return Cow::Borrowed(FORMER);
    }
    Cow::Owned(shown)
}

/// Lines that go, those that come in their place, and those that stay behind them.
#[derive(Default)]
struct Group<'d> {
    goes: Vec<&'d str>,
    comes: Vec<&'d str>,
    stays: Vec<&'d str>,
}

fn groups<'d>(diff: &'d TextDiff<'d, 'd, str>) -> Vec<Group<'d>> {
    let mut groups = vec![Group::default()];
    for change in diff.iter_all_changes() {
        let tag = change.tag();
        if tag != ChangeTag::Equal && groups.last().is_some_and(|group| !group.stays.is_empty()) {
            groups.push(Group::default());
        }
        let Some(group) = groups.last_mut() else { continue };
        match tag {
            ChangeTag::Delete => group.goes.push(change.value()),
            ChangeTag::Insert => group.comes.push(change.value()),
            ChangeTag::Equal => group.stays.push(change.value()),
        }
    }
    groups
}
