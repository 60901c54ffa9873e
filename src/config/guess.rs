//! Values that nobody gave, and what follows from them.
//!
//! A role is checked without values, a resource is left out because its input has none, a value is wrong: in each case the
//! rest is to be read all the same. The missing value is replaced by a placeholder of its input's type; but no type of an input says that
//! a string has to be a size of LVM's or a name of cron's. So a mistake that only a placeholder makes is not said, and
//! where a resource cannot be read with it, other values are tried.

use std::collections::HashSet;

use super::{
    node::{Data, Node},
    scope::Scope,
};
use crate::source::{Diagnostic, Diagnostics, Hint, Place};

/// Whether what a node becomes depends on a value that is a placeholder.
pub(super) fn is_placeholder(node: &Node, scope: &Scope<'_>) -> bool {
    let text = |text: &str| text.contains("${") && scope.is_placeholder(text);
    match &node.data {
        Data::Plain(scalar) | Data::Text(scalar) => text(scalar),
        Data::Sequence(items) => items.iter().any(|item| is_placeholder(item, scope)),
        Data::Mapping(pairs) => pairs
            .iter()
            .any(|pair| text(&pair.key) || is_placeholder(&pair.value, scope)),
        _ => false,
    }
}

/// Where scalars stand that depend on placeholders.
pub(super) fn places(node: &Node, scope: &Scope<'_>) -> HashSet<Place> {
    let mut found = HashSet::new();
    if scope.has_placeholders() {
        collect(node, scope, &mut found);
    }
    found
}

fn collect(node: &Node, scope: &Scope<'_>, found: &mut HashSet<Place>) {
    match &node.data {
        Data::Sequence(items) => items.iter().for_each(|item| collect(item, scope, found)),
        Data::Mapping(pairs) => {
            for pair in pairs {
                if pair.key.contains("${") && scope.is_placeholder(&pair.key) {
                    found.insert(pair.key_place);
                }
                collect(&pair.value, scope, found);
            }
        }
        _ if is_placeholder(node, scope) => {
            found.insert(node.place);
        }
        _ => {}
    }
}

/// What strings of a role stand for, one of which a property may take. `#` becomes a number of the place, so that no two
/// resources get the same name.
const OTHERS: [&str; 12] = [
    "/example/#",
    "1GiB",
    "100%VG",
    "1",
    "1h",
    "0644",
    "name-#",
    "host-#.example.org",
    "host-#:/path",
    "0 2 * * *",
    "rw",
    "root",
];

/// Reads something from a tree, with other values where a placeholder is refused. What cannot be read even so has the
/// mistakes that are left when those of placeholders are not counted.
pub(super) fn read<T>(
    tree: &Node,
    placeholders: &HashSet<Place>,
    read: impl Fn(&Node) -> Result<T, Diagnostics>,
) -> Result<T, Diagnostics> {
    let mut tree = tree.clone();
    // An expression that failed for a placeholder gives a value all the same.
    replace(
        &mut tree,
        &|node| matches!(node.data, Data::Failed) && placeholders.contains(&node.place),
        Some(OTHERS[0]),
    );
    let counts = |mistake: &Diagnostic| mistake.place.is_none_or(|place| !placeholders.contains(&place));
    let mut mistakes = Diagnostics::default();
    for other in OTHERS {
        mistakes = match read(&tree) {
            Ok(value) => return Ok(value),
            Err(mistakes) if mistakes.0.iter().all(counts) => return Err(mistakes),
            Err(mistakes) => mistakes,
        };
        for mistake in mistakes.0.iter().filter(|mistake| !counts(mistake)) {
            let other = match &mistake.hint {
                Some(Hint::OneOf(choices)) => choices.first().map_or(other, String::as_str),
                _ => other,
            };
            replace(&mut tree, &|node| mistake.place == Some(node.place), Some(other));
        }
    }
    // A property may do without.
    let refused: HashSet<_> = mistakes
        .0
        .iter()
        .filter(|mistake| !counts(mistake))
        .filter_map(|m| m.place)
        .collect();
    replace(&mut tree, &|node| refused.contains(&node.place), None);
    read(&tree).map_err(|_| Diagnostics(mistakes.0.into_iter().filter(counts).collect()))
}

/// Puts a text in the place of the scalars that are meant, or nothing.
fn replace(node: &mut Node, is_meant: &dyn Fn(&Node) -> bool, other: Option<&str>) {
    match &mut node.data {
        Data::Sequence(items) => items.iter_mut().for_each(|item| replace(item, is_meant, other)),
        Data::Mapping(pairs) => pairs
            .iter_mut()
            .for_each(|pair| replace(&mut pair.value, is_meant, other)),
        _ => {
            if is_meant(node) {
                let text = |other: &str| Data::Text(other.replace('#', &node.place.start.to_string()).as_str().into());
                node.data = other.map_or(Data::Null, text);
            }
        }
    }
}
