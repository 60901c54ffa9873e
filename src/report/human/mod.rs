//! Events for eyes: a plan as a list, a converge as a story.

mod change;
mod problem;
mod summary;
#[cfg(test)]
mod tests;
mod words;

use std::fmt::Write;

use self::{change::Limits, problem::Problem};
use super::{
    Progress, Renderer, Said, Verbosity,
    event::{Event, Outcome},
    style::{DIM, STRONG, WARNING, paint},
    text::{count, duration, line},
};
use crate::{
    resource::{Action, Change},
    value::Id,
};

/// Which of the two is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Plan,
    Converge,
}

/// Renders events for eyes.
#[derive(Debug)]
pub struct Human {
    verbosity: Verbosity,
    story: Story,
    /// How many resources there are, and how many are done.
    total: usize,
    done: usize,
    /// Whether a resource has been shown: the closing line then stands apart.
    shown: bool,
    /// Of the ids that a converge will show, so that its times stand in one column.
    width: usize,
    /// By what was last said of each resource.
    problems: Vec<Problem>,
}

/// Details of a resource stand this far in.
const INDENT: &str = "        ";
/// A longer id puts its time out of the column, and nobody else's.
const WIDEST: usize = 56;

impl Human {
    /// A renderer at the start of a run.
    pub fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            story: Story::Plan,
            total: 0,
            done: 0,
            shown: false,
            width: 0,
            problems: Vec::new(),
        }
    }

    fn header(&self, host: &str, roles: &[String]) -> String {
        let title = match self.story {
            Story::Plan => "Plan for",
            Story::Converge => "Converging",
        };
        let noun = if roles.len() == 1 { "role" } else { "roles" };
        format!(
            "{}: {noun} {}, {}\n\n",
            paint(STRONG, format_args!("{title} {}", line(host))),
            line(&roles.join(", ")),
            count(self.total, "resource")
        )
    }

    /// A resource in a plan.
    fn planned(&self, id: &Id, outcome: &Outcome, warnings: &[String]) -> String {
        if self.hidden(outcome, warnings) {
            return String::new();
        }
        let word = words::outcome(outcome);
        let mut text = head(word, word.planned, id.as_str());
        note(&mut text, outcome);
        text.push('\n');
        self.details(&mut text, outcome, warnings);
        text
    }

    /// A resource in a converge.
    fn applied(&self, id: &Id, outcome: &Outcome, warnings: &[String], milliseconds: u64) -> String {
        if self.hidden(outcome, warnings) {
            return String::new();
        }
        let word = words::outcome(outcome);
        let mut text = head(word, word.done, id.as_str());
        if matches!(outcome, Outcome::Changed { .. } | Outcome::Failed { .. }) {
            let pad = self.width.saturating_sub(id.as_str().chars().count());
            let _ = write!(
                text,
                "{:pad$}  {}",
                "",
                paint(DIM, format_args!("{:>8}", duration(milliseconds)))
            );
        }
        note(&mut text, outcome);
        if let Outcome::Changed { changes, action } = outcome
            && *action == Action::Update
            && self.verbosity < Verbosity::Verbose
        {
            let names: Vec<_> = changes.iter().map(|change| line(&change.property)).collect();
            let _ = write!(text, "  {}", paint(DIM, names.join(", ")));
        }
        text.push('\n');
        let details = if self.verbosity == Verbosity::Verbose {
            outcome
        } else {
            &Outcome::Unchanged
        };
        self.details(&mut text, details, warnings);
        text
    }

    /// What is as declared, and what is left out as the role says, is only counted, unless there is something to know about it.
    fn hidden(&self, outcome: &Outcome, warnings: &[String]) -> bool {
        let calm = matches!(outcome, Outcome::Unchanged | Outcome::Skipped { cause: None, .. });
        match self.verbosity {
            Verbosity::Quiet => true,
            Verbosity::Normal => calm && warnings.is_empty(),
            Verbosity::Verbose => false,
        }
    }

    fn details(&self, text: &mut String, outcome: &Outcome, warnings: &[String]) {
        let limits = if self.verbosity == Verbosity::Verbose {
            Limits {
                diff: usize::MAX,
                whole: usize::MAX,
            }
        } else {
            Limits { diff: 60, whole: 12 }
        };
        match outcome {
            Outcome::Changed { changes, .. } => indented(text, change::lines(changes, limits)),
            // On the node there may be anything: only what it will be counts.
            Outcome::Unknown { wants, .. } => indented(text, change::lines(&wanted(wants), limits)),
            _ => {}
        }
        indented(text, warnings.iter().map(|warning| self::warning(warning)));
    }

    /// Keeps what went wrong with a resource; what is said later counts.
    fn remember(&mut self, id: &Id, place: &str, outcome: &Outcome) {
        if !self.problems.is_empty() {
            self.problems.retain(|problem| problem.id != *id);
        }
        self.problems.extend(Problem::of(id, place, outcome));
    }

    fn progress(&self, now: String) -> Option<Progress> {
        (self.verbosity > Verbosity::Quiet).then_some(Progress {
            far: format!("[{}/{}]", self.done, self.total),
            now,
        })
    }

    /// What went wrong, in full, each apart from what comes before it.
    fn problems(&self) -> String {
        let blocks: Vec<String> = self.problems.iter().map(Problem::block).collect();
        let gap = if self.shown && !blocks.is_empty() { "\n" } else { "" };
        format!("{gap}{}", blocks.join("\n"))
    }
}

