//! Events for eyes: a plan as a list, a converge as a story.

mod change;
mod entry;
mod problem;
mod summary;
#[cfg(test)]
mod tests;
mod words;

use self::problem::Problem;
use super::{
    Progress, Rendered, Renderer, Verbosity,
    style::{STRONG, paint},
    text::{count, line},
};
use crate::{
    engine::event::{Event, Outcome, Summary},
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
    /// Of the terminal, if it is seen on one.
    columns: Option<usize>,
    story: Story,
    /// How many resources there are, and how many are done.
    total: usize,
    done: usize,
    /// Whether a resource has been shown: the closing line then stands apart.
    shown: bool,
    /// Of the ids that a converge will show, so that its times stand in one column.
    width: usize,
    /// What has gone wrong so far.
    problems: Vec<Problem>,
}

/// A longer id puts its time out of the column, and nobody else's.
const WIDEST: usize = 56;

impl Human {
    /// A renderer at the start of a run.
    pub fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            columns: None,
            story: Story::Plan,
            total: 0,
            done: 0,
            shown: false,
            width: 0,
            problems: Vec::new(),
        }
    }

    /// Cuts what is said in full elsewhere so that its line stays one line on a terminal of so many columns.
    #[must_use]
    pub fn columns(self, columns: Option<usize>) -> Self {
        Self { columns, ..self }
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

    fn progress(&self, now: String) -> Option<Progress> {
        (self.verbosity > Verbosity::Quiet).then_some(Progress {
            far: format!("[{}/{}]", self.done, self.total),
            now,
        })
    }

    /// The closing line.
    fn end(&self, summary: &Summary, stopped: bool, milliseconds: u64) -> String {
        let gap = if self.shown { "\n" } else { "" };
        let left = if stopped {
            self.total.saturating_sub(summary.total())
        } else {
            0
        };
        format!("{gap}{}", summary::line(self.story, summary, left, milliseconds))
    }

    /// What went wrong, in full, each apart from what comes before it.
    fn problems(&self) -> String {
        let blocks: Vec<String> = self.problems.iter().map(Problem::block).collect();
        let gap = if self.shown && !blocks.is_empty() { "\n" } else { "" };
        format!("{gap}{}", blocks.join("\n"))
    }
}

impl Renderer for Human {
    fn event(&mut self, event: &Event) -> Rendered {
        let mut said = Rendered::default();
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
                self.problems.extend(Problem::of(id, place, outcome));
                match self.story {
                    Story::Plan if quiet => said.err = entry::warnings(id, warnings),
                    Story::Plan => said.out = entry::planned(id, outcome, warnings, self.columns, self.verbosity),
                    Story::Converge if *outcome != Outcome::Unchanged => {
                        self.width = self.width.max(id.as_str().chars().count().min(WIDEST));
                    }
                    Story::Converge => {}
                }
            }
            Event::Warning { id, message } => {
                if quiet {
                    said.err = entry::warnings(id, std::slice::from_ref(message));
                } else {
                    said.out = entry::remark(words::REMARK, id.as_str(), message);
                }
            }
            Event::Orphan { id, role } => {
                if !quiet {
                    let message = format!("is protected; role {role} declares it no longer");
                    said.out = entry::remark(words::ORPHAN, id.as_str(), &message);
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
                if self.done == 0 {
                    // What planning found is said again by each resource's own turn, or has gone.
                    self.problems.clear();
                }
                self.done += 1;
                self.problems.extend(Problem::of(id, place, outcome));
                if quiet {
                    said.err = entry::warnings(id, warnings);
                } else {
                    let time = entry::Time {
                        milliseconds: *milliseconds,
                        column: self.width,
                    };
                    said.out = entry::applied(id, outcome, warnings, time, self.columns, self.verbosity);
                }
            }
            Event::Drift { id, message } => {
                let text = entry::remark(words::DRIFT, id.as_str(), message);
                if quiet { said.err = text } else { said.out = text }
            }
            Event::Waiting { id, message } => {
                let what = id.as_ref().map_or("", Id::as_str);
                said.progress = self.progress(format!("waiting {}", line(what)));
                if !quiet {
                    said.err = entry::remark(words::WAITING, what, message);
                }
            }
            Event::RunFinished {
                summary,
                stopped,
                milliseconds,
            } => {
                said.err = self.problems();
                if !quiet {
                    said.out = self.end(summary, stopped.is_some(), *milliseconds);
                }
            }
        }
        self.shown |= !said.out.is_empty()
            && matches!(
                event,
                Event::Planned { .. } | Event::Applied { .. } | Event::Orphan { .. } | Event::Warning { .. }
            );
        said
    }
}
