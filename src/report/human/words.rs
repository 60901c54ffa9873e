//! The sign, the verb and the colour of everything that can happen to a resource: one table.

use anstyle::Style;

use super::super::style::{CREATE, DIM, ERROR, LATER, REMOVE, RUN, UPDATE, WARNING};
use crate::{engine::event::Outcome, resource::Action};

/// How an outcome begins its line: `+ create`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) sign: char,
    /// In a plan.
    pub(super) planned: &'static str,
    /// In a converge, afterwards.
    pub(super) done: &'static str,
    pub(super) style: Style,
}

/// The longest verb, so that what follows stands in one column.
pub(super) const WIDTH: usize = "restarted".len();

const fn word(sign: char, planned: &'static str, done: &'static str, style: Style) -> Word {
    Word {
        sign,
        planned,
        done,
        style,
    }
}

/// The node has moved since it was planned.
pub(super) const DRIFT: Word = word('!', "drift", "drift", WARNING);
/// What is good to know at the end.
pub(super) const REMARK: Word = word('!', "warning", "warning", WARNING);
/// It is protected and no longer declared.
pub(super) const ORPHAN: Word = word(' ', "orphan", "orphan", LATER);
/// For something outside.
pub(super) const WAITING: Word = word(' ', "waiting", "waiting", LATER);

pub(super) fn action(action: Action) -> Word {
    match action {
        Action::Create => word('+', "create", "created", CREATE),
        Action::None | Action::Update => word('~', "update", "updated", UPDATE),
        Action::Remove => word('-', "remove", "removed", REMOVE),
        Action::Run => word('>', "run", "ran", RUN),
        Action::Restart => word('>', "restart", "restarted", RUN),
        Action::Reload => word('>', "reload", "reloaded", RUN),
    }
}

pub(super) fn outcome(outcome: &Outcome) -> Word {
    match outcome {
        Outcome::Unchanged => word(' ', "ok", "ok", DIM),
        Outcome::Changed { action: what, .. } => action(*what),
        Outcome::Unknown { .. } => word('?', "later", "later", LATER),
        Outcome::Skipped { .. } => word(' ', "skip", "skipped", DIM),
        Outcome::Failed { .. } => word('!', "fails", "failed", ERROR),
        Outcome::Refused { .. } => word('!', "refused", "refused", ERROR),
    }
}
