//! Inputs of a role: what they are declared as, and whether a value is one.

use std::{borrow::Cow, net::IpAddr, str::FromStr, sync::Arc};

use serde_json::Value;

use super::{
    node::{Data, Node, Text},
    scalar::{self, Plain},
    yaml,
};
use crate::{
    source::{Diagnostic, Diagnostics, Hint, Place, suggest},
    value::{AbsPath, DevicePath, Duration, Mode, Size},
};

/// What an input takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    String,
    Bool,
    Int,
    Size,
    Duration,
    Mode,
    Path,
    Device,
    Host,
    Url,
    List(Box<Type>),
    Map(Box<Type>),
    OneOf(Vec<Value>),
}

const WORDS: [(&str, Type); 10] = [
    ("string", Type::String),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("size", Type::Size),
    ("duration", Type::Duration),
    ("mode", Type::Mode),
    ("path", Type::Path),
    ("device", Type::Device),
    ("host", Type::Host),
    ("url", Type::Url),
];

/// The words for what an input takes, besides `list of …`, `map of …` and `one of …`.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(name, _)| *name)
}

/// An input as its role declares it.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) declared: Type,
    pub(super) description: Option<String>,
    pub(super) default: Option<Node>,
    pub(super) optional: bool,
    pub(super) secret: bool,
    /// Whether the declaration is wrong, so that nothing can be said of its values.
    pub(super) faulty: bool,
    pub(super) bounds: Bounds,
}

/// What a value has to keep to besides its type; of a list or a map, each element.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    pub(super) pattern: Option<regex::Regex>,
}

/// Where a value comes from, since an argument has no quotes of YAML that would tell texts from numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In a file.
    Yaml,
    /// In an argument or the environment: a text, whatever it looks like.
    Argument,
}

impl FromStr for Type {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some((_, word)) = WORDS.iter().find(|(name, _)| *name == text) {
            return Ok(word.clone());
        }
        if let Some(inner) = text.strip_prefix("list of ") {
            return Ok(Self::List(Box::new(inner.parse()?)));
        }
        if let Some(inner) = text.strip_prefix("map of ") {
            return Ok(Self::Map(Box::new(inner.parse()?)));
        }
        if let Some(inner) = text.strip_prefix("one of ") {
            let inner = inner.trim().trim_start_matches('[').trim_end_matches(']');
            let choices: Vec<_> = inner
                .split(',')
                .map(str::trim)
                .filter(|choice| !choice.is_empty())
                .collect();
            if choices.is_empty() {
                return Err("'one of' names nothing: write one of [a, b]".to_owned());
            }
            return Ok(Self::OneOf(choices.into_iter().map(choice).collect()));
        }
        Err(match suggest(text, type_names()) {
            Some(name) => format!("'{text}' is not a type: did you mean '{name}'?"),
            None => format!(
                "'{text}' is not a type: write {}, 'list of …', 'map of …', or the choices as a list: [a, b]",
                type_names().collect::<Vec<_>>().join(", ")
            ),
        })
    }
}

