//! Values by layer: role default → included role's `inputs` → `vars.d/*.yml` → `--vars FILE` → `GLRL_VAR_name` →
//! `--set name=value`. Later wins, and each value remembers where it came from.
//!
//! A name without a scope is given to every role asked for that declares it, or, where none does, to the included roles
//! that do. A scope names the role: `mysql.data_device`, or in a file also `mysql: {data_device: …}`. Within a layer a value
//! with a scope wins. What a vars file says for a role that is not part of the run is left alone, so one file can hold the
//! values of a whole site.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use serde_json::Value;

use super::{
    input::{self, Input, Type, Written},
    library::{self, Library, Whose},
    node::{Data, Node, Pair},
    yaml,
};
use crate::{
    source::{Diagnostic, Diagnostics, Hint, Place, Sources, suggest},
    system::texts,
    value::secret::{self, SHORTEST},
};

/// A layer of values, in the order in which they win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Made up, where a role is checked without values.
    Sample,
    /// The input's own `default`.
    Default,
    /// `inputs` of the role that includes this one.
    Include,
    /// A file of `/etc/glrl/vars.d`.
    Directory,
    /// A file of `--vars`.
    File,
    /// `GLRL_VAR_name`.
    Environment,
    /// `--set name=value`.
    Set,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// Where the value stands; `Sources::locate` says it as `vars.yml:3:4` or `--set data_device`.
    pub place: Place,
    /// The value, as it stands there.
    pub value: Value,
}

/// An input of a role in this run: its value, and what that value overrode. `glrl explain` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The role.
    pub role: String,
    /// The input.
    pub name: String,
    /// Null for an optional input that nobody gave.
    pub value: Value,
    /// Whether it is redacted wherever it is shown. The registry of `value::secret` has it too.
    pub secret: bool,
    /// Where the value came from; nothing for an optional input that nobody gave.
    pub origin: Option<Origin>,
    /// What it overrode, the weakest first.
    pub overrode: Vec<Origin>,
}

/// A value from outside the roles.
#[derive(Debug)]
struct Given {
    layer: Layer,
    scope: Option<String>,
    name: String,
    place: Place,
    value: Raw,
}

#[derive(Debug)]
enum Raw {
    Yaml(Node),
    Argument(Arc<str>, Place),
}

/// All values from outside the roles, the weakest first.
#[derive(Debug, Default)]
pub(super) struct Layers {
    given: Vec<Given>,
    /// Names that roles asked for declare.
    asked: HashSet<String>,
}

/// A value from inside the roles.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pub(super) layer: Layer,
    pub(super) node: Node,
    pub(super) is: Is,
}

/// What a value is, besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Is {
    /// Whether it is a placeholder, or depends on a value that is.
    pub(super) placeholder: bool,
    /// Whether it is a secret, or was computed from one.
    pub(super) secret: bool,
}

/// Where the values lie; see `config::Request`.
#[derive(Debug)]
pub(super) struct Outside<'r> {
    pub(super) whose: Whose,
    pub(super) vars_directory: Option<&'r PathBuf>,
    pub(super) vars_files: &'r [PathBuf],
    pub(super) environment: &'r [(String, String)],
    pub(super) set: &'r [String],
}

/// What roles of this run declare, to tell scopes from inputs and slips from names.
pub(super) struct Declared<'r> {
    /// Role, input, whether the role was asked for.
    pub(super) inputs: Vec<(&'r str, &'r Input, bool)>,
    pub(super) library: &'r Library,
}

impl Declared<'_> {
    fn has(&self, scope: Option<&str>, name: &str) -> bool {
        self.inputs
            .iter()
            .any(|(role, input, _)| input.name == name && scope.is_none_or(|scope| scope == *role))
    }

    /// Whether the value of this may be a secret: one is declared so, or none is declared, and the name may be mistyped.
    fn may_be_secret(&self, scope: Option<&str>, name: &str) -> bool {
        let mut inputs = self
            .inputs
            .iter()
            .filter(|(role, input, _)| input.name == name && scope.is_none_or(|scope| scope == *role))
            .peekable();
        inputs.peek().is_none() || inputs.any(|(_, input, _)| input.secret)
    }

    fn has_role(&self, role: &str) -> bool {
        self.inputs.iter().any(|(other, ..)| *other == role)
    }
}

