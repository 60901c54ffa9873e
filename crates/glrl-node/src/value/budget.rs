//! What evaluating may take. A role is text that somebody wrote, and some texts grow beyond any machine: `map` in `map`, a text doubled
//! by itself, `each` in `each`; a thousand texts that just do not. The steps are counted where they are made, those of each text and those of
//! the run, and the place that has none left is named.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
};

use regex::RegexBuilder;

use super::secret::redact;

/// Steps of one expression, template or pattern: elements gone through, calls, and for each 64 bytes of a value one.
const STEPS: u64 = 2_000_000;
/// Steps of all that a run evaluates: some ten seconds; a build that is not optimized takes as long for less.
const STEPS_IN_ALL: u64 = if cfg!(debug_assertions) { 6_000_000 } else { 40_000_000 };
/// As many steps as compiling a pattern takes, by the bytes that it takes at most: a short text can be a large pattern (`\\w{100}`).
const PATTERNS: [(usize, u64); 4] = [
    (64 << 10, 2_000),
    (256 << 10, 8_000),
    (1 << 20, 32_000),
    (10 << 20, 400_000),
];
/// Characters of a text that a message shows.
const SHOWN: usize = 60;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(STEPS) };
    /// What is left for the run: a role is read by a thread of its own.
    static LEFT_IN_ALL: Cell<u64> = const { Cell::new(STEPS_IN_ALL) };
    /// Who took how much of that.
    static SPENDERS: RefCell<HashMap<Box<str>, u64>> = RefCell::default();
}

/// No steps are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spent {
    /// For this text.
    Own,
    /// For the run: most were taken by this text, as it is written.
    All(Box<str>, u64),
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => write!(f, "it takes more than {STEPS} steps"),
            Self::All(most, steps) => write!(
                f,
                "what is evaluated up to here takes more than {STEPS_IN_ALL} steps in all, {steps} of them for '{most}'"
            ),
        }
    }
}

/// Nothing is left to pay with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the budget is spent")]
pub struct Nothing;

/// Evaluates a text with a budget of its own, out of that of the run. Returns besides whether it was spent.
pub fn with<T>(text: &str, work: impl FnOnce() -> T) -> (T, Option<Spent>) {
    let in_all = LEFT_IN_ALL.get();
    let given = in_all.min(STEPS);
    LEFT.set(given);
    let done = work();
    let left = LEFT.get();
    LEFT_IN_ALL.set(in_all - (given - left));
    let most = SPENDERS.with_borrow_mut(|spenders| {
        let steps = spenders.entry(text.into()).or_default();
        *steps += given - left;
        let most = (left == 0 && given < STEPS).then(|| spenders.iter().max_by_key(|(_, steps)| **steps));
        most.flatten().map(|(text, steps)| Spent::All(cut(text), *steps))
    });
    (done, most.or((left == 0).then_some(Spent::Own)))
}

/// Whether the run has nothing left.
pub fn is_spent() -> bool {
    LEFT_IN_ALL.get() == 0
}

fn cut(text: &str) -> Box<str> {
    let text = redact(text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.as_ref().into(),
    }
}

/// Takes steps.
pub fn pay(steps: u64) -> Result<(), Nothing> {
    let left = LEFT.get().saturating_sub(steps);
    LEFT.set(left);
    if left == 0 { Err(Nothing) } else { Ok(()) }
}

/// Takes the steps that a regular expression takes to be compiled.
pub fn pay_pattern(pattern: &str) -> Result<(), Nothing> {
    for (size, steps) in PATTERNS {
        pay(steps)?;
        let compiled = RegexBuilder::new(pattern).size_limit(size).build();
        if !matches!(compiled, Err(regex::Error::CompiledTooBig(_))) {
            break;
        }
    }
    Ok(())
}

/// The steps that a text of so many bytes takes.
pub fn of_bytes(bytes: usize) -> u64 {
    1 + bytes as u64 / 64
}
