//! Secrets, and what is made of them.
//!
//! A value that came from a secret is a `Text`, which carries its secrecy through escaping and quoting to whoever writes it, or it is written
//! as it is. The second line of defence is `redact`, which looks for every known secret, and for what quoting makes of it, in all that is said.

mod former;
mod forms;
mod pieces;
mod text;

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Range,
    sync::{LazyLock, OnceLock, PoisonError, RwLock, RwLockReadGuard},
};

use serde_json::Value;

pub use former::redact_former;
use pieces::Pieces;
pub use pieces::redact_pieces;
pub use text::{Text, rewrite};

/// Replaces a secret.
pub const SHOWN: &str = "‹secret›";

/// Replaces what a secret replaces.
pub const FORMER: &str = "‹former secret›";

/// Lines shorter than this are not secrets by themselves, only as a part of a longer one: the `}` of a key in JSON.
const LONG_LINE: usize = 8;

/// Characters of the shortest secret that is hidden. A shorter one is in half of all words, and would be read from what is missing.
pub const SHORTEST: usize = 4;

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// The secrets of this process.
#[derive(Debug, Default)]
struct Known {
    /// The secrets as they were given.
    given: Vec<Box<str>>,
    /// They and all their forms, by the first bytes, the longest first: one that holds another is hidden whole.
    forms: HashMap<[u8; SHORTEST], Vec<Box<str>>>,
    /// Which bytes one begins with: whole files are searched.
    first: Bytes,
    /// Which bytes come second.
    second: Bytes,
    /// What gives a piece of one away, once somebody has asked.
    pieces: OnceLock<Pieces>,
}

/// A set of bytes.
#[derive(Debug)]
struct Bytes([bool; 256]);

impl Default for Bytes {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl Known {
    fn read() -> RwLockReadGuard<'static, Self> {
        KNOWN.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&mut self, form: &str) {
        self.pieces.take();
        let Some(first) = form.as_bytes().first_chunk() else {
            return;
        };
        self.first.0[usize::from(first[0])] = true;
        self.second.0[usize::from(first[1])] = true;
        let forms = self.forms.entry(*first).or_default();
        let place = forms.partition_point(|other| (other.len(), &**other) > (form.len(), form));
        if forms.get(place).map(|other| &**other) != Some(form) {
            forms.insert(place, form.into());
        }
    }

    /// Returns the parts of a text that are secret, in order. Those that overlap are one.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.forms.is_empty() {
            return found;
        }
        let last = text.len().saturating_sub(SHORTEST);
        for at in 0..=last {
            let is_start = text.get(at).is_some_and(|byte| self.first.0[usize::from(*byte)]);
            if !is_start || !text.get(at + 1).is_some_and(|byte| self.second.0[usize::from(*byte)]) {
                continue;
            }
            let first = &text[at..];
            let forms = first.first_chunk().and_then(|first| self.forms.get(first));
            let Some(form) = forms.and_then(|forms| forms.iter().find(|form| text[at..].starts_with(form.as_bytes())))
            else {
                continue;
            };
            match found.last_mut() {
                Some(last) if at < last.end => last.end = last.end.max(at + form.len()),
                _ => found.push(at..at + form.len()),
            }
        }
        found
    }
}

/// Returns whether a text is something to hide, and long enough that it can be.
pub fn can_be_hidden(text: &str) -> bool {
    text.trim().chars().count() >= SHORTEST
}

/// Makes a secret known to `redact`, if it is long enough to be hidden. Of one with several lines each long line counts too, since diffs and
/// logs show single lines.
pub fn register(text: &str) {
    if !can_be_hidden(text) || Known::read().given.iter().any(|known| **known == *text) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.given.push(text.into());
    let lines = text.lines().map(str::trim).filter(|line| line.len() >= LONG_LINE);
    // Line ends around it belong to the text that holds it.
    for part in [text.trim_matches(['\n', '\r']), text.trim()].into_iter().chain(lines) {
        known.add(part);
        for form in forms::of(part) {
            known.add(&form);
        }
    }
}