impl Layers {
    /// Reads all layers. A value that no role declares is a mistake.
    pub(super) fn read(
        outside: &Outside<'_>,
        declared: &Declared<'_>,
        sources: &mut Sources,
        mistakes: &mut Diagnostics,
    ) -> Self {
        let mut layers = Self::default();
        let asked = declared.inputs.iter().filter(|(.., asked)| *asked);
        layers.asked.extend(asked.map(|(_, input, _)| input.name.clone()));
        if let Some(directory) = outside.vars_directory {
            match texts::list(directory) {
                Ok(names) => {
                    let paths = names.iter().map(|name| directory.join(name));
                    for path in paths.filter(|path| path.extension().is_some_and(|suffix| suffix == "yml")) {
                        layers.file((Layer::Directory, outside.whose), &path, declared, sources, mistakes);
                    }
                }
                Err(error) => mistakes.push(Diagnostic::general(format!("{error:#}"))),
            }
        }
        for path in outside.vars_files {
            layers.file((Layer::File, outside.whose), path, declared, sources, mistakes);
        }
        for (name, value) in outside.environment {
            layers.argument(Layer::Environment, name, value, declared, sources);
        }
        for text in outside.set {
            match text.split_once('=') {
                Some((name, value)) if !name.is_empty() => {
                    layers.argument(Layer::Set, name, value, declared, sources);
                }
                _ => {
                    // Not with what else stands there, which may be the value.
                    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"_.".contains(c));
                    let name = end.map_or(text.as_str(), |end| &text[..end]);
                    mistakes
                        .push(Diagnostic::general(format!("--set {name} sets nothing")).hint("write --set NAME=VALUE"));
                }
            }
        }
        for given in &layers.given {
            mistakes.extend(given.undeclared(declared));
        }
        layers.given.sort_by_key(|given| (given.layer, given.scope.is_some()));
        layers
    }

    fn argument(&mut self, layer: Layer, name: &str, value: &str, declared: &Declared<'_>, sources: &mut Sources) {
        let called = match layer {
            Layer::Environment => format!("GLRL_VAR_{name}"),
            _ => format!("--set {name}"),
        };
        let value: Arc<str> = value.into();
        let (scope, name) = match name.split_once('.') {
            Some((scope, name)) => (Some(scope.to_owned()), name),
            None => (None, name),
        };
        let hidden = declared.may_be_secret(scope.as_deref(), name);
        let file = sources.add_argument(called, Arc::clone(&value), hidden);
        let place = Place::new(file, 0..value.len());
        self.given.push(Given {
            layer,
            scope,
            name: name.to_owned(),
            place,
            value: Raw::Argument(value, place),
        });
    }

    fn file(
        &mut self,
        (layer, whose): (Layer, Whose),
        path: &std::path::Path,
        declared: &Declared<'_>,
        sources: &mut Sources,
        mistakes: &mut Diagnostics,
    ) {
        let text: Arc<str> = match whose.check(path).and_then(|()| texts::read(path)) {
            Ok(Some(text)) => text.into(),
            Ok(None) => return mistakes.push(Diagnostic::general(format!("there is no file {}", path.display()))),
            Err(error) => return mistakes.push(library::diagnostic(&error)),
        };
        let file = sources.add_values(path.display().to_string(), Arc::clone(&text));
        let root = match yaml::parse(file, &text) {
            Ok(root) => root,
            Err(wrong) => return mistakes.extend(wrong),
        };
        match root.data {
            Data::Mapping(pairs) => pairs.into_iter().for_each(|pair| self.pair(layer, pair, declared)),
            Data::Null => {}
            // Not what it is instead: that is the value.
            _ => mistakes.push(
                Diagnostic::at(root.place, "a file of values is a map of inputs")
                    .hint("write NAME: VALUE, with a blank"),
            ),
        }
    }

    /// A key of a vars file: an input, an input with its role before a dot, or a role with its inputs below.
    fn pair(&mut self, layer: Layer, pair: Pair, declared: &Declared<'_>) {
        let given = |scope: Option<&str>, name: &str, place: Place, value: Node| Given {
            layer,
            scope: scope.map(str::to_owned),
            name: name.to_owned(),
            place,
            value: Raw::Yaml(value),
        };
        let is_role =
            !declared.has(None, &pair.key) && (declared.has_role(&pair.key) || declared.library.has(&pair.key));
        match pair.value.data {
            Data::Mapping(pairs) if is_role => self.given.extend(
                pairs
                    .into_iter()
                    .map(|inner| given(Some(&pair.key), &inner.key, inner.key_place, inner.value)),
            ),
            _ => self.given.push(match pair.key.split_once('.') {
                Some((scope, name)) => given(Some(scope), name, pair.key_place, pair.value),
                None => given(None, &pair.key, pair.key_place, pair.value),
            }),
        }
    }

    /// What is given to an input, the weakest first.
    fn of<'l>(&'l self, role: &'l str, asked: bool, name: &'l str) -> impl Iterator<Item = &'l Given> {
        self.given.iter().filter(move |given| {
            given.name == name
                && match &given.scope {
                    Some(scope) => scope == role,
                    None => asked || !self.asked.contains(name),
                }
        })
    }

    /// Finds the value of an input among its default, what the including role gives, and the layers from outside.
    pub(super) fn resolve(
        &self,
        role: &str,
        asked: bool,
        input: &Input,
        inside: Vec<Inside>,
        sample: bool,
        mistakes: &mut Diagnostics,
    ) -> (Explained, Is) {
        let before = mistakes.0.len();
        let mut candidates = self.candidates(role, asked, input, inside, mistakes);
        let mut explained = Explained {
            role: role.to_owned(),
            name: input.name.clone(),
            value: Value::Null,
            secret: input.secret,
            origin: None,
            overrode: Vec::new(),
        };
        let Some(Candidate {
            layer,
            node,
            written,
            mut is,
        }) = candidates.pop()
        else {
            if input.optional {
                return (explained, Is::default());
            }
            let is_said = input.faulty || mistakes.0.len() > before;
            explained.value = input.declared.sample(&input.name);
            if sample {
                explained.origin = Some(Origin {
                    layer: Layer::Sample,
                    place: input.place,
                    value: explained.value.clone(),
                });
            } else if !is_said {
                mistakes.push(missing(role, input));
            }
            let placeholder = Is {
                placeholder: true,
                secret: false,
            };
            return (explained, placeholder);
        };
        let checked = input.declared.check(&node, &input.bounds, written);
        let checked = checked.and_then(|value| match too_short(&node) {
            Some(place) if input.secret => Err(short_secret(place, input, layer).into()),
            _ => Ok(value),
        });
        explained.value = match checked {
            Ok(value) => value,
            Err(_) if input.faulty || is.placeholder => input.declared.sample(&input.name),
            Err(wrong) => {
                is.placeholder = true;
                let about = |diagnostic| about(diagnostic, input, layer);
                mistakes.0.extend(wrong.0.into_iter().map(about));
                input.declared.sample(&input.name)
            }
        };
        explained.overrode = candidates
            .into_iter()
            .map(|candidate| Origin {
                layer: candidate.layer,
                place: candidate.node.place,
                value: as_it_stands(&candidate.node),
            })
            .collect();
        explained.origin = Some(Origin {
            layer,
            place: node.place,
            value: explained.value.clone(),
        });
        is.secret |= input.secret && !is.placeholder;
        explained.secret |= is.secret;
        (explained, is)
    }

    /// All values that an input is given, the weakest first. Of a secret input each is registered.
    fn candidates(
        &self,
        role: &str,
        asked: bool,
        input: &Input,
        inside: Vec<Inside>,
        mistakes: &mut Diagnostics,
    ) -> Vec<Candidate> {
        let mut candidates: Vec<_> = inside
            .into_iter()
            .map(|value| Candidate {
                layer: value.layer,
                node: value.node,
                written: Written::Yaml,
                is: value.is,
            })
            .collect();
        for given in self.of(role, asked, &input.name) {
            let (node, written) = match &given.value {
                Raw::Yaml(node) => (Ok(node.clone()), Written::Yaml),
                Raw::Argument(text, place) => {
                    if input.secret {
                        secret::register(text);
                    }
                    (input::argument(&input.declared, *place, text), Written::Argument)
                }
            };
            match node {
                Ok(node) => candidates.push(Candidate {
                    layer: given.layer,
                    node,
                    written,
                    is: Is::default(),
                }),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        candidates.retain(|candidate| !candidate.node.is_null());
        if input.secret {
            for candidate in &candidates {
                register(&candidate.node);
            }
        }
        candidates
    }
}

/// One of the values that an input is given.
struct Candidate {
    layer: Layer,
    node: Node,
    written: Written,
    is: Is,
}

impl Given {
    /// The mistake of a value that nobody declared.
    fn undeclared(&self, declared: &Declared<'_>) -> Diagnostics {
        let scope = self.scope.as_deref();
        if declared.has(scope, &self.name) {
            return Diagnostics::default();
        }
        let is_file = matches!(self.layer, Layer::Directory | Layer::File);
        let diagnostic = |message: String| Diagnostic::at(self.place, message);
        let names: Vec<&str> = declared
            .inputs
            .iter()
            .filter(|(role, ..)| scope.is_none_or(|scope| scope == *role))
            .map(|(_, input, _)| input.name.as_str())
            .collect();
        match scope {
            Some(role) if !declared.has_role(role) && is_file && declared.library.has(role) => Diagnostics::default(),
            Some(role) if !declared.has_role(role) => {
                let roles = declared.inputs.iter().map(|(role, ..)| *role);
                diagnostic(format!("no role '{role}' with inputs is part of this run"))
                    .did_you_mean(role, roles)
                    .into()
            }
            _ => {
                let of = scope.map_or_else(String::new, |role| format!(" of role {role}"));
                let diagnostic = diagnostic(format!("nobody declares an input '{}'{of}", self.name));
                match suggest(&self.name, names.iter().copied()) {
                    Some(name) => diagnostic.hint(Hint::DidYouMean(name.to_owned())),
                    None if names.is_empty() => diagnostic.hint("the roles of this run have no inputs"),
                    None if is_file => diagnostic.hint(format!(
                        "there are: {}; for a role outside this run write ROLE.{}",
                        names.join(", "),
                        self.name
                    )),
                    None => diagnostic.hint(format!("there are: {}", names.join(", "))),
                }
                .into()
            }
        }
    }
}

fn missing(role: &str, input: &Input) -> Diagnostic {
    let Input { name, declared, .. } = input;
    let example = match declared.sample(name) {
        Value::String(text) => text,
        value => value.to_string(),
    };
    let diagnostic = Diagnostic::at(input.place, format!("the input '{name}' of role {role} has no value"));
    if input.secret {
        return diagnostic.hint(format!("give it as GLRL_VAR_{name} or in a file: --vars FILE"));
    }
    match declared {
        Type::List(_) | Type::Map(_) => {
            diagnostic.hint(format!("give it: --set '{name}={example}', or in a file: --vars FILE"))
        }
        _ => diagnostic.hint(format!("give it: --set {name}={example}, or in a file: --vars FILE")),
    }
}

/// A mistake in a value, with the input it is for.
fn about(diagnostic: Diagnostic, input: &Input, layer: Layer) -> Diagnostic {
    let diagnostic = Diagnostic {
        message: format!("{}: {}", input.name, diagnostic.message),
        ..diagnostic
    };
    let mut diagnostic = diagnostic;
    if input.secret {
        diagnostic.hide_pieces();
    }
    if layer == Layer::Default {
        return diagnostic;
    }
    diagnostic.note(input.place, format!("declared here as {}", input.declared))
}

/// Registers every text of a secret value.
fn register(node: &Node) {
    match &node.data {
        Data::Plain(text) | Data::Text(text) => secret::register(text),
        Data::Number(number) => secret::register(&number.to_string()),
        Data::Sequence(items) => items.iter().for_each(register),
        Data::Mapping(pairs) => pairs.iter().for_each(|pair| register(&pair.value)),
        Data::Null | Data::Bool(_) | Data::Failed => {}
    }
}

fn short_secret(place: Place, input: &Input, layer: Layer) -> Diagnostic {
    let place = if layer == Layer::Default { input.place } else { place };
    let message = format!("a secret of fewer than {SHORTEST} characters cannot be hidden");
    Diagnostic::at(place, message).hint("give a longer one, or take 'secret: true' from the input")
}

/// Where a text or a number stands that is too short for `redact`. Nothing at all is no secret.
fn too_short(node: &Node) -> Option<Place> {
    let is_short = match &node.data {
        Data::Plain(text) | Data::Text(text) => !text.is_empty() && !secret::can_be_hidden(text),
        Data::Number(number) => !secret::can_be_hidden(&number.to_string()),
        Data::Sequence(items) => return items.iter().find_map(too_short),
        Data::Mapping(pairs) => return pairs.iter().find_map(|pair| too_short(&pair.value)),
        Data::Null | Data::Bool(_) | Data::Failed => false,
    };
    is_short.then_some(node.place)
}

/// A value that was overridden, whether or not it is one of the input's type.
fn as_it_stands(node: &Node) -> Value {
    node.to_value().unwrap_or_else(|_| match &node.data {
        Data::Plain(text) => Value::String(text.to_string()),
        _ => Value::Null,
    })
}
