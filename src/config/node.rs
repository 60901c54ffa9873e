//! A tree of YAML in which every node knows its place: what role and value files become, before and after their
//! expressions are evaluated.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
    ops::{Deref, Range},
    sync::Arc,
};

use serde_json::{Number, Value};

use super::scalar::{self, Plain};
use crate::{
    source::{Diagnostic, Hint, Place, suggest},
    value::secret::redact,
};

/// A piece of text that is shared with the file it stands in, as most scalars are word for word what the file says.
#[derive(Debug, Clone)]
pub(super) struct Text {
    base: Arc<str>,
    start: u32,
    end: u32,
}

impl Text {
    /// A part of a file's text; the whole of it where the range does not fit.
    pub(super) fn slice(base: &Arc<str>, range: Range<usize>) -> Self {
        match (u32::try_from(range.start), u32::try_from(range.end)) {
            (Ok(start), Ok(end)) if base.get(range).is_some() => Self {
                base: Arc::clone(base),
                start,
                end,
            },
            _ => Self::from(&**base),
        }
    }

    /// Where it starts in a file's text, if it is a part of it.
    pub(super) fn offset_in(&self, file: &Arc<str>) -> Option<usize> {
        Arc::ptr_eq(&self.base, file).then_some(self.start as usize)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self {
            base: text.into(),
            start: 0,
            end: u32::try_from(text.len()).unwrap_or(u32::MAX),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.base[self.start as usize..self.end as usize]
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// A node and where it stands. What an expression gave stands where the expression does.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) data: Data,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar without quotes: what it is, is the core schema's to say.
    Plain(Text),
    /// A scalar in quotes or a block, or a text that an expression gave.
    Text(Text),
    /// What an expression gave.
    Bool(bool),
    /// What an expression gave.
    Number(Number),
    /// A list.
    Sequence(Vec<Node>),
    /// A map, in the order of the file, without duplicates.
    Mapping(Vec<Pair>),
    /// An expression that failed; its diagnostic is written already.
    Failed,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) key: Text,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

impl Pair {
    /// The mistake of a key that is none of those there are.
    pub(super) fn unknown(&self, message: String, known: &[&str]) -> Diagnostic {
        let diagnostic = Diagnostic::at(self.key_place, message);
        match suggest(&self.key, known.iter().copied()) {
            Some(name) => diagnostic.hint(Hint::DidYouMean(name.to_owned())),
            // What stands behind a comma in `{ description: one, two }`.
            None if self.value.is_null() && self.key.contains(' ') => {
                diagnostic.hint("inside { }, a text with a comma is quoted")
            }
            None => diagnostic.hint(format!("there are: {}", known.join(", "))),
        }
    }
}

impl Node {
    pub(super) fn new(place: Place, data: Data) -> Self {
        Self { place, data }
    }

    /// The tree of a computed value, all of it at one place.
    pub(super) fn of_value(place: Place, value: &Value) -> Self {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Bool(*value),
            Value::Number(number) => Data::Number(number.clone()),
            Value::String(text) => Data::Text(text.as_str().into()),
            Value::Array(items) => Data::Sequence(items.iter().map(|item| Self::of_value(place, item)).collect()),
            Value::Object(map) => Data::Mapping(
                map.iter()
                    .map(|(key, value)| Pair {
                        key: key.as_str().into(),
                        key_place: place,
                        value: Self::of_value(place, value),
                    })
                    .collect(),
            ),
        };
        Self { place, data }
    }

    /// The value. A failed expression is null: its diagnostic is written already.
    pub(super) fn to_value(&self) -> Result<Value, Diagnostic> {
        Ok(match &self.data {
            Data::Null | Data::Failed => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.to_string()),
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Null => Value::Null,
                Plain::Bool(value) => Value::Bool(value),
                Plain::Int(value) => Value::Number(value.into()),
                Plain::UInt(value) => Value::Number(value.into()),
                Plain::Float(value) => Number::from_f64(value).map(Value::Number).ok_or_else(|| {
                    Diagnostic::at(self.place, format!("{} is a number that JSON does not have", &**text))
                })?,
                Plain::LeadingZero => return Err(leading_zero(self.place, text)),
                Plain::Text => Value::String(text.to_string()),
            },
            Data::Sequence(items) => Value::Array(items.iter().map(Self::to_value).collect::<Result<_, _>>()?),
            Data::Mapping(pairs) => Value::Object(
                pairs
                    .iter()
                    .map(|pair| Ok((pair.key.to_string(), pair.value.to_value()?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// The text that a place for text gets. What looks like a number, a truth value or null is refused, since another
    /// reader of YAML would take `0644` for 420 and `1.10` for 1.1; what an expression gave is rendered.
    pub(super) fn to_text(&self) -> Result<Cow<'_, str>, Diagnostic> {
        match &self.data {
            Data::Text(text) => Ok(Cow::Borrowed(text)),
            Data::Bool(value) => Ok(Cow::Owned(value.to_string())),
            Data::Number(number) => Ok(Cow::Owned(number.to_string())),
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Text => Ok(Cow::Borrowed(text)),
                _ => Err(self.is_not("text").hint(Hint::Quote((**text).to_owned()))),
            },
            _ => Err(self.is_not("text")),
        }
    }

    /// "A list stands here, where text is wanted".
    pub(super) fn is_not(&self, wanted: &str) -> Diagnostic {
        Diagnostic::at(
            self.place,
            match &self.data {
                Data::Null | Data::Failed => format!("there is no value here, where {wanted} is wanted"),
                _ => format!("{} stands here, where {wanted} is wanted", self.describe()),
            },
        )
    }

    /// `is_not` a truth value, with a hint for those of YAML 1.1.
    pub(super) fn is_not_bool(&self) -> Diagnostic {
        let diagnostic = self.is_not("true or false");
        let (Data::Plain(text) | Data::Text(text)) = &self.data else {
            return diagnostic;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "false" => diagnostic.hint("write it without quotes"),
            "yes" | "on" | "y" => diagnostic.hint("write true"),
            "no" | "off" | "n" => diagnostic.hint("write false"),
            _ => diagnostic,
        }
    }

    /// What it is, in words.
    pub(super) fn describe(&self) -> String {
        match &self.data {
            Data::Null | Data::Failed => "nothing".to_owned(),
            Data::Bool(value) => value.to_string(),
            Data::Number(number) => format!("the number {number}"),
            Data::Text(text) => quoted(text),
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Null => "nothing".to_owned(),
                Plain::Bool(value) => value.to_string(),
                Plain::Text => quoted(text),
                _ => format!("the number {}", &**text),
            },
            Data::Sequence(_) => "a list".to_owned(),
            Data::Mapping(_) => "a map".to_owned(),
        }
    }

    /// The value of a key, if this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Mapping(pairs) => pairs.iter().find(|pair| &*pair.key == key).map(|pair| &pair.value),
            _ => None,
        }
    }

    /// Whether it holds nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }
}

/// A text in quotes, shortened to what fits in a message.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    // Before it is cut: half of a secret is known to nobody.
    let text = redact(text);
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > LONGEST {
        format!("the text '{}…'", line.chars().take(LONGEST).collect::<String>())
    } else {
        format!("the text '{line}'")
    }
}

/// A number with a leading zero, which readers of YAML disagree about.
pub(super) fn leading_zero(place: Place, text: &str) -> Diagnostic {
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0');
    Diagnostic::at(place, format!("{text} can be read as decimal and as octal")).hint(format!(
        "as text write \"{text}\", as a decimal number {}",
        if digits.is_empty() { "0" } else { digits }
    ))
}
