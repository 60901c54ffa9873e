//! A role file: `role`, `description`, `inputs`, `vars`, `includes`, `resources`.

use serde::Deserialize;
use serde_json::Value;

use super::{
    de,
    input::{Bounds, Input, Type},
    library::Home,
    node::{Data, Node, Pair},
};
use crate::source::{Diagnostic, Diagnostics, Place};

/// A role as its file has it, with nothing evaluated yet.
#[derive(Debug)]
pub(super) struct RoleFile {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// What messages call the file.
    pub(super) path: String,
    pub(super) home: Home,
    pub(super) inputs: Vec<Input>,
    pub(super) vars: Vec<Pair>,
    pub(super) includes: Vec<Include>,
    pub(super) resources: Vec<Node>,
}

/// Another role whose resources come before this one's.
#[derive(Debug)]
pub(super) struct Include {
    pub(super) role: String,
    /// Where the role is named.
    pub(super) place: Place,
    pub(super) inputs: Vec<Pair>,
    pub(super) when: Option<Node>,
    pub(super) for_each: Option<Node>,
}

const KEYS: [&str; 6] = ["role", "description", "inputs", "vars", "includes", "resources"];

impl RoleFile {
    /// Takes a role file apart. What is wrong is left out, with a diagnostic.
    /// `in_roles`: it lies where a role is found by the name of its file.
    pub(super) fn read(
        root: Node,
        asked_for: &str,
        in_roles: bool,
        path: String,
        home: Home,
        mistakes: &mut Diagnostics,
    ) -> Self {
        let mut role = Self {
            name: asked_for.to_owned(),
            description: None,
            path,
            home,
            inputs: Vec::new(),
            vars: Vec::new(),
            includes: Vec::new(),
            resources: Vec::new(),
        };
        let place = root.place;
        let Data::Mapping(pairs) = root.data else {
            let diagnostic = match root.data {
                Data::Null => Diagnostic::at(place, "this role is empty"),
                _ => root.is_not("a role"),
            };
            mistakes.push(diagnostic.hint(format!("a role is a map of {}", KEYS.join(", "))));
            return role;
        };
        for pair in pairs {
            match &*pair.key {
                "role" => {
                    if let Some(name) = take::<String>(&pair, mistakes) {
                        check_role_name(&name, in_roles.then_some(asked_for), pair.value.place, mistakes);
                        role.name = name;
                    }
                }
                "description" => role.description = take(&pair, mistakes),
                "inputs" => {
                    let declared = map(&pair, mistakes);
                    role.inputs = declared.iter().map(|pair| input(pair, mistakes)).collect();
                }
                "vars" => {
                    role.vars = map(&pair, mistakes);
                    role.vars.retain(|pair| is_name(pair, "a variable", mistakes));
                }
                "includes" => {
                    role.includes = list(pair, mistakes)
                        .iter()
                        .filter_map(|node| include(node, mistakes))
                        .collect();
                }
                "resources" => role.resources = list(pair, mistakes),
                key => mistakes.push(pair.unknown(format!("a role has no '{key}'"), &KEYS)),
            }
        }
        role
    }
}

/// Reads the value of a key as a Rust type; nothing where it is null or wrong.
pub(super) fn take<'n, T: Deserialize<'n>>(pair: &'n Pair, mistakes: &mut Diagnostics) -> Option<T> {
    match de::read::<Option<T>>(&pair.value, pair.key_place) {
        Ok(value) => value,
        Err(wrong) => {
            mistakes.extend(wrong);
            None
        }
    }
}

fn map(pair: &Pair, mistakes: &mut Diagnostics) -> Vec<Pair> {
    match &pair.value.data {
        Data::Mapping(pairs) => pairs.clone(),
        Data::Null => Vec::new(),
        _ => {
            mistakes.push(pair.value.is_not("a map"));
            Vec::new()
        }
    }
}

fn list(pair: Pair, mistakes: &mut Diagnostics) -> Vec<Node> {
    match pair.value.data {
        Data::Sequence(items) => items,
        Data::Null => Vec::new(),
        _ => {
            mistakes.push(pair.value.is_not("a list").hint("begin each element with '- '"));
            Vec::new()
        }
    }
}

fn check_role_name(name: &str, file: Option<&str>, place: Place, mistakes: &mut Diagnostics) {
    let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if !well_formed {
        let hint = "write lower-case letters, digits, '-' and '_', as in nfs-client";
        mistakes.push(Diagnostic::at(place, format!("'{name}' cannot be the name of a role")).hint(hint));
    } else if let Some(file) = file.filter(|file| *file != name) {
        let message = format!("the role '{name}' lies in {file}.yml, where nobody finds it by its name");
        mistakes.push(Diagnostic::at(place, message).hint(format!("write role: {file}, or call the file {name}.yml")));
    }
}

/// Names in expressions have to be names to CEL, where `-` is minus.
fn is_name(pair: &Pair, what: &str, mistakes: &mut Diagnostics) -> bool {
    let name = &*pair.key;
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !well_formed {
        let hint = format!(
            "write letters, digits and '_', as in {}",
            name.replace(['-', ' ', '.'], "_")
        );
        mistakes.push(Diagnostic::at(pair.key_place, format!("'{name}' cannot be the name of {what}")).hint(hint));
    }
    well_formed
}

const INPUT: [&str; 8] = [
    "type",
    "description",
    "default",
    "optional",
    "secret",
    "min",
    "max",
    "pattern",
];

