//! A resource in a role: `KIND: {properties}` and the keys beside it that mean the same for every kind.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    budget, de, guess, hidden,
    instance::{Instance, Work},
    library,
    node::{Data, Node, Pair},
    role::take,
    role_context::{RoleContext, Wrong},
    scalar::{self, Plain},
    scope::{Each, Scope},
    yaml,
};
use crate::{
    graph::{Declaration, Reference, Retry},
    resource::{self, KINDS, Kind, PropertyError, Resource},
    source::{Diagnostic, Diagnostics, Hint, Place, Sources, suggest},
    value::{self, Id},
};

/// Keys beside the kind.
pub(super) const ENVELOPE: [&str; 10] = [
    "id", "when", "for_each", "needs", "before", "notify", "retry", "timeout", "protect", "comment",
];

/// A resource's entry, taken apart.
struct Entry<'n> {
    kind: &'static Kind,
    kind_place: Place,
    properties: &'n Node,
    envelope: Vec<&'n Pair>,
}

impl<'n> Entry<'n> {
    fn key(&self, key: &str) -> Option<&'n Pair> {
        self.envelope.iter().find(|pair| &*pair.key == key).copied()
    }

    fn value(&self, key: &str) -> Option<&'n Node> {
        self.key(key).map(|pair| &pair.value)
    }
}

/// What the keys beside the kind say.
#[derive(Default)]
struct Envelope {
    id: Option<(String, Place)>,
    needs: Vec<Reference>,
    before: Vec<Reference>,
    notify: Vec<Reference>,
    retry: Retry,
    timeout: Option<Duration>,
    protect: Option<bool>,
}

