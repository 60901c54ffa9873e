//! A text that knows which of its parts are secret.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Known, SHOWN, register_form};

/// A text, some parts of which may be secret. What is made of it by `escaped` keeps that; what is shown of it does not hold them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
struct Part {
    text: String,
    is_secret: bool,
}

impl Text {
    /// The text itself, for the node alone.
    pub fn expose(&self) -> String {
        self.0.iter().map(|part| part.text.as_str()).collect()
    }

    /// Whether a part of it is secret.
    pub fn is_secret(&self) -> bool {
        self.0.iter().any(|part| part.is_secret)
    }

    /// The text as a syntax wants it, which escapes character by character. What becomes of a secret is as secret as that is.
    #[must_use]
    pub fn escaped(&self, escape: impl Fn(&str) -> String) -> Self {
        let part = |part: &Part| {
            let text = escape(&part.text);
            if part.is_secret && text != part.text {
                register_form(&text);
            }
            Part {
                text,
                is_secret: part.is_secret,
            }
        };
        Self(self.0.iter().map(part).collect())
    }

    /// Without white space at its ends.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let exposed = self.expose();
        let start = exposed.len() - exposed.trim_start().len();
        let mut kept = start..start + exposed.trim().len();
        let mut parts = Vec::new();
        for part in &self.0 {
            let length = part.text.len();
            let text = part.text[kept.start.min(length)..kept.end.min(length)].to_owned();
            kept = kept.start.saturating_sub(length)..kept.end.saturating_sub(length);
            parts.push(Part {
                text,
                is_secret: part.is_secret,
            });
        }
        parts.retain(|part| !part.text.is_empty());
        Self(parts)
    }

    /// The texts one after the other.
    pub fn concat<'t>(texts: impl IntoIterator<Item = &'t Self>) -> Self {
        Self(texts.into_iter().flat_map(|text| text.0.iter().cloned()).collect())
    }

    /// A text of which nothing is secret, whatever it holds.
    pub fn open(text: impl Into<String>) -> Self {
        Self(vec![Part {
            text: text.into(),
            is_secret: false,
        }])
    }
}

/// Takes a text as it was declared, where the secrets in it are written as they are.
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let known = Known::read();
        let mut parts = Vec::new();
        let mut push = |part: &str, is_secret| {
            if !part.is_empty() {
                parts.push(Part {
                    text: part.to_owned(),
                    is_secret,
                });
            }
        };
        let mut end = 0;
        for range in known.find(text.as_bytes()) {
            push(&text[end..range.start], false);
            push(&text[range.clone()], true);
            end = range.end;
        }
        push(&text[end..], false);
        Self(parts)
    }
}

/// Escapes a text, character by character, as the syntax of a file wants it. What becomes of its secrets is as secret as they are.
pub fn rewrite(text: &str, escape: impl Fn(&str) -> String) -> String {
    let escaped = escape(text);
    if escaped != text {
        let known = Known::read();
        let secrets: Vec<&str> = known
            .find(text.as_bytes())
            .into_iter()
            .map(|range| &text[range])
            .collect();
        drop(known);
        for secret in secrets {
            register_form(&escape(secret));
        }
    }
    escaped
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(text.as_str()))
    }
}

/// Without what is secret.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// Without what is secret.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|part| f.write_str(if part.is_secret { SHOWN } else { &part.text }))
    }
}

/// Without what is secret.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{redact, register},
        *,
    };

    #[test]
    fn a_secret_stays_one_through_escapes() {
        register("it's 100% mine");
        let command = Text::from("push --token \"it's 100% mine\" --all");
        let escaped = command.escaped(|part| part.replace('\'', r"'\''").replace('%', r"\%"));
        assert_eq!(escaped.expose(), r#"push --token "it'\''s 100\% mine" --all"#);
        assert_eq!(format!("{escaped} {escaped:?}").matches(SHOWN).count(), 2);
        assert!(!escaped.to_string().contains("mine"));
        // A program may repeat it.
        assert_eq!(redact(r"bad: it'\''s 100\% mine"), "bad: ‹secret›");
        let joined = Text::concat([&Text::open("a="), &escaped]);
        assert!(joined.is_secret() && !joined.to_string().contains("mine"));
        assert_eq!(Text::from("nothing").to_string(), "nothing");
        assert_eq!(
            Text::from(" \t a it's 100% mine \n").trimmed().expose(),
            "a it's 100% mine"
        );
        assert_eq!(Text::from(" \n").trimmed(), Text::from("").trimmed());
    }

    #[test]
    fn what_a_file_makes_of_a_secret_is_one() {
        register("pass word\twith blanks");
        let rewritten = rewrite("a=pass word\twith blanks", |text| {
            text.replace(' ', "\\040").replace('\t', "\\011")
        });
        assert_eq!(redact(&rewritten), "a=‹secret›");
    }
}
