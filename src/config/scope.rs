//! What expressions and templates of a role see: `inputs`, `vars`, `facts`, `each` and `role`.

use std::cell::OnceCell;

use serde_json::{Map, Value, json};

use super::{placeholders::Placeholders, role::RoleFile, secrets::Secrets};
use crate::{
    source::{Hint, suggest},
    system::facts::{self, Facts},
};

/// The names that expressions begin with.
pub(super) const ROOTS: [&str; 5] = ["inputs", "vars", "facts", "each", "role"];

/// Named values of a role.
pub(super) type Values = Map<String, Value>;

/// Facts, each read when first asked for, once a run.
pub(super) struct FactTable<'f> {
    facts: &'f dyn Facts,
    read: [OnceCell<Result<Value, String>>; facts::NAMES.len()],
}

impl<'f> FactTable<'f> {
    pub(super) fn new(facts: &'f dyn Facts) -> Self {
        Self {
            facts,
            read: [const { OnceCell::new() }; facts::NAMES.len()],
        }
    }

    fn get(&self, name: &str) -> Result<&Value, Problem> {
        let index = facts::NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| Problem::unknown("fact", name, facts::NAMES.iter().copied()))?;
        self.read[index]
            .get_or_init(|| self.facts.get(name).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| Problem::new(format!("the fact '{name}' cannot be read: {error}")))
    }
}

/// The element that `for_each` is at.
#[derive(Debug, Clone)]
pub(super) struct Each {
    pub(super) key: Value,
    pub(super) value: Value,
    /// Whether what is repeated is a placeholder.
    pub(super) placeholder: bool,
    /// Whether its values are secret.
    pub(super) secret: bool,
}

/// Everything that an expression sees.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    pub(super) file: &'s RoleFile,
    /// `{"name": …}`.
    pub(super) role: &'s Value,
    pub(super) inputs: &'s Values,
    pub(super) vars: &'s Values,
    pub(super) facts: &'s FactTable<'s>,
    pub(super) each: Option<&'s Each>,
    pub(super) placeholders: &'s Placeholders,
    pub(super) secrets: &'s Secrets,
}

impl<'s> Scope<'s> {
    /// Whether an expression in this text depends on a value that is made up.
    pub(super) fn is_placeholder(&self, text: &str) -> bool {
        self.placeholders.is_in(text) || self.each.is_some_and(|each| each.placeholder && text.contains("each."))
    }

    /// Whether anything is made up.
    pub(super) fn has_placeholders(&self) -> bool {
        !self.placeholders.is_empty() || self.each.is_some_and(|each| each.placeholder)
    }

    /// Whether a member of a root, or any where none is named, holds what is secret. Keys of a map do not.
    pub(super) fn is_secret(&self, root: &str, member: Option<&str>) -> bool {
        match root {
            "each" => member != Some("key") && self.each.is_some_and(|each| each.secret),
            _ => self.secrets.has(root, member),
        }
    }

    /// `inputs.NAME`, `facts.NAME`, `each.key`…
    pub(super) fn member(&self, root: &str, name: &str) -> Result<&'s Value, Problem> {
        let in_map = |map: &'s Values, what: &str| {
            map.get(name).ok_or_else(|| {
                self.below(what, name)
                    .unwrap_or_else(|| Problem::unknown(what, name, map.keys().map(String::as_str)))
            })
        };
        match (root, self.each) {
            ("inputs", _) => in_map(self.inputs, "input"),
            ("vars", _) => in_map(self.vars, "variable"),
            ("facts", _) => self.facts.get(name),
            ("role", _) => member_of(self.role, "role", name),
            ("each", Some(each)) => match name {
                "key" => Ok(&each.key),
                "value" => Ok(&each.value),
                _ => Err(Problem::new(format!(
                    "there is no 'each.{name}', only each.key and each.value"
                ))),
            },
            ("each", None) => Err(Problem::new("'each' is known beside 'for_each' only")),
            _ => Err(Problem::unknown("name", root, ROOTS)),
        }
    }

    /// The problem of a name that is declared, but not above what reads it.
    fn below(&self, what: &str, name: &str) -> Option<Problem> {
        let (is_there, hint) = match what {
            "input" => (
                self.file.inputs.iter().any(|input| input.name == name),
                "a default sees the inputs above it: move that one up",
            ),
            _ if self.inputs.len() < self.file.inputs.len() => (
                self.file.vars.iter().any(|pair| &*pair.key == name),
                "a default sees facts and the inputs above it, and no vars",
            ),
            _ => (
                self.file.vars.iter().any(|pair| &*pair.key == name),
                "vars see those above them: move that one up",
            ),
        };
        is_there.then(|| Problem::new(format!("the {what} '{name}' is not known yet")).hint(hint))
    }

    /// All members of a root, as one map.
    pub(super) fn whole(&self, root: &str) -> Result<Value, Problem> {
        Ok(match (root, self.each) {
            ("inputs", _) => Value::Object(self.inputs.clone()),
            ("vars", _) => Value::Object(self.vars.clone()),
            ("facts", _) => Value::Object(
                facts::NAMES
                    .iter()
                    .map(|name| Ok(((*name).to_owned(), self.facts.get(name)?.clone())))
                    .collect::<Result<_, _>>()?,
            ),
            ("role", _) => self.role.clone(),
            ("each", Some(each)) => json!({"key": each.key, "value": each.value}),
            _ => self.member(root, "key")?.clone(),
        })
    }
}

/// A member of a value; `path` is what the value is called.
pub(super) fn member_of<'v>(value: &'v Value, path: &str, name: &str) -> Result<&'v Value, Problem> {
    match value {
        Value::Object(map) => map.get(name).ok_or_else(|| {
            let message = format!("{path} has no '{name}'");
            Problem::of_values(message).suggesting(name, map.keys().map(String::as_str))
        }),
        Value::Null => Err(Problem::of_values(format!("{path} has no value"))),
        _ => Err(Problem::of_values(format!("{path} is not a map: it has no '{name}'"))),
    }
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) hint: Option<Hint>,
    /// The part of the expression that is meant, as it is written there.
    pub(super) part: Option<String>,
    /// Whether other values would have done.
    pub(super) of_values: bool,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            part: None,
            of_values: false,
        }
    }

    /// A problem that other values would not have.
    pub(super) fn of_values(message: impl Into<String>) -> Self {
        Self {
            of_values: true,
            ..Self::new(message)
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn part(mut self, part: impl Into<String>) -> Self {
        self.part.get_or_insert(part.into());
        self
    }

    fn suggesting<'a>(self, written: &str, names: impl Iterator<Item = &'a str> + Clone) -> Self {
        match suggest(written, names.clone()) {
            Some(name) => self.hint(Hint::DidYouMean(name.to_owned())),
            None if names.clone().next().is_none() => self,
            None => {
                let names: Vec<_> = names.take(12).collect();
                self.hint(format!("there are: {}", names.join(", ")))
            }
        }
    }

    fn unknown<'a>(what: &str, name: &str, names: impl IntoIterator<Item = &'a str, IntoIter: Clone>) -> Self {
        Self::new(format!("there is no {what} '{name}'")).suggesting(name, names.into_iter())
    }
}
