//! What evaluating may take. A role is text that somebody wrote, and some texts grow beyond any machine: `map` in `map`, a text doubled
//! by itself, `each` in `each`. The steps are counted where they are made, and the place that has none left is named.

use std::cell::Cell;

/// Steps of one expression or template: elements gone through, calls, and for each 64 bytes of a value one.
const STEPS: u64 = 2_000_000;
/// Bytes of one value, with all that is in it.
pub(super) const LARGEST: usize = 4 << 20;
/// Bytes that all expressions of a run may give.
pub(super) const LARGEST_IN_ALL: usize = 256 << 20;
/// Resources that may be declared, `for_each` included.
pub(super) const RESOURCES: usize = 100_000;
/// Blocks in blocks of a template.
pub(super) const BLOCKS: usize = 64;
/// Parentheses in parentheses of a template.
pub(super) const PARENTHESES: usize = 200;
/// Bytes of a template, for each of its tags.
pub(super) const TAG_BYTES: usize = 100_000_000;
/// Bytes of a rendered template.
pub(super) const RENDERED: usize = 64 << 20;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(STEPS) };
}

/// No steps are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it takes more than {STEPS} steps")]
pub(super) struct Spent;

/// Does something with a budget of its own. Returns whether that was spent, too.
pub(super) fn with<T>(work: impl FnOnce() -> T) -> (T, bool) {
    LEFT.set(STEPS);
    let done = work();
    (done, LEFT.get() == 0)
}

/// Takes steps.
pub(super) fn pay(steps: u64) -> Result<(), Spent> {
    let left = LEFT.get().saturating_sub(steps);
    LEFT.set(left);
    if left == 0 { Err(Spent) } else { Ok(()) }
}

/// The steps that a text of so many bytes takes.
pub(super) fn of_bytes(bytes: usize) -> u64 {
    1 + bytes as u64 / 64
}

/// The bytes of a value, with all that is in it.
pub(super) fn size(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(text) => 16 + text.len(),
        Value::Array(items) => 16 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 16 + map.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>(),
        _ => 16,
    }
}
