//! Each resource is declared once, each path is in one hand, what a file holds is said by one resource or in parts, and nothing is
//! made or needed by one that another removes.

use std::{collections::HashMap, path::Path};

use super::Declaration;
use crate::{
    source::{Diagnostic, Diagnostics},
    system::Claim,
    value::{AbsPath, Id},
};

/// From ids to indices, and what is wrong: an id, a path or a number that two resources claim.
pub(super) fn declare(declarations: &[Declaration], wrong: &mut Diagnostics) -> HashMap<Id, usize> {
    let mut index = HashMap::with_capacity(declarations.len());
    let mut paths: HashMap<Box<Path>, usize> = HashMap::new();
    let mut wholes: HashMap<AbsPath, usize> = HashMap::new();
    let mut absent: HashMap<AbsPath, usize> = HashMap::new();
    let mut parts: Vec<(AbsPath, usize)> = Vec::new();
    let mut made: Vec<(AbsPath, usize)> = Vec::new();
    let mut accounts: HashMap<Claim, usize> = HashMap::new();
    let mut numbers: HashMap<(&str, u32), usize> = HashMap::new();
    for (here, declaration) in declarations.iter().enumerate() {
        // What names it means the first.
        let first = *index.entry(declaration.id.clone()).or_insert(here);
        if first != here {
            let first: &Declaration = &declarations[first];
            wrong.push(
                Diagnostic::at(declaration.place, format!("{} is declared twice", declaration.id))
                    .label("declared again here")
                    .note(first.place, "first declared here")
                    .hint("drop one of them, or give one an `id` of its own"),
            );
            continue;
        }
        if declaration.skipped.is_some() {
            continue;
        }
        let is_absent = declaration.resource.is_absent();
        for claim in declaration.resource.provides() {
            if let Claim::Path(path) | Claim::Made(path) | Claim::Mounted(path) | Claim::Part(path) = &claim
                && !is_absent
            {
                made.push((path.clone(), here));
            }
            let path = match claim {
                Claim::Path(path) => path,
                Claim::Whole(path) => {
                    wholes.insert(path, here);
                    continue;
                }
                Claim::Part(path) => {
                    parts.push((path, here));
                    continue;
                }
                Claim::Number(number) if !is_absent => {
                    if let Some(first) = numbers.insert((declaration.id.kind(), number), here) {
                        wrong.push(two_of_a_number(&declarations[first], declaration, number));
                    }
                    continue;
                }
                Claim::User(_) | Claim::Group(_) if is_absent => {
                    accounts.insert(claim, here);
                    continue;
                }
                Claim::Absent(path) => {
                    absent.insert(path, here);
                    continue;
                }
                _ => continue,
            };
            if let Some(first) = paths.insert(Box::from(&*path), here) {
                let first = &declarations[first];
                wrong.push(
                    Diagnostic::at(
                        declaration.place,
                        format!("{path} has two owners: {} and {}", first.id, declaration.id),
                    )
                    .label("claimed again here")
                    .note(first.place, "first claimed here")
                    .hint("a path is managed by one resource: drop one of them"),
                );
            }
        }
    }
    for (path, here) in parts {
        let Some(&whole) = wholes.get(&path) else { continue };
        let (part, whole) = (&declarations[here], &declarations[whole]);
        if absent.contains_key(&path) {
            // Said below, or nothing to say: a part that is not wanted goes with the whole.
            continue;
        }
        wrong.push(
            Diagnostic::at(
                part.place,
                format!(
                    "{} and {} would undo each other: both say what {path} holds",
                    whole.id, part.id
                ),
            )
            .label("a part of it")
            .note(whole.place, "all of it")
            .hint("write that part into the whole, or have the file declare its owner and mode only"),
        );
    }
    undone(declarations, &paths, &absent, made, wrong);
    accounts_in_use(declarations, &accounts, wrong);
    index
}

/// Two users of one uid would be one to the kernel, and two groups of one gid.
fn two_of_a_number(first: &Declaration, again: &Declaration, number: u32) -> Diagnostic {
    Diagnostic::at(
        again.place,
        format!("{} and {} are to have one number, {number}", first.id, again.id),
    )
    .label("declared again here")
    .note(first.place, "first declared here")
    .hint("declare another number for one of them")
}

/// What one resource makes where another wants nothing to be, or above it.
fn undone(
    declarations: &[Declaration],
    paths: &HashMap<Box<Path>, usize>,
    absent: &HashMap<AbsPath, usize>,
    made: Vec<(AbsPath, usize)>,
    wrong: &mut Diagnostics,
) {
    for (path, here) in made {
        let Some((gone, &remover)) = removed(absent, &path).filter(|(_, remover)| **remover != here) else {
            continue;
        };
        // Two owners of one path are told already.
        if paths.get(&*path) == Some(&here) && *gone == path {
            continue;
        }
        let (maker, remover) = (&declarations[here], &declarations[remover]);
        let what = if *gone == path {
            "it".to_owned()
        } else {
            gone.to_string()
        };
        wrong.push(
            Diagnostic::at(
                maker.place,
                format!(
                    "{} and {} would undo each other: one makes {path}, the other removes {what}",
                    maker.id, remover.id
                ),
            )
            .label("made here")
            .note(remover.place, "removed here")
            .hint("drop one of them"),
        );
    }
}

/// The path itself, or one above it, where a resource wants nothing to be.
fn removed<'a>(absent: &'a HashMap<AbsPath, usize>, path: &AbsPath) -> Option<(&'a AbsPath, &'a usize)> {
    let mut above = path
        .ancestors()
        .filter_map(|above| above.to_str()?.parse::<AbsPath>().ok());
    above.find_map(|above| absent.get_key_value(&above))
}

/// What needs an account that another resource removes, and does not bring it itself.
fn accounts_in_use(declarations: &[Declaration], gone: &HashMap<Claim, usize>, wrong: &mut Diagnostics) {
    if gone.is_empty() {
        return;
    }
    for one in declarations
        .iter()
        .filter(|one| one.skipped.is_none() && !one.resource.is_absent())
    {
        let own = one.resource.provides();
        for claim in one.resource.requires() {
            let Some(remover) = gone.get(&claim).filter(|_| !own.contains(&claim)) else {
                continue;
            };
            let remover = &declarations[*remover];
            let (Claim::User(name) | Claim::Group(name)) = &claim else {
                continue;
            };
            let kind = if matches!(claim, Claim::User(_)) {
                "user"
            } else {
                "group"
            };
            wrong.push(
                Diagnostic::at(
                    one.place,
                    format!("{} needs the {kind} {name}, which {} removes", one.id, remover.id),
                )
                .label("needed here")
                .note(remover.place, "removed here")
                .hint("drop one of them, or name another account"),
            );
        }
    }
}