/// Makes known what became of a part of a secret.
fn register_form(form: &str) {
    if can_be_hidden(form) {
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).add(form);
    }
}

/// Forgets all secrets, so that one input of a fuzz target is as good as the next.
/// Tests run beside each other, and keep theirs.
#[cfg(feature = "fuzzing")]
pub fn forget() {
    if cfg!(fuzzing) {
        *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = Known::default();
    }
}

/// Returns the text with every secret replaced. What is redacted already stays as it is.
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = Known::read();
    let mut redacted = String::new();
    let mut kept = 0;
    let mut at = 0;
    for between in text.split(SHOWN) {
        for range in known.find(between.as_bytes()) {
            redacted.push_str(&text[kept..at + range.start]);
            redacted.push_str(SHOWN);
            kept = at + range.end;
        }
        at += between.len() + SHOWN.len();
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[kept..]);
    Cow::Owned(redacted)
}

/// Every secret in the strings and names of a JSON value replaced. They are looked for before the strings are quoted: quoting would hide a
/// secret of several lines.
pub fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(members) => {
            members.values_mut().for_each(redact_json);
            if members.keys().any(|name| matches!(redact(name), Cow::Owned(_))) {
                let named = std::mem::take(members).into_iter();
                members.extend(named.map(|(name, value)| (redact(&name).into_owned(), value)));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
    fn hides_it_in_json_values() {
        register("line one of it\nline two of it");
        let mut value = serde_json::json!({ "a": ["is line one of it\nline two of it", 1] });
        redact_json(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["is ‹secret›", 1] }));
    }

    #[test]
    fn hides_what_a_secret_replaces() {
        register("new-password-7");
        let after = "user = a\npassword = \"new-password-7\"\nport = 1\n";
        for (before, shown) in [
            (
                "user = a\npassword = \"old\"\nport = 2\n",
                "user = a\npassword = \"‹former secret›\"\nport = 2\n",
            ),
            ("password=\"old\"", "password = \"‹former secret›\""),
            (
                "user = a\npassword: old\nport = 1\n",
                "user = a\n‹former secret›\nport = 1\n",
            ),
            ("nothing of it\n", FORMER),
            (after, after),
            ("password = \"new-password-7\"\n", "password = \"‹secret›\"\n"),
        ] {
            assert_eq!(redact_former(before, after), shown);
        }
        assert_eq!(redact_former("an old key\nof two lines\n", "new-password-7\n"), FORMER);
        assert_eq!(redact_former("old\n", "no secret\n"), "old\n");
    }

    /// Lines that are too short to be looked for.
    #[test]
    fn hides_short_lines_that_a_secret_replaces() {
        register("new1234\nnew7890\n");
        assert_eq!(redact_former("abc1234\nxyz7890\n", "new1234\nnew7890\n"), FORMER);
        assert_eq!(
            redact_former("[keys]\nabc1234\nxyz7890\n[end]\n", "[keys]\nnew1234\nnew7890\n[end]\n"),
            "[keys]\n‹former secret›\n[end]\n"
        );
    }

    #[test]
    fn ignores_what_is_too_short_to_hide() {
        for short in ["", " \n", "e", "/", " ab1 "] {
            register(short);
        }
        assert_eq!(redact("file:/e ab1 \n"), "file:/e ab1 \n");
    }

    #[test]
    fn redacts_once() {
        register("longer-ecret›");
        register("ecret›");
        let once = redact("my ecret›, longer-ecret›").into_owned();
        assert_eq!(once, "my ‹secret›, ‹secret›");
        assert_eq!(redact(&once), once);
        let mut named = serde_json::json!({ "is ecret›": 1 });
        redact_json(&mut named);
        assert_eq!(named, serde_json::json!({ "is ‹secret›": 1 }));
    }
}