/// One of the values of `one of`, quotes allowed.
fn choice(text: &str) -> Value {
    match scalar::resolve(text) {
        Plain::Bool(value) => Value::Bool(value),
        Plain::Int(value) => value.into(),
        _ => Value::String(text.trim_matches(['\'', '"']).to_owned()),
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::List(inner) => write!(f, "list of {inner}"),
            Self::Map(inner) => write!(f, "map of {inner}"),
            Self::OneOf(choices) => {
                let choices: Vec<_> = choices.iter().map(shown).collect();
                write!(f, "one of [{}]", choices.join(", "))
            }
            word => {
                let name = WORDS
                    .iter()
                    .find(|(_, other)| other == word)
                    .map_or("", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Type {
    /// Whether a value in an argument is YAML, as `[a, b]` is.
    fn is_collection(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    /// The value that a node is, all that is wrong with it else.
    pub(super) fn check(&self, node: &Node, bounds: &Bounds, written: Written) -> Result<Value, Diagnostics> {
        let wrong = |message: String| Diagnostics::from(Diagnostic::at(node.place, message));
        match (self, &node.data) {
            // The expression's mistake is written already.
            (_, Data::Failed) => Err(Diagnostics::default()),
            (Self::List(inner), Data::Sequence(items)) => {
                let mut mistakes = Diagnostics::default();
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    match inner.check(item, bounds, written) {
                        Ok(value) => values.push(value),
                        Err(wrong) => mistakes.extend(wrong),
                    }
                }
                mistakes.or(Value::Array(values))
            }
            (Self::Map(inner), Data::Mapping(pairs)) => {
                let mut mistakes = Diagnostics::default();
                let mut values = serde_json::Map::new();
                for pair in pairs {
                    match inner.check(&pair.value, bounds, written) {
                        Ok(value) => drop(values.insert(pair.key.to_string(), value)),
                        Err(wrong) => mistakes.extend(wrong),
                    }
                }
                mistakes.or(Value::Object(values))
            }
            (Self::List(_), _) => Err(node.is_not("a list").into()),
            (Self::Map(_), _) => Err(node.is_not("a map").into()),
            (Self::Bool, _) => match plain(node) {
                Some(Plain::Bool(value)) => Ok(Value::Bool(value)),
                _ => Err(node.is_not_bool().into()),
            },
            (Self::Int, _) => match plain(node) {
                Some(Plain::Int(value)) => bounds.check_number(value).map(|()| value.into()).map_err(wrong),
                _ => Err(node.is_not("a whole number").into()),
            },
            (Self::OneOf(choices), _) => {
                let value = match plain(node) {
                    Some(Plain::Bool(value)) => Value::Bool(value),
                    Some(Plain::Int(value)) => value.into(),
                    _ => Value::String(as_text(node, written).map_err(Diagnostics::from)?.into_owned()),
                };
                if choices.contains(&value) {
                    return Ok(value);
                }
                let names: Vec<_> = choices.iter().map(shown).collect();
                let diagnostic = Diagnostic::at(node.place, format!("{} is not among the choices", node.describe()));
                Err(match suggest(&shown(&value), names.iter().map(String::as_str)) {
                    Some(name) => diagnostic.hint(Hint::DidYouMean(name.to_owned())),
                    None => diagnostic.hint(format!("write one of: {}", names.join(", "))),
                }
                .into())
            }
            (scalar, _) => {
                let text = as_text(node, written).map_err(Diagnostics::from)?;
                scalar
                    .check_text(&text)
                    .and_then(|()| bounds.check_text(&text))
                    .map_err(wrong)?;
                Ok(Value::String(text.into_owned()))
            }
        }
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Size => text.parse::<Size>().map(drop),
            Self::Duration => text.parse::<Duration>().map(drop),
            Self::Mode => text.parse::<Mode>().map(drop),
            Self::Path => text.parse::<AbsPath>().map(drop),
            Self::Device => text.parse::<DevicePath>().map(drop),
            Self::Host => host(text),
            Self::Url => url(text),
            _ => Ok(()),
        }
    }

    /// A value to check a role with that was given none. It holds the input's name, so that no two are equal.
    pub(super) fn sample(&self, name: &str) -> Value {
        Value::String(match self {
            Self::String => name.to_owned(),
            Self::Size => "1GiB".to_owned(),
            Self::Duration => "1h".to_owned(),
            Self::Mode => "0644".to_owned(),
            Self::Path => format!("/example/{name}"),
            Self::Device => format!("/dev/disk/by-id/{name}"),
            Self::Host => format!("{}.example.org", name.replace('_', "-")),
            Self::Url => format!("https://example.org/{name}"),
            Self::Bool => return Value::Bool(false),
            Self::Int => return 1.into(),
            Self::List(inner) => return Value::Array(vec![inner.sample(name)]),
            Self::Map(inner) => return serde_json::json!({ name: inner.sample(name) }),
            Self::OneOf(choices) => return choices.first().cloned().unwrap_or_default(),
        })
    }
}

impl Bounds {
    fn check_number(&self, value: i64) -> Result<(), String> {
        match (self.min, self.max) {
            (Some(min), _) if value < min => Err(format!("{value} is less than {min}")),
            (_, Some(max)) if value > max => Err(format!("{value} is more than {max}")),
            _ => Ok(()),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        match &self.pattern {
            Some(pattern) if !pattern.is_match(text) => Err(format!("'{text}' does not match {pattern}")),
            _ => Ok(()),
        }
    }
}

/// The text of a scalar; an argument is text whatever it looks like.
fn as_text(node: &Node, written: Written) -> Result<Cow<'_, str>, Diagnostic> {
    match &node.data {
        Data::Plain(text) if written == Written::Argument => Ok(Cow::Borrowed(text)),
        _ => node.to_text(),
    }
}

/// What a scalar without quotes, or a computed one, is.
fn plain(node: &Node) -> Option<Plain> {
    match &node.data {
        Data::Plain(text) => Some(scalar::resolve(text)),
        Data::Bool(value) => Some(Plain::Bool(*value)),
        Data::Number(number) => number.as_i64().map(Plain::Int),
        _ => None,
    }
}

/// A value of an argument as a node: YAML where the type is a list or a map, else a plain scalar.
pub(super) fn argument(declared: &Type, place: Place, text: &Arc<str>) -> Result<Node, Diagnostics> {
    if declared.is_collection() {
        return yaml::parse(place.file, text);
    }
    Ok(Node::new(place, Data::Plain(Text::slice(text, 0..text.len()))))
}

/// A name of RFC 1123, section 2.1, or an address.
fn host(text: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let looks_like_address = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if text.parse::<IpAddr>().is_ok() || (!looks_like_address && text.len() <= 253 && text.split('.').all(label)) {
        return Ok(());
    }
    Err(format!(
        "'{text}' is not a host: write a name, as in backup or db1.example.org, or an address"
    ))
}

/// RFC 3986, as far as it matters here: a scheme, `://`, something behind it, no blanks.
fn url(text: &str) -> Result<(), String> {
    let well_formed = text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
            && (scheme == "file" || !rest.starts_with(['/', '?', '#']))
    });
    if well_formed && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(());
    }
    Err(format!(
        "'{text}' is not a URL: write it whole, as in https://example.org/path"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_in_words() {
        for text in [
            "string",
            "list of size",
            "map of list of int",
            "one of [xfs, ext4]",
            "one of [1, 2]",
        ] {
            assert_eq!(
                text.parse::<Type>().map(|parsed| parsed.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            "one of a, 'b'".parse::<Type>().map(|parsed| parsed.to_string()),
            Ok("one of [a, b]".to_owned())
        );
        for text in ["", "strnig", "list", "list of", "list of x", "one of ", "one of []"] {
            assert!(text.parse::<Type>().is_err(), "{text}");
        }
    }

    #[test]
    fn texts_are_held_to_their_type() {
        let cases = [
            (
                Type::Host,
                &["backup", "db1.example.org", "10.0.0.1", "::1", "1host"][..],
                &["", "a b", "-a", "a..b", "10.0.0.999", "a_b"][..],
            ),
            (
                Type::Url,
                &["https://example.org", "file:///x", "s3+x://b"],
                &["", "example.org", "://x", "http://", "http:// x", "http:///x"],
            ),
            (
                Type::Duration,
                &["30s", "5m", "2d", "500ms"],
                &["", "5", "m", "-5m", "1.5h", "5 parsecs", "99999999999999999999s"],
            ),
            (Type::Size, &["10GiB", "512M"], &["", "ten", "10GB"]),
            (Type::Mode, &["0644"], &["9", "644x"]),
            (Type::Device, &["/dev/sdb"], &["sdb", "/tmp/x"]),
            (Type::Path, &["/srv"], &["srv", "/a/../b"]),
        ];
        for (declared, right, wrong) in cases {
            for text in right {
                assert_eq!(declared.check_text(text), Ok(()), "{declared}: {text}");
            }
            for text in wrong {
                assert!(declared.check_text(text).is_err(), "{declared}: {text}");
            }
        }
    }

    #[test]
    fn samples_are_values_of_their_type() {
        for (_, declared) in &WORDS {
            for declared in [
                declared.clone(),
                Type::List(Box::new(declared.clone())),
                Type::Map(Box::new(declared.clone())),
            ] {
                let mut sources = crate::source::Sources::default();
                let place = Place::new(sources.add("x", ""), 0..0);
                let sample = declared.sample("data_device");
                let checked = declared.check(&Node::of_value(place, &sample), &Bounds::default(), Written::Yaml);
                assert_eq!(checked, Ok(sample), "{declared}");
            }
        }
    }
}
