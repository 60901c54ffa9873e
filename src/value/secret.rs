//! Secrets are known by value: whatever is written anywhere goes through `redact`, which knows every secret of the run.

use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

/// What stands in a secret's place.
pub const SHOWN: &str = "‹secret›";

/// Lines shorter than this are not secrets by themselves, only as a part of a longer one: the `}` of a key in JSON.
const LONG_LINE: usize = 8;

/// Known secrets, the longest first, so that one that holds another is hidden whole.
static KNOWN: RwLock<Vec<Box<str>>> = RwLock::new(Vec::new());

/// Keeps a secret for `redact`. Of one with several lines each long line counts too, since diffs and logs show single lines.
pub fn register(text: &str) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if text.trim().is_empty() {
        return;
    }
    let lines = text.lines().map(str::trim).filter(|line| line.len() >= LONG_LINE);
    // As it looks inside a string of JSON, where quotes and line ends are escaped.
    let escaped = serde_json::to_string(text).unwrap_or_default();
    let escaped = escaped.trim_matches('"');
    for part in [text, text.trim()]
        .into_iter()
        .chain(lines)
        .chain((escaped != text).then_some(escaped))
    {
        let place = known.partition_point(|other| (other.len(), &**other) > (part.len(), part));
        if known.get(place).map(|other| &**other) != Some(part) {
            known.insert(place, part.into());
        }
    }
}

/// The text with every secret replaced.
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut redacted = Cow::Borrowed(text);
    for secret in known.iter() {
        if redacted.contains(&**secret) {
            redacted = Cow::Owned(redacted.replace(&**secret, SHOWN));
        }
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    // The registry is the process's, so each test has secrets of its own.

    #[test]
    fn hides_every_occurrence() {
        register("hunter2-one");
        assert_eq!(redact("a hunter2-one b hunter2-one"), "a ‹secret› b ‹secret›");
        assert!(matches!(redact("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn hides_the_longer_of_two_whole() {
        register("correct-horse");
        register("correct-horse-battery");
        assert_eq!(redact("x correct-horse-battery"), "x ‹secret›");
        assert_eq!(redact("x correct-horse"), "x ‹secret›");
    }

    #[test]
    fn hides_single_lines_of_a_longer_secret() {
        register("-----BEGIN-----\nbG9uZyBsaW5l\n}\n-----END-----\n");
        assert_eq!(redact("+bG9uZyBsaW5l"), "+‹secret›");
        assert_eq!(redact("{ }"), "{ }");
    }

    #[test]
    fn hides_it_inside_json() {
        register("pass\"word\\1");
        let line = serde_json::to_string("is pass\"word\\1").expect("texts are JSON");
        assert_eq!(redact(&line), "\"is ‹secret›\"");
    }

    #[test]
    fn ignores_nothing_at_all() {
        register("");
        register(" \n");
        assert_eq!(redact("a b\n"), "a b\n");
    }
}
