//! A role with its values: inputs resolved, `vars` evaluated, its includes and then its own resources declared.

use std::{borrow::Cow, collections::HashSet, rc::Rc, sync::Arc};

use serde_json::{Value, json};

use super::{
    budget,
    expression::Expressions,
    guess,
    include::Roles,
    merge::{Explained, Inside, Is, Layer, Layers},
    node::{Data, Node, Pair},
    placeholders::Placeholders,
    role::{Include, RoleFile},
    scope::{Each, FactTable, Scope, Values},
    secrets::Secrets,
    templates::Templates,
};
use crate::{
    graph::Declaration,
    source::{Diagnostic, Diagnostics, Sources},
    value::Id,
};

/// What a run of `load` works with and what it makes.
pub(super) struct Work<'w> {
    pub(super) roles: &'w Roles,
    pub(super) layers: &'w Layers,
    pub(super) facts: &'w FactTable<'w>,
    /// Whether inputs without a value get a placeholder.
    pub(super) samples: bool,
    pub(super) expressions: Expressions,
    pub(super) templates: Templates,
    pub(super) sources: Sources,
    pub(super) mistakes: Diagnostics,
    pub(super) declarations: Vec<Declaration>,
    /// The role asked for that is being declared.
    pub(super) asked: Arc<str>,
    pub(super) explained: Vec<Explained>,
    pub(super) unread: Unread,
    /// Ids of resources whose properties hold a secret.
    pub(super) secret_names: HashSet<Id>,
    /// Roles with their inputs that have been declared: the same role with the same inputs is the same thing.
    done: HashSet<(String, String, bool)>,
}

/// Of what kinds there may be resources that could not be read, or whose names are placeholders.
#[derive(Debug, Default)]
pub(super) struct Unread {
    any: bool,
    kinds: HashSet<&'static str>,
}

impl Unread {
    pub(super) fn anything(&mut self) {
        self.any = true;
    }

    pub(super) fn kind(&mut self, kind: &'static str) {
        self.kinds.insert(kind);
    }

    pub(super) fn may_have(&self, id: &Id) -> bool {
        self.any || self.kinds.contains(id.kind())
    }
}

/// A role with its values.
pub(super) struct Instance {
    pub(super) file: Rc<RoleFile>,
    role: Value,
    given: View,
    /// The same with placeholders for inputs that have none, to read what is left out with; nothing where all have one.
    complete: Option<View>,
    /// Why all of it is left out.
    pub(super) skipped: Option<String>,
}

/// What the expressions of a role see of it.
#[derive(Default, Clone)]
struct View {
    inputs: Values,
    vars: Values,
    placeholders: Placeholders,
    secrets: Secrets,
}

/// What the including role gives to an input.
pub(super) struct Passed {
    name: String,
    value: Inside,
}

impl<'w> Work<'w> {
    pub(super) fn new(
        roles: &'w Roles,
        layers: &'w Layers,
        facts: &'w FactTable<'w>,
        samples: bool,
        sources: Sources,
        mistakes: Diagnostics,
    ) -> Self {
        Self {
            roles,
            layers,
            facts,
            samples,
            expressions: Expressions::default(),
            templates: Templates::default(),
            sources,
            mistakes,
            declarations: Vec::new(),
            asked: Arc::default(),
            explained: Vec::new(),
            unread: Unread::default(),
            secret_names: HashSet::new(),
            done: HashSet::new(),
        }
    }

    /// Declares what a role and its includes have. `passed`: inputs from the including role.
    pub(super) fn role(&mut self, file: &Rc<RoleFile>, asked: bool, passed: &[Passed], skipped: Option<String>) {
        if self.done.len() >= budget::RESOURCES {
            let message = format!(
                "role {} is included with more than {} inputs",
                file.name,
                budget::RESOURCES
            );
            self.mistakes.push(Diagnostic::general(message));
            return;
        }
        let instance = self.instance(file, asked, passed, skipped);
        let inputs = Value::Object(instance.given.inputs.clone()).to_string();
        let is_new = self
            .done
            .insert((file.path.clone(), inputs, instance.skipped.is_some()));
        if !is_new {
            return;
        }
        for include in &file.includes {
            self.include(include, &instance);
        }
        for resource in &file.resources {
            self.resource(resource, &instance);
        }
    }

