//! Names that hold a secret. What a resource is called is written down, in records and in the state directory, and is said wherever
//! something is said of it: from here on such a name is called without its secret.

use std::collections::{HashMap, HashSet};

use crate::{
    graph::Declaration,
    system::Claim,
    value::{Id, secret::redact},
};

/// The id without secrets.
fn without_secrets(id: &Id) -> Id {
    Id::new(id.kind(), &redact(id.name()))
}

/// Renames the declarations of these ids, and what refers to them. Those that differ in their secrets alone are numbered.
pub(super) fn rename(declarations: &mut [Declaration], secret: &HashSet<Id>) {
    if secret.is_empty() {
        return;
    }
    let mut taken: HashSet<Id> = declarations
        .iter()
        .map(|declaration| declaration.id.clone())
        .filter(|id| !secret.contains(id))
        .collect();
    let mut names: HashMap<Id, Id> = HashMap::new();
    for declaration in declarations
        .iter()
        .filter(|declaration| secret.contains(&declaration.id))
    {
        names.entry(declaration.id.clone()).or_insert_with(|| {
            let plain = without_secrets(&declaration.id);
            let numbered = |number| Id::new(plain.kind(), &format!("{} #{number}", plain.name()));
            let mut name = plain.clone();
            let mut numbers = 2..;
            while !taken.insert(name.clone()) {
                name = numbered(numbers.next().unwrap_or(u32::MAX));
            }
            name
        });
    }
    for declaration in declarations {
        let references = [&mut declaration.needs, &mut declaration.before, &mut declaration.notify];
        let ids = references.into_iter().flatten().map(|reference| &mut reference.id);
        for id in ids.chain([&mut declaration.id]) {
            if let Some(name) = names.get(id) {
                *id = name.clone();
            }
        }
    }
}

/// Whether what is written down of a protected resource, to know it again when no role declares it any more, would hold a secret.
pub(super) fn is_recorded(declaration: &Declaration) -> bool {
    let holds = |text: &str| redact(text) != text;
    holds(declaration.resource.id().as_str())
        || declaration.resource.provides().iter().any(|fact| match fact {
            Claim::Path(path) | Claim::Made(path) => holds(path.as_str()),
            Claim::Device(name) | Claim::Filesystem(name) => holds(&name.to_string()),
            _ => false,
        })
}
