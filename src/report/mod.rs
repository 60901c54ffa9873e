//! What a run says: one stream of typed events, and renderers that are twins. A renderer turns an event into text and knows
//! nothing of streams; `Terminal` puts the text where it belongs.

mod backup;
mod backup_status;
pub mod diagnostic;
pub mod diff;
mod human;
mod json;
pub mod style;
mod terminal;
pub mod text;

pub use backup::{Steps, list};
pub use backup_status::status;
pub use human::Human;
pub use json::{Json, object};
pub use terminal::Terminal;
pub use text::redact;

use crate::engine::event::Event;

/// Says what an event means, for eyes or for programs.
pub trait Renderer {
    /// What there is to say about it now.
    fn event(&mut self, event: &Event) -> Rendered;
}

/// What a renderer has to say. On a terminal `err` comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Whole lines for standard error: what went wrong, what is waited for.
    pub err: String,
    /// Whole lines for standard output: the data.
    pub out: String,
    /// How far it is, for the line that comes and goes on a terminal.
    pub progress: Option<Progress>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How much is done: `[12/44]`, `1204 files, 2.1 GiB`.
    pub far: String,
    /// What is going on: `create package:mariadb-server`. The time is that since it began.
    pub now: String,
}

/// How much is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only what went wrong.
    Quiet,
    /// What changes.
    #[default]
    Normal,
    /// What changes to the last line, and what does not change.
    Verbose,
}