    fn instance(&mut self, file: &Rc<RoleFile>, asked: bool, passed: &[Passed], skipped: Option<String>) -> Instance {
        let mut instance = Instance {
            file: Rc::clone(file),
            role: json!({ "name": file.name }),
            given: View::default(),
            complete: None,
            skipped,
        };
        for input in &file.inputs {
            let mut inside = Vec::new();
            if let Some(default) = &input.default {
                // A default may use facts, and inputs declared before it.
                let scope = instance.scope(self.facts, None);
                let node = self.evaluate(default, &scope).into_owned();
                inside.push(Inside {
                    layer: Layer::Default,
                    node,
                    is: self.is(default, &scope),
                });
            }
            let passed = passed.iter().filter(|passed| passed.name == input.name);
            inside.extend(passed.map(|passed| passed.value.clone()));
            let (explained, is) =
                self.layers
                    .resolve(&file.name, asked, input, inside, self.samples, &mut self.mistakes);
            if is.placeholder {
                instance.given.placeholders.add("inputs", &input.name);
            }
            if is.secret {
                instance.given.secrets.add("inputs", &input.name);
            }
            instance
                .given
                .inputs
                .insert(input.name.clone(), explained.value.clone());
            self.explained.push(explained);
        }
        let without: Vec<_> = file
            .inputs
            .iter()
            .filter(|input| instance.given.inputs[&input.name].is_null())
            .collect();
        if !without.is_empty() {
            let mut complete = instance.given.clone();
            for input in without {
                complete.placeholders.add("inputs", &input.name);
                complete
                    .inputs
                    .insert(input.name.clone(), input.declared.sample(&input.name));
            }
            instance.complete = Some(complete);
        }
        for pair in &file.vars {
            self.var(pair, &mut instance, false);
            if instance.complete.is_some() {
                // What is wrong has been said of the values that were given.
                let said = std::mem::take(&mut self.mistakes);
                self.var(pair, &mut instance, true);
                self.mistakes = said;
            }
        }
        instance
    }

    fn var(&mut self, pair: &Pair, instance: &mut Instance, complete: bool) {
        let scope = instance.scope_for(complete, self.facts, None);
        let is = self.is(&pair.value, &scope);
        let value = self.evaluate(&pair.value, &scope).to_value();
        let value = value.unwrap_or_else(|mistake| {
            self.mistakes.push(mistake);
            Value::Null
        });
        let view = match &mut instance.complete {
            Some(view) if complete => view,
            _ => &mut instance.given,
        };
        if is.placeholder {
            view.placeholders.add("vars", &pair.key);
        }
        if is.secret {
            view.secrets.add("vars", &pair.key);
        }
        view.vars.insert(pair.key.to_string(), value);
    }

    fn include(&mut self, include: &Include, instance: &Instance) {
        let Some(file) = self.roles.get(&include.role).map(Rc::clone) else {
            return;
        };
        let first = self.mistakes.0.len();
        for each in self.elements(include.for_each.as_ref(), instance) {
            let scope = instance.scope(self.facts, each.as_ref());
            let skipped = match self.condition(include.when.as_ref(), &scope) {
                Some(reason) => Some(format!("role {} is left out: {reason}", file.name)),
                None => instance.skipped.clone(),
            };
            let scope = instance.scope_for(skipped.is_some(), self.facts, each.as_ref());
            let mut passed = Vec::with_capacity(include.inputs.len());
            for pair in &include.inputs {
                if file.inputs.iter().any(|input| input.name == *pair.key) {
                    passed.push(Passed {
                        name: pair.key.to_string(),
                        value: Inside {
                            layer: Layer::Include,
                            node: self.evaluate(&pair.value, &scope).into_owned(),
                            is: self.is(&pair.value, &scope),
                        },
                    });
                    continue;
                }
                let message = format!("role {} has no input '{}'", file.name, &*pair.key);
                let names = file.inputs.iter().map(|input| input.name.as_str());
                self.mistakes
                    .push(Diagnostic::at(pair.key_place, message).did_you_mean(&pair.key, names));
            }
            let before = self.mistakes.0.len();
            self.role(&file, false, &passed, skipped);
            if self.mistakes.0.len() > before {
                // The other elements would only say it again.
                break;
            }
        }
        if include.for_each.is_some() && self.mistakes.0.len() > first {
            self.unread.anything();
        }
    }

