//! The role files of a run: those asked for, and all that they include. Read before anything is evaluated, so that it is
//! known which inputs there are.

use std::{collections::HashMap, rc::Rc};

use super::{
    library::{Found, Library},
    role::RoleFile,
    yaml,
};
use crate::source::{Diagnostic, Diagnostics, Place, Sources};

/// Role files by the name or path that they are asked for.
#[derive(Debug, Default)]
pub(super) struct Roles {
    by_request: HashMap<String, Rc<RoleFile>>,
    /// In the order in which they were first met.
    order: Vec<Rc<RoleFile>>,
}

impl Roles {
    /// Reads the roles asked for and what they include.
    pub(super) fn read(asked: &[String], library: &Library, sources: &mut Sources, mistakes: &mut Diagnostics) -> Self {
        let mut roles = Self::default();
        for name in asked {
            roles.add(name, None, &mut Vec::new(), library, sources, mistakes);
        }
        roles
    }

    /// A role that was read; nothing where it could not be.
    pub(super) fn get(&self, request: &str) -> Option<&Rc<RoleFile>> {
        self.by_request.get(request)
    }

    /// All role files, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Rc<RoleFile>> {
        self.order.iter()
    }

    /// `way`: the roles that include this one, outermost first, and where each includes the next.
    fn add(
        &mut self,
        request: &str,
        place: Option<Place>,
        way: &mut Vec<(Rc<RoleFile>, Place)>,
        library: &Library,
        sources: &mut Sources,
        mistakes: &mut Diagnostics,
    ) {
        if self.by_request.contains_key(request) {
            return;
        }
        let at = |message: String| match place {
            Some(place) => Diagnostic::at(place, message),
            None => Diagnostic::general(message),
        };
        let Found { name, text, home } = match library.find(request) {
            Ok(found) => found,
            Err(error) => return mistakes.push(at(format!("{error:#}")).hint(library.hint(request))),
        };
        if let Some(known) = self.order.iter().find(|role| role.path == name) {
            self.by_request.insert(request.to_owned(), Rc::clone(known));
            return;
        }
        let file = sources.add(name.clone(), std::sync::Arc::clone(&text));
        let root = match yaml::parse(file, &text) {
            Ok(root) => root,
            Err(wrong) => return mistakes.extend(wrong),
        };
        let stem = std::path::Path::new(request)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        let role = Rc::new(RoleFile::read(root, &stem, name, home, mistakes));
        self.by_request.insert(request.to_owned(), Rc::clone(&role));
        self.order.push(Rc::clone(&role));
        for include in &role.includes {
            way.push((Rc::clone(&role), include.place));
            if let Some(mistake) = self.circle(&include.role, way) {
                mistakes.push(mistake);
            } else {
                self.add(&include.role, Some(include.place), way, library, sources, mistakes);
            }
            way.pop();
        }
    }

    /// The mistake of a role that includes one of those that include it.
    fn circle(&self, request: &str, way: &[(Rc<RoleFile>, Place)]) -> Option<Diagnostic> {
        let role = self.by_request.get(request)?;
        let start = way.iter().position(|(outer, _)| Rc::ptr_eq(outer, role))?;
        let names: Vec<_> = way[start..].iter().map(|(role, _)| role.name.as_str()).collect();
        let (_, place) = way.last()?;
        let mut diagnostic = Diagnostic::at(
            *place,
            format!("roles include each other: {} → {}", names.join(" → "), role.name),
        );
        for (outer, place) in &way[start..way.len() - 1] {
            diagnostic = diagnostic.note(*place, format!("{} includes this one", outer.name));
        }
        Some(diagnostic)
    }
}
