//! Each resource is declared once, each path is in one hand, what a file holds is said by one resource or in parts, and nothing is
//! made by one that another removes.

use std::{collections::HashMap, path::Path};

use super::Declaration;
use crate::{
    source::{Diagnostic, Diagnostics},
    system::Fact,
    value::{AbsPath, Id},
};

/// From ids to indices, and what is wrong: an id, or a path, that two resources claim.
pub(super) fn declare(declarations: &[Declaration], wrong: &mut Diagnostics) -> HashMap<Id, usize> {
    let mut index = HashMap::with_capacity(declarations.len());
    let mut paths: HashMap<Box<Path>, usize> = HashMap::new();
    let mut wholes: HashMap<AbsPath, usize> = HashMap::new();
    let mut absent: HashMap<AbsPath, usize> = HashMap::new();
    let mut parts: Vec<(AbsPath, usize)> = Vec::new();
    let mut made: Vec<(AbsPath, usize)> = Vec::new();
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
        for fact in declaration.resource.provides() {
            let path = match fact {
                Fact::Path(path) => path,
                Fact::Whole(path) => {
                    wholes.insert(path, here);
                    continue;
                }
                Fact::Part(path) => {
                    parts.push((path, here));
                    continue;
                }
                Fact::Absent(path) => {
                    absent.insert(path, here);
                    continue;
                }
                Fact::Made(path) => {
                    made.push((path, here));
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
    for (path, here) in made {
        let Some(&absent) = absent.get(&path) else { continue };
        let (maker, remover) = (&declarations[here], &declarations[absent]);
        wrong.push(
            Diagnostic::at(
                maker.place,
                format!(
                    "{} and {} would undo each other: one makes {path}, the other removes it",
                    maker.id, remover.id
                ),
            )
            .label("made here")
            .note(remover.place, "removed here")
            .hint("drop one of them"),
        );
    }
    index
}