impl Work<'_> {
    /// Declares a resource, once for each element of its `for_each`.
    pub(super) fn resource(&mut self, node: &Node, instance: &Instance) {
        let Some(entry) = take_apart(node, &mut self.mistakes) else {
            return self.unread.anything();
        };
        let first = self.mistakes.0.len();
        for each in self.elements(entry.value("for_each"), instance) {
            let before = self.mistakes.0.len();
            match self.declaration(&entry, each.as_ref(), instance) {
                Some(_) if self.declarations.len() >= budget::RESOURCES => {
                    self.mistakes.push(
                        Diagnostic::at(
                            entry.kind_place,
                            format!("these are more than {} resources", budget::RESOURCES),
                        )
                        .hint("declare what is many as one: a directory with `source`, a template"),
                    );
                }
                Some(declaration) => self.declarations.push(declaration),
                None => self.unread.kind(entry.kind.name),
            }
            if self
                .expressions
                .reads_secret(node, &instance.scope_for(true, self.facts, each.as_ref()))
            {
                // A parser may quote any part of what it cannot read.
                self.mistakes.0[before..].iter_mut().for_each(Diagnostic::hide_pieces);
            }
            if self.mistakes.0.len() > before {
                // The other elements would only say it again.
                break;
            }
        }
        if entry.key("for_each").is_some() && self.mistakes.0.len() > first {
            self.unread.kind(entry.kind.name);
        }
    }

    fn declaration(&mut self, entry: &Entry<'_>, each: Option<&Each>, instance: &Instance) -> Option<Declaration> {
        let before = self.mistakes.0.len();
        let reason = self.condition(entry.value("when"), &instance.scope(self.facts, each));
        let is_undecided = self.mistakes.0.len() > before;
        let skipped = instance.skipped.clone().or(reason);
        let scope = instance.scope_for(skipped.is_some(), self.facts, each);
        let envelope = self.envelope(entry, &scope);
        let properties = self.evaluate(entry.properties, &scope);
        let properties = with_key_property(&properties, entry.kind);
        let placeholders = guess::places(entry.properties, &scope);
        let resource = if placeholders.is_empty() {
            parse(entry, &properties)
        } else {
            guess::read(&properties, &placeholders, |properties| parse(entry, properties))
        };
        let mut resource = match resource {
            Ok(resource) => resource,
            Err(wrong) => {
                self.mistakes.extend(wrong);
                return None;
            }
        };
        if skipped.is_none() {
            let mistake = self.prepare(entry, &properties, resource.as_mut(), instance, &scope);
            // A name that is a placeholder is the name of nothing.
            let counts = |mistake: &Diagnostic| mistake.place.is_none_or(|place| !placeholders.contains(&place));
            self.mistakes.0.extend(mistake.filter(counts));
        }
        if !placeholders.is_empty() {
            self.unread.kind(entry.kind.name);
        }
        if let Some(timeout) = envelope.timeout {
            resource.limit(timeout);
        }
        // Whether it is there at all is not known: of two that exclude each other both would seem to be.
        if is_undecided {
            return None;
        }
        let holds_secret = self.expressions.reads_secret(entry.properties, &scope)
            || entry
                .value("id")
                .is_some_and(|id| self.expressions.reads_secret(id, &scope));
        let declaration = Declaration {
            id: self.id(envelope.id, entry.kind, resource.as_ref())?,
            resource,
            place: entry.kind_place,
            role: Arc::clone(&self.asked),
            skipped,
            needs: envelope.needs,
            before: envelope.before,
            notify: envelope.notify,
            retry: envelope.retry,
            timeout: envelope.timeout,
            protect: envelope.protect,
        };
        if holds_secret {
            if let (Some(protect), Some(true), true) = (
                entry.key("protect"),
                declaration.protect,
                hidden::is_recorded(&declaration),
            ) {
                let message = "what is protected is written down by its name, and this name holds a secret";
                let hint = "take the secret out of the name, or `protect` away";
                self.mistakes
                    .push(Diagnostic::at(protect.key_place, message).hint(hint));
                return None;
            }
            self.secret_names.insert(declaration.id.clone());
        }
        Some(declaration)
    }

    /// `kind:name`, or what `id` says: a name of its own, with or without the kind before it.
    fn id(&mut self, given: Option<(String, Place)>, kind: &Kind, resource: &dyn Resource) -> Option<Id> {
        let Some((text, place)) = given else {
            return Some(resource.id());
        };
        match text.split_once(':') {
            Some((prefix, name)) if prefix == kind.name && !name.is_empty() => Some(Id::new(kind.name, name)),
            Some((prefix, _)) if KINDS.iter().any(|other| other.name == prefix) => {
                let message = format!("a resource of kind {} cannot be '{text}'", kind.name);
                self.mistakes
                    .push(Diagnostic::at(place, message).hint(format!("write {}:NAME, or NAME alone", kind.name)));
                None
            }
            _ if text.is_empty() => {
                self.mistakes.push(Diagnostic::at(place, "this id is empty"));
                None
            }
            _ => Some(Id::new(kind.name, &text)),
        }
    }

    fn prepare(
        &mut self,
        entry: &Entry<'_>,
        properties: &Node,
        resource: &mut dyn Resource,
        instance: &Instance,
        scope: &Scope<'_>,
    ) -> Option<Diagnostic> {
        let context = RoleContext::new(&instance.file, *scope, &self.templates, self.samples);
        let error = resource.prepare(&context).err()?;
        let at_property = |name: &str| properties.get(name).map_or(entry.kind_place, |node| node.place);
        Some(if let Some(error) = error.downcast_ref::<PropertyError>() {
            Diagnostic {
                hint: error.hint.clone().map(Hint::Text),
                ..Diagnostic::at(at_property(&error.property), error.message.clone())
            }
        } else if let Some(wrong) = error.downcast_ref::<Wrong>() {
            wrong.diagnostic(at_property("source"), &mut self.sources)
        } else {
            Diagnostic {
                place: Some(entry.kind_place),
                ..library::diagnostic(&error)
            }
        })
    }

    fn envelope(&mut self, entry: &Entry<'_>, scope: &Scope<'_>) -> Envelope {
        let mut envelope = Envelope::default();
        for pair in &entry.envelope {
            if matches!(&*pair.key, "when" | "for_each" | "comment") {
                continue;
            }
            let placeholders = guess::places(&pair.value, scope);
            let pair = Pair {
                value: self.evaluate(&pair.value, scope).into_owned(),
                ..(*pair).clone()
            };
            let mistakes = &mut self.mistakes;
            match &*pair.key {
                "id" => envelope.id = take(&pair, mistakes).map(|id| (id, pair.value.place)),
                "needs" => envelope.needs = references(&pair.value, &placeholders, mistakes),
                "before" => envelope.before = references(&pair.value, &placeholders, mistakes),
                "notify" => envelope.notify = references(&pair.value, &placeholders, mistakes),
                "retry" => envelope.retry = retry(&pair, mistakes).unwrap_or_default(),
                "timeout" => envelope.timeout = take::<Length>(&pair, mistakes).map(|length| length.0.get()),
                "protect" => envelope.protect = take(&pair, mistakes),
                _ => {}
            }
        }
        envelope
    }
}