impl Renderer for Human {
    fn event(&mut self, event: &Event) -> Said {
        let mut said = Said::default();
        let quiet = self.verbosity == Verbosity::Quiet;
        match event {
            Event::RunStarted {
                command,
                host,
                roles,
                resources,
                ..
            } => {
                self.total = *resources;
                if *command == "converge" {
                    self.story = Story::Converge;
                }
                if !quiet {
                    said.out = self.header(host, roles);
                }
            }
            Event::Planned {
                id,
                place,
                outcome,
                warnings,
            } => {
                self.remember(id, place, outcome);
                match self.story {
                    Story::Plan => {
                        said.out = self.planned(id, outcome, warnings);
                        said.err = self.quiet_warnings(id, warnings);
                    }
                    Story::Converge if *outcome != Outcome::Unchanged => {
                        self.width = self.width.max(id.as_str().chars().count().min(WIDEST));
                    }
                    Story::Converge => {}
                }
            }
            Event::Applying { id, action } => {
                said.progress = self.progress(format!("{} {}", words::action(*action).planned, line(id.as_str())));
            }
            Event::Applied {
                id,
                place,
                outcome,
                warnings,
                milliseconds,
            } => {
                self.done += 1;
                self.remember(id, place, outcome);
                said.out = self.applied(id, outcome, warnings, *milliseconds);
                said.err = self.quiet_warnings(id, warnings);
            }
            Event::Drift { id, message } => {
                let text = format!(
                    "{}  {}\n",
                    head(words::DRIFT, "drift", id.as_str()),
                    paint(DIM, line(message))
                );
                if quiet { said.err = text } else { said.out = text }
            }
            Event::Waiting { id, message } => {
                let what = id.as_ref().map_or("", Id::as_str);
                said.progress = self.progress(format!("waiting {}", line(what)));
                if !quiet {
                    let head = head(words::WAITING, "waiting", what);
                    said.err = format!("{head}  {}\n", paint(DIM, line(message)));
                }
            }
            Event::RunFinished { summary, milliseconds } => {
                said.err = self.problems();
                if !quiet {
                    let gap = if self.shown { "\n" } else { "" };
                    said.out = format!("{gap}{}", summary::line(self.story, summary, *milliseconds));
                }
            }
        }
        self.shown |= !said.out.is_empty() && matches!(event, Event::Planned { .. } | Event::Applied { .. });
        said
    }
}

impl Human {
    /// Where nothing else is shown, warnings still are.
    fn quiet_warnings(&self, id: &Id, warnings: &[String]) -> String {
        if self.verbosity > Verbosity::Quiet {
            return String::new();
        }
        let mut text = String::new();
        for warning in warnings {
            let _ = writeln!(
                text,
                "{} {}: {}",
                paint(WARNING, "warning:"),
                line(id.as_str()),
                line(warning)
            );
        }
        text
    }
}

/// `  + create    volume_group:mysql`
fn head(word: words::Word, verb: &str, what: &str) -> String {
    format!(
        "  {} {}",
        paint(
            word.style,
            format_args!("{} {verb:width$}", word.sign, width = words::WIDTH)
        ),
        line(what)
    )
}

/// What stands on the same line behind the id.
fn note(text: &mut String, outcome: &Outcome) {
    let note = match outcome {
        Outcome::Unknown { after, wants } if wants.is_empty() => format!("known after {}", line(after.as_str())),
        Outcome::Unknown { after, .. } => format!("known after {}; it wants", line(after.as_str())),
        Outcome::Skipped { because, .. } => line(because),
        Outcome::Failed { error } | Outcome::Refused { error, .. } => brief(error),
        Outcome::Unchanged | Outcome::Changed { .. } => return,
    };
    let _ = write!(text, "  {}", paint(DIM, note));
}

/// The beginning of an error; all of it stands at the end.
fn brief(error: &str) -> String {
    const LONGEST: usize = 64;
    let first = line(error.lines().next().unwrap_or_default());
    match first.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", first[..end].trim_end()),
        None => first,
    }
}

fn wanted(wants: &[Change]) -> Vec<Change> {
    let after = |change: &Change| Change::new(change.property.clone(), change.after.clone());
    wants.iter().map(after).collect()
}

fn warning(warning: &str) -> String {
    format!("{} {}", paint(WARNING, "warning:"), line(warning))
}

fn indented(text: &mut String, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        let _ = writeln!(text, "{INDENT}{line}");
    }
}
