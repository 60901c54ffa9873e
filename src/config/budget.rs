//! What evaluating may give, in bytes and in number; how many steps it may take is counted by `value::budget`.

pub(super) use crate::value::budget::{Nothing, Spent, is_spent, of_bytes, pay, pay_pattern, with};

/// Steps that compiling an expression takes, for each of its bytes.
pub(super) const COMPILED_BYTE: u64 = 10;
/// Steps of a round of a block.
pub(super) const ROUND: u64 = 8;
/// Bytes of one value, with all that is in it.
pub(super) const LARGEST: usize = 4 << 20;
/// Bytes that all expressions of a run may give, and all its templates.
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