/// Finds the kind among the keys of an entry.
fn take_apart<'n>(node: &'n Node, mistakes: &mut Diagnostics) -> Option<Entry<'n>> {
    let Data::Mapping(pairs) = &node.data else {
        mistakes.push(
            node.is_not("a resource")
                .hint("a resource is written KIND: {…}, as in directory: {path: /srv}"),
        );
        return None;
    };
    let (envelope, others): (Vec<_>, Vec<_>) = pairs.iter().partition(|pair| ENVELOPE.contains(&&*pair.key));
    let kind_of = |pair: &Pair| KINDS.iter().find(|kind| kind.name == &*pair.key);
    let mut kinds = others.iter().filter_map(|pair| Some((kind_of(pair)?, *pair)));
    let found = kinds.next();
    if let (Some((first, first_pair)), Some((second, pair))) = (found, kinds.next()) {
        let message = format!("this resource is of two kinds, {} and {}", first.name, second.name);
        mistakes.push(
            Diagnostic::at(pair.key_place, message)
                .note(first_pair.key_place, "the first")
                .hint("write '- ' before each resource"),
        );
        return None;
    }
    let Some((kind, pair)) = found else {
        mistakes.push(match others.first() {
            Some(pair) => unknown_kind(pair),
            None => Diagnostic::at(node.place, "this resource has no kind").hint("a resource is written KIND: {…}"),
        });
        return None;
    };
    for other in others.iter().filter(|other| !std::ptr::eq(**other, pair)) {
        mistakes.push(if properties_of(kind).any(|property| property == &*other.key) {
            let message = format!("'{}' is a property of {}", &*other.key, kind.name);
            Diagnostic::at(other.key_place, message)
                .hint(format!("indent it, so that it stands below '{}:'", kind.name))
        } else {
            other.unknown(format!("a resource has no '{}'", &*other.key), &ENVELOPE)
        });
    }
    Some(Entry {
        kind,
        kind_place: pair.key_place,
        properties: &pair.value,
        envelope,
    })
}

fn unknown_kind(pair: &Pair) -> Diagnostic {
    let diagnostic = Diagnostic::at(pair.key_place, format!("there is no kind '{}'", &*pair.key));
    let kinds = || KINDS.iter().map(|kind| kind.name);
    match suggest(&pair.key, kinds().chain(ENVELOPE)) {
        Some(name) => diagnostic.hint(Hint::DidYouMean(name.to_owned())),
        None => diagnostic.hint(format!("there are: {}", kinds().collect::<Vec<_>>().join(", "))),
    }
}

/// Names of a kind's properties, from its schema.
fn properties_of(kind: &Kind) -> impl Iterator<Item = &'static str> {
    let properties = (kind.schema)().get("properties").and_then(|value| value.as_object());
    properties.into_iter().flatten().map(|(name, _)| name.as_str())
}

/// Properties that have to be given, from the kind's schema.
fn required(kind: &Kind) -> impl Iterator<Item = &'static str> {
    let required = (kind.schema)().get("required").and_then(|value| value.as_array());
    required.into_iter().flatten().filter_map(|name| name.as_str())
}

/// `package: nfs-common` is short for `package: {name: nfs-common}`, where one property suffices.
fn with_key_property<'n>(properties: &'n Node, kind: &Kind) -> std::borrow::Cow<'n, Node> {
    use std::borrow::Cow;
    if matches!(
        properties.data,
        Data::Mapping(_) | Data::Sequence(_) | Data::Null | Data::Failed
    ) {
        return Cow::Borrowed(properties);
    }
    let mut required = required(kind);
    let (Some(key), None) = (required.next(), required.next()) else {
        return Cow::Borrowed(properties);
    };
    Cow::Owned(Node::new(
        properties.place,
        Data::Mapping(vec![Pair {
            key: key.into(),
            key_place: properties.place,
            value: properties.clone(),
        }]),
    ))
}

