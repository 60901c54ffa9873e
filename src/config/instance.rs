//! A role with its values: inputs resolved, `vars` evaluated, its includes and then its own resources declared.

use std::{borrow::Cow, collections::HashSet, rc::Rc};

use serde_json::{Value, json};

use super::{
    expression::Expressions,
    include::Roles,
    merge::{Explained, Layer, Layers},
    node::{Data, Node},
    role::{Include, RoleFile},
    scope::{Each, FactTable, Scope, Values},
    templates::Templates,
};
use crate::{
    graph::Declaration,
    source::{Diagnostic, Diagnostics, Sources},
};

/// What a run of `load` works with and what it makes.
pub(super) struct Work<'w> {
    pub(super) roles: &'w Roles,
    pub(super) layers: &'w Layers,
    pub(super) facts: &'w FactTable<'w>,
    /// Whether inputs without a value get a made-up one.
    pub(super) samples: bool,
    pub(super) expressions: Expressions,
    pub(super) templates: Templates,
    pub(super) sources: Sources,
    pub(super) mistakes: Diagnostics,
    pub(super) declarations: Vec<Declaration>,
    pub(super) explained: Vec<Explained>,
    /// Roles with their inputs that have been declared: the same role with the same inputs is the same thing.
    done: HashSet<(String, String, bool)>,
}

/// A role with its values.
pub(super) struct Instance {
    pub(super) file: Rc<RoleFile>,
    role: Value,
    inputs: Values,
    /// The inputs with made-up values for those that have none, to read resources with that are left out.
    sampled: Values,
    vars: Values,
    /// Why all of it is left out.
    pub(super) skipped: Option<String>,
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
            explained: Vec::new(),
            done: HashSet::new(),
        }
    }

    /// Declares what a role and its includes have. `given`: inputs from the including role.
    pub(super) fn role(&mut self, file: &Rc<RoleFile>, asked: bool, given: &[(String, Node)], skipped: Option<String>) {
        let instance = self.instance(file, asked, given, skipped);
        let inputs = Value::Object(instance.inputs.clone()).to_string();
        if !self
            .done
            .insert((file.path.clone(), inputs, instance.skipped.is_some()))
        {
            return;
        }
        for include in &file.includes {
            self.include(include, &instance);
        }
        for resource in &file.resources {
            self.resource(resource, &instance);
        }
    }

    fn instance(
        &mut self,
        file: &Rc<RoleFile>,
        asked: bool,
        given: &[(String, Node)],
        skipped: Option<String>,
    ) -> Instance {
        let mut instance = Instance {
            file: Rc::clone(file),
            role: json!({ "name": file.name }),
            inputs: Values::new(),
            sampled: Values::new(),
            vars: Values::new(),
            skipped,
        };
        for input in &file.inputs {
            let mut inside = Vec::new();
            if let Some(default) = &input.default {
                // A default may use facts, and inputs declared before it.
                inside.push((
                    Layer::Default,
                    self.evaluate(default, &instance.scope(self.facts, None)).into_owned(),
                ));
            }
            let given = given.iter().filter(|(name, _)| *name == input.name);
            inside.extend(given.map(|(_, node)| (Layer::Include, node.clone())));
            let explained = self
                .layers
                .resolve(&file.name, asked, input, inside, self.samples, &mut self.mistakes);
            let sampled = match &explained.value {
                Value::Null => input.declared.sample(&input.name),
                value => value.clone(),
            };
            instance.sampled.insert(input.name.clone(), sampled);
            instance.inputs.insert(input.name.clone(), explained.value.clone());
            self.explained.push(explained);
        }
        for pair in &file.vars {
            let node = self
                .evaluate(&pair.value, &instance.scope(self.facts, None))
                .into_owned();
            let value = node.to_value().unwrap_or_else(|mistake| {
                self.mistakes.push(mistake);
                Value::Null
            });
            instance.vars.insert(pair.key.to_string(), value);
        }
        instance
    }

    fn include(&mut self, include: &Include, instance: &Instance) {
        let Some(file) = self.roles.get(&include.role).map(Rc::clone) else {
            return;
        };
        for each in self.elements(include.for_each.as_ref(), instance) {
            let scope = instance.scope(self.facts, each.as_ref());
            let skipped = match self.condition(include.when.as_ref(), &scope) {
                Some(reason) => Some(format!("role {} is left out: {reason}", file.name)),
                None => instance.skipped.clone(),
            };
            let scope = instance.scope_for(skipped.is_some(), self.facts, each.as_ref());
            let mut given = Vec::with_capacity(include.inputs.len());
            for pair in &include.inputs {
                if file.inputs.iter().any(|input| input.name == *pair.key) {
                    given.push((pair.key.to_string(), self.evaluate(&pair.value, &scope).into_owned()));
                    continue;
                }
                let message = format!("role {} has no input '{}'", file.name, &*pair.key);
                let names = file.inputs.iter().map(|input| input.name.as_str());
                self.mistakes
                    .push(Diagnostic::at(pair.key_place, message).did_you_mean(&pair.key, names));
            }
            let before = self.mistakes.0.len();
            self.role(&file, false, &given, skipped);
            if self.mistakes.0.len() > before {
                // The other elements would only say it again.
                break;
            }
        }
    }

    pub(super) fn evaluate<'n>(&mut self, node: &'n Node, scope: &Scope<'_>) -> Cow<'n, Node> {
        self.expressions
            .evaluate(node, scope, &self.sources, &mut self.mistakes)
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
        let each = |key: Value, value: Value| Some(Each { key, value });
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

    /// The same, with made-up inputs for what is left out and must be readable all the same.
    pub(super) fn scope_for<'s>(
        &'s self,
        left_out: bool,
        facts: &'s FactTable<'s>,
        each: Option<&'s Each>,
    ) -> Scope<'s> {
        Scope {
            role: &self.role,
            inputs: if left_out { &self.sampled } else { &self.inputs },
            vars: &self.vars,
            facts,
            each,
        }
    }
}
