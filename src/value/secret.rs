//! Secrets are known by value: whatever is written anywhere goes through `redact`, which knows every secret of the run.

use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

use serde_json::Value;

/// What stands in a secret's place.
pub const SHOWN: &str = "‹secret›";

/// What stands in the place of what a secret replaces.
const FORMER: &str = "‹former secret›";

/// Lines shorter than this are not secrets by themselves, only as a part of a longer one: the `}` of a key in JSON.
const LONG_LINE: usize = 8;

/// Known secrets, the longest first, so that one that holds another is hidden whole.
static KNOWN: RwLock<Vec<Box<str>>> = RwLock::new(Vec::new());

/// Characters of the shortest secret that is hidden. A shorter one is in half of all words, and would be read from what is missing.
pub const SHORTEST: usize = 4;

/// Whether a text is something to hide, and long enough that it can be.
pub fn can_be_hidden(text: &str) -> bool {
    text.trim().chars().count() >= SHORTEST
}

/// Keeps a secret for `redact`, if it is long enough to be hidden. Of one with several lines each long line counts too, since diffs and logs show single lines.
pub fn register(text: &str) {
    if !can_be_hidden(text) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
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

/// The text with every secret replaced. What is redacted already stays as it is.
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if !known.iter().any(|secret| text.contains(&**secret)) {
        return Cow::Borrowed(text);
    }
    let mut redacted = String::with_capacity(text.len());
    for (index, between) in text.split(SHOWN).enumerate() {
        redacted.push_str(if index > 0 { SHOWN } else { "" });
        hide(between, &known, &mut redacted);
    }
    Cow::Owned(redacted)
}

/// Hides the first of these that is in the text, and the others in what lies between.
fn hide(text: &str, secrets: &[Box<str>], redacted: &mut String) {
    let Some(found) = secrets.iter().position(|secret| text.contains(&**secret)) else {
        return redacted.push_str(text);
    };
    for (index, between) in text.split(&*secrets[found]).enumerate() {
        redacted.push_str(if index > 0 { SHOWN } else { "" });
        hide(between, &secrets[found + 1..], redacted);
    }
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

/// A text that is about to give way to `after`, without what gives way to a secret there: last year's password is no more for
/// showing than this year's, and no role knows it any more. Such a line is known by what stands around the secret in the new text;
/// where nothing stands around it, all of the old text may be secret.
pub fn redact_former<'t>(before: &'t str, after: &str) -> Cow<'t, str> {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let mut frames = Vec::new();
    for line in after.lines() {
        let redacted = redact(line);
        if let (Cow::Owned(_), Some((head, _)), Some((_, tail))) =
            (&redacted, redacted.split_once(SHOWN), redacted.rsplit_once(SHOWN))
        {
            frames.push((head.to_owned(), tail.to_owned(), squeezed(head), squeezed(tail)));
        }
    }
    if frames.is_empty() || before == after {
        return Cow::Borrowed(before);
    }
    if frames.iter().any(|(.., head, tail)| head.is_empty() && tail.is_empty()) {
        return Cow::Borrowed(FORMER);
    }
    let mut redacted = String::with_capacity(before.len());
    for line in before.split_inclusive('\n') {
        let bare = squeezed(line);
        let frame = frames
            .iter()
            .find(|(.., head, tail)| bare.starts_with(&**head) && bare.ends_with(&**tail));
        match frame {
            Some((head, tail, ..)) if !after.lines().any(|kept| kept == line.trim_end_matches('\n')) => {
                let end = if line.ends_with('\n') { "\n" } else { "" };
                redacted.extend([head, FORMER, tail, end]);
            }
            _ => redacted.push_str(line),
        }
    }
    Cow::Owned(redacted)
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
            ("nothing of it\n", "nothing of it\n"),
            (after, after),
            ("password = \"new-password-7\"\n", "password = \"new-password-7\"\n"),
        ] {
            assert_eq!(redact_former(before, after), shown);
        }
        assert_eq!(redact_former("an old key\nof two lines\n", "new-password-7\n"), FORMER);
        assert_eq!(redact_former("old\n", "no secret\n"), "old\n");
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
