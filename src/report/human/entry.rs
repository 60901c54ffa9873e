//! One resource, in a plan and in a converge.

use std::fmt::Write;

use super::{
    super::{
        Verbosity,
        style::{DIM, WARNING, paint},
        text::{duration, line},
    },
    change::{self, Limits},
    words::{self, Word},
};
use crate::{
    engine::event::Outcome,
    resource::{Action, Change},
    value::Id,
};

/// Details of a resource stand this far in.
const INDENT: &str = "        ";

/// How long it took, and behind how many columns of ids that stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) milliseconds: u64,
    pub(super) column: usize,
}

/// What would happen to a resource.
pub(super) fn planned(
    id: &Id,
    outcome: &Outcome,
    warnings: &[String],
    columns: Option<usize>,
    verbosity: Verbosity,
) -> String {
    if hidden(outcome, warnings, verbosity) {
        return String::new();
    }
    let word = words::outcome(outcome);
    let mut text = head(word, word.planned, id.as_str());
    note(&mut text, outcome, columns);
    text.push('\n');
    let limits = match verbosity {
        Verbosity::Verbose => Limits::NONE,
        _ => Limits { diff: 60, whole: 12 },
    };
    details(&mut text, outcome, limits);
    if let (Outcome::Changed { operations, .. }, Verbosity::Verbose) = (outcome, verbosity) {
        for operation in operations {
            let _ = writeln!(text, "{INDENT}{}", paint(DIM, format_args!("$ {}", line(operation))));
        }
    }
    below(&mut text, warnings);
    text
}

/// What has happened to it.
pub(super) fn applied(
    id: &Id,
    outcome: &Outcome,
    warnings: &[String],
    time: Time,
    columns: Option<usize>,
    verbosity: Verbosity,
) -> String {
    if hidden(outcome, warnings, verbosity) {
        return String::new();
    }
    let word = words::outcome(outcome);
    let mut text = head(word, word.done, id.as_str());
    if matches!(outcome, Outcome::Changed { .. } | Outcome::Failed { .. }) {
        let pad = time.column.saturating_sub(id.as_str().chars().count());
        let took = duration(time.milliseconds);
        let _ = write!(text, "{:pad$}  {}", "", paint(DIM, format_args!("{took:>8}")));
    }
    note(&mut text, outcome, columns);
    let verbose = verbosity == Verbosity::Verbose;
    if let (
        Outcome::Changed {
            changes,
            action: Action::Update,
            ..
        },
        false,
    ) = (outcome, verbose)
    {
        let names: Vec<_> = changes.iter().map(|change| line(&change.property)).collect();
        let _ = write!(text, "  {}", paint(DIM, names.join(", ")));
    }
    text.push('\n');
    if verbose {
        details(&mut text, outcome, Limits::NONE);
    }
    below(&mut text, warnings);
    text
}

/// A message about a resource, in the columns of the others.
pub(super) fn remark(word: Word, what: &str, message: &str) -> String {
    format!("{}  {}\n", head(word, word.done, what), paint(DIM, line(message)))
}

/// Warnings where nothing else is shown.
pub(super) fn warnings(id: &Id, warnings: &[String]) -> String {
    let mut text = String::new();
    for warning in warnings {
        let (id, warning) = (line(id.as_str()), line(warning));
        let _ = writeln!(text, "{} {id}: {warning}", paint(WARNING, "warning:"));
    }
    text
}

/// What is as declared, and what is left out as the role says, is only counted, unless there is something to know about it.
fn hidden(outcome: &Outcome, warnings: &[String], verbosity: Verbosity) -> bool {
    let calm = matches!(outcome, Outcome::Unchanged | Outcome::Skipped { cause: None, .. });
    calm && warnings.is_empty() && verbosity < Verbosity::Verbose
}

/// `  + create    volume_group:mysql`
fn head(word: Word, verb: &str, what: &str) -> String {
    let verb = format_args!("{} {verb:width$}", word.sign, width = words::WIDTH);
    format!("  {} {}", paint(word.style, verb), line(what))
}

/// What stands on the same line behind the id.
fn note(text: &mut String, outcome: &Outcome, columns: Option<usize>) {
    let note = match outcome {
        Outcome::Unknown { after, wants } if wants.is_empty() => format!("known after {}", line(after.as_str())),
        Outcome::Unknown { after, .. } => format!("known after {}; it wants", line(after.as_str())),
        Outcome::Skipped { because, .. } => line(because),
        Outcome::Failed { error } | Outcome::Refused { error, .. } => match brief(error, room(text, columns)) {
            Some(brief) => brief,
            None => return,
        },
        Outcome::Unchanged | Outcome::Changed { .. } => return,
    };
    let _ = write!(text, "  {}", paint(DIM, note));
}

/// Columns that are left behind a text and two blanks; a usual number where nobody knows.
fn room(text: &str, columns: Option<usize>) -> usize {
    const USUAL: usize = 65;
    let taken = anstream::adapter::strip_str(text).to_string().chars().count() + 2;
    columns.map_or(USUAL, |columns| columns.saturating_sub(taken))
}

/// The beginning of an error, if there is room for more than a word; all of it stands at the end.
fn brief(error: &str, room: usize) -> Option<String> {
    const LEAST: usize = 16;
    let first = line(error.lines().next().unwrap_or_default());
    if first.chars().count() <= room {
        return Some(first);
    }
    let cut: String = first.chars().take(room.saturating_sub(1)).collect();
    (room >= LEAST).then(|| format!("{}…", cut.trim_end()))
}

/// On the node there may be anything: of what it wants only what will be counts.
fn wanted(wants: &[Change]) -> Vec<Change> {
    let after = |change: &Change| Change::new(change.property.clone(), change.after.clone());
    wants.iter().map(after).collect()
}

fn details(text: &mut String, outcome: &Outcome, limits: Limits) {
    let lines = match outcome {
        Outcome::Changed { changes, .. } => change::lines(changes, limits),
        Outcome::Unknown { wants, .. } => change::lines(&wanted(wants), limits),
        _ => return,
    };
    for line in lines {
        let _ = writeln!(text, "{INDENT}{line}");
    }
}

fn below(text: &mut String, warnings: &[String]) {
    for warning in warnings {
        let _ = writeln!(text, "{INDENT}{} {}", paint(WARNING, "warning:"), line(warning));
    }
}