fn input(pair: &Pair, mistakes: &mut Diagnostics) -> Input {
    let before = mistakes.0.len();
    is_name(pair, "an input", mistakes);
    let mut input = Input {
        name: pair.key.to_string(),
        place: pair.key_place,
        declared: Type::String,
        description: None,
        default: None,
        optional: false,
        secret: false,
        faulty: false,
        bounds: Bounds::default(),
    };
    let mut declared = None;
    let mut type_place = pair.value.place;
    // `size: size` is short for `size: {type: size}`, and `fs: [xfs, ext4]` for `fs: {type: [xfs, ext4]}`.
    let short = [Pair {
        key: "type".into(),
        ..pair.clone()
    }];
    let pairs = match &pair.value.data {
        Data::Mapping(pairs) => pairs.as_slice(),
        Data::Plain(_) | Data::Text(_) | Data::Sequence(_) => short.as_slice(),
        _ => &[],
    };
    for pair in pairs {
        match &*pair.key {
            "type" => {
                declared = match &pair.value.data {
                    Data::Sequence(choices) => Some(Ok(Type::OneOf(choices_of(choices, mistakes)))),
                    _ => take::<String>(pair, mistakes).map(|text| text.parse::<Type>()),
                };
                type_place = pair.value.place;
            }
            "description" => input.description = take(pair, mistakes),
            "default" => input.default = (!pair.value.is_null()).then(|| pair.value.clone()),
            "optional" => input.optional = take(pair, mistakes).unwrap_or_default(),
            "secret" => input.secret = take(pair, mistakes).unwrap_or_default(),
            "min" => input.bounds.min = take(pair, mistakes),
            "max" => input.bounds.max = take(pair, mistakes),
            "pattern" => input.bounds.pattern = pattern(pair, mistakes),
            key => mistakes.push(pair.unknown(format!("an input has no '{key}'"), &INPUT)),
        }
    }
    match declared {
        Some(Ok(declared)) => input.declared = declared,
        Some(Err(message)) => mistakes.push(Diagnostic::at(type_place, message)),
        None if mistakes.0.len() == before => {
            let diagnostic = Diagnostic::at(pair.key_place, format!("the input '{}' has no type", &*pair.key));
            mistakes.push(diagnostic.hint("write {type: string}, or another type"));
        }
        None => {}
    }
    if input.optional && input.default.is_some() {
        let message = format!(
            "the input '{}' has a default, so it is never without a value",
            input.name
        );
        mistakes.push(Diagnostic::at(pair.key_place, message).hint("remove 'optional' or 'default'"));
    }
    // A wrong declaration is said once; its name stays known, so that its uses are not wrong too.
    input.faulty = mistakes.0.len() > before;
    input
}

/// `type: [xfs, ext4]`: texts, whole numbers and truth values. `10.10` has to be quoted, since as a number it is 10.1.
fn choices_of(nodes: &[Node], mistakes: &mut Diagnostics) -> Vec<Value> {
    let mut choices = Vec::with_capacity(nodes.len());
    for node in nodes {
        match (node.to_value(), node.to_text()) {
            (Ok(value @ Value::Bool(_)), _) => choices.push(value),
            (Ok(Value::Number(number)), _) if !number.is_f64() => choices.push(Value::Number(number)),
            (_, Ok(text)) => choices.push(Value::String(text.into_owned())),
            (_, Err(mistake)) => mistakes.push(mistake),
        }
    }
    choices
}

fn pattern(pair: &Pair, mistakes: &mut Diagnostics) -> Option<regex::Regex> {
    let text: String = take(pair, mistakes)?;
    match regex::Regex::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let error = error.to_string();
            let message = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            mistakes.push(Diagnostic::at(
                pair.value.place,
                format!("this is not a regular expression: {message}"),
            ));
            None
        }
    }
}

const INCLUDE: [&str; 4] = ["role", "inputs", "when", "for_each"];

fn include(node: &Node, mistakes: &mut Diagnostics) -> Option<Include> {
    let mut include = Include {
        role: String::new(),
        place: node.place,
        inputs: Vec::new(),
        when: None,
        for_each: None,
    };
    let pairs = match &node.data {
        Data::Mapping(pairs) => pairs.as_slice(),
        Data::Plain(text) | Data::Text(text) => {
            include.role = text.to_string();
            return Some(include);
        }
        _ => {
            mistakes.push(node.is_not("a role to include").hint("write - role: NAME"));
            return None;
        }
    };
    for pair in pairs {
        match &*pair.key {
            "role" => {
                include.place = pair.value.place;
                include.role = take(pair, mistakes).unwrap_or_default();
            }
            "inputs" => include.inputs = map(pair, mistakes),
            "when" => include.when = Some(pair.value.clone()),
            "for_each" => include.for_each = Some(pair.value.clone()),
            key => mistakes.push(pair.unknown(format!("an include has no '{key}'"), &INCLUDE)),
        }
    }
    if include.role.is_empty() {
        mistakes.push(Diagnostic::at(node.place, "this include names no role").hint("write - role: NAME"));
        return None;
    }
    if include.role.contains("${") {
        let hint = "which roles a run has is known before anything is evaluated: use 'when' to choose";
        mistakes.push(Diagnostic::at(include.place, "the name of an included role cannot be an expression").hint(hint));
        return None;
    }
    Some(include)
}