    pub(super) fn evaluate<'n>(&mut self, node: &'n Node, scope: &Scope<'_>) -> Cow<'n, Node> {
        self.expressions
            .evaluate(node, scope, &self.sources, &mut self.mistakes)
    }

    /// What a value is that this gives.
    fn is(&self, node: &Node, scope: &Scope<'_>) -> Is {
        Is {
            placeholder: guess::is_placeholder(node, scope),
            secret: self.expressions.reads_secret(node, scope),
        }
    }

    /// What `for_each` repeats: one time without an element where there is none.
    pub(super) fn elements(&mut self, for_each: Option<&Node>, instance: &Instance) -> Vec<Option<Each>> {
        let Some(for_each) = for_each else { return vec![None] };
        let scope = instance.scope(self.facts, None);
        let node = self.evaluate(for_each, &scope);
        let value = match node.to_value() {
            Ok(value) => value,
            Err(mistake) => {
                self.mistakes.push(mistake);
                return Vec::new();
            }
        };
        let Is { placeholder, secret } = self.is(for_each, &scope);
        let each = |key: Value, value: Value| {
            Some(Each {
                key,
                value,
                placeholder,
                secret,
            })
        };
        match value {
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(key, value)| each(key.into(), value))
                .collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| each(key.into(), value)).collect(),
            // An optional list that nobody gave has no elements.
            Value::Null => Vec::new(),
            _ => {
                self.mistakes.push(
                    node.is_not("a list or a map")
                        .hint("for_each takes ${a list or map}, or a literal one"),
                );
                Vec::new()
            }
        }
    }

    /// Why something is left out: its `when` is false.
    pub(super) fn condition(&mut self, when: Option<&Node>, scope: &Scope<'_>) -> Option<String> {
        let when = when?;
        let node = self.evaluate(when, scope);
        match (&node.data, node.to_value()) {
            (Data::Failed, _) | (_, Ok(Value::Bool(true))) => None,
            (_, Ok(Value::Bool(false))) => Some(match &when.data {
                Data::Plain(text) | Data::Text(text) if text.contains("${") => format!("when {} is false", &**text),
                _ => "its 'when' is false".to_owned(),
            }),
            _ => {
                let mistake = node.is_not_bool();
                self.mistakes.push(match &when.data {
                    Data::Plain(text) | Data::Text(text) if mistake.hint.is_none() && !text.contains("${") => {
                        mistake.hint(format!("an expression is written ${{…}}: when: '${{{}}}'", &**text))
                    }
                    _ => mistake,
                });
                None
            }
        }
    }
}

impl Instance {
    /// What its expressions see.
    pub(super) fn scope<'s>(&'s self, facts: &'s FactTable<'s>, each: Option<&'s Each>) -> Scope<'s> {
        self.scope_for(false, facts, each)
    }

    /// The same, with placeholders for what is left out and must be readable all the same.
    pub(super) fn scope_for<'s>(
        &'s self,
        left_out: bool,
        facts: &'s FactTable<'s>,
        each: Option<&'s Each>,
    ) -> Scope<'s> {
        let view = self.complete.as_ref().filter(|_| left_out).unwrap_or(&self.given);
        Scope {
            file: &self.file,
            role: &self.role,
            inputs: &view.inputs,
            vars: &view.vars,
            facts,
            each,
            placeholders: &view.placeholders,
            secrets: &view.secrets,
        }
    }
}