/// The resource, or all that is wrong with its properties.
fn parse(entry: &Entry<'_>, properties: &Node) -> Result<Box<dyn Resource>, Diagnostics> {
    // `directory:` with nothing below misses what it needs; it is not "nothing where a map is wanted".
    let empty = Node::new(properties.place, Data::Mapping(Vec::new()));
    let properties = match properties.data {
        Data::Failed => return Err(Diagnostics::default()),
        Data::Null => &empty,
        _ => properties,
    };
    let result = de::read_with(properties, entry.kind_place, |deserializer| {
        resource::parse(entry.kind.name, deserializer)
            .unwrap_or_else(|| Err(Diagnostic::general(format!("there is no kind '{}'", entry.kind.name)).into()))
    });
    result.map_err(|mut mistakes| {
        // serde names the first property that is missing; the schema knows the others.
        for name in required(entry.kind) {
            let mistake = Diagnostic::at(entry.kind_place, format!("'{name}' is missing"));
            let is_misspelt = |other: &Diagnostic| matches!(&other.hint, Some(Hint::DidYouMean(near)) if near == name);
            let is_said = mistakes.0.iter().any(|other| *other == mistake || is_misspelt(other));
            if !is_said && matches!(properties.data, Data::Mapping(_)) && properties.get(name).is_none() {
                mistakes.push(mistake);
            }
        }
        for mistake in &mut mistakes.0 {
            if mistake.place == Some(entry.kind_place) && mistake.hint.is_none() {
                mistake.hint = Some(example(entry.kind).into());
            }
        }
        mistakes
    })
}

/// The kind's example as a hint, on one line.
fn example(kind: &Kind) -> String {
    let text: Arc<str> = kind.example.into();
    let example = yaml::parse(Sources::default().add("", Arc::clone(&text)), &text);
    match example.map(|node| node.to_value()) {
        Ok(Ok(value)) => format!("for example {}: {}", kind.name, flow(&value)),
        _ => format!("the reference has an example of {}", kind.name),
    }
}

/// A value as YAML on one line.
fn flow(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::String(text) if is_bare(text) => text.clone(),
        Value::Array(items) => format!("[{}]", list(items.iter().map(flow).collect())),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", flow(&name.as_str().into()), flow(value));
            format!("{{ {} }}", list(members.iter().map(member).collect()))
        }
        // JSON is YAML.
        scalar => scalar.to_string(),
    }
}

/// Whether a text needs no quotes inside `{ }`.
fn is_bare(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._- ".contains(&b))
        && !text.ends_with(' ')
        && scalar::resolve(text) == Plain::Text
}

/// `[package:lvm2, …]`, or one alone. A placeholder names nothing that is there.
fn references(node: &Node, placeholders: &HashSet<Place>, mistakes: &mut Diagnostics) -> Vec<Reference> {
    let items = match &node.data {
        Data::Null => return Vec::new(),
        Data::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut references = Vec::with_capacity(items.len());
    for item in items {
        if let Data::Mapping(pairs) = &item.data
            && let [pair] = pairs.as_slice()
        {
            let name = pair.value.to_text().unwrap_or_default();
            let hint = format!("write {}:{name}, without a blank", &*pair.key);
            mistakes.push(item.is_not("a resource, kind:name,").hint(hint));
            continue;
        }
        if item.is_null() || matches!(item.data, Data::Failed) || placeholders.contains(&item.place) {
            continue;
        }
        match item.to_text().map(|text| text.parse::<Id>()) {
            Ok(Ok(id)) => references.push(Reference { id, place: item.place }),
            Ok(Err(message)) => mistakes.push(Diagnostic::at(item.place, message)),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    references
}

/// A length of time, with a hint for the number without a unit.
struct Length(value::Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl serde::de::Visitor<'_> for Written {
            type Value = Length;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a duration, as in 30s or 5m,")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Length, E> {
                text.parse().map(Length).map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Length, E> {
                Err(E::custom(format!(
                    "{number} has no unit: write {number}s for seconds, or m, h, d"
                )))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

fn retry(pair: &Pair, mistakes: &mut Diagnostics) -> Option<Retry> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        times: u32,
        delay: Option<Length>,
    }
    let written: Written = take(pair, mistakes)?;
    Some(Retry {
        times: written.times,
        delay: written.delay.map_or(Retry::default().delay, |length| length.0.get()),
    })
}
