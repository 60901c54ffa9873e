//! The role files of a run: those asked for, and all that they include. Read before anything is evaluated, so that it is
//! known which inputs there are.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use super::{
    library::{self, Found, Library},
    role::RoleFile,
    yaml,
};
use crate::source::{Diagnostic, Diagnostics, Place, Sources};

/// Role files by the name or path that they are asked for.
#[derive(Debug, Default)]
pub(super) struct Roles {
    by_request: HashMap<String, Rc<RoleFile>>,
    /// In the order in which they were first met.
    order: Vec<(PathBuf, Rc<RoleFile>)>,
}

/// What reading goes by.
struct Reader<'r> {
    library: &'r Library,
    sources: &'r mut Sources,
    mistakes: &'r mut Diagnostics,
    /// The roles around the one that is read, outermost first, and where each includes the next.
    way: Vec<(PathBuf, Place)>,
}

impl Roles {
    /// Reads the roles asked for and what they include.
    pub(super) fn read(asked: &[String], library: &Library, sources: &mut Sources, mistakes: &mut Diagnostics) -> Self {
        let mut roles = Self::default();
        let mut reader = Reader {
            library,
            sources,
            mistakes,
            way: Vec::new(),
        };
        for name in asked {
            roles.add(name, None, &mut reader);
        }
        roles
    }

    /// A role that was read; nothing where it could not be.
    pub(super) fn get(&self, request: &str) -> Option<&Rc<RoleFile>> {
        self.by_request.get(request)
    }

    /// All role files, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Rc<RoleFile>> {
        self.order.iter().map(|(_, role)| role)
    }

    fn add(&mut self, request: &str, place: Option<Place>, reader: &mut Reader<'_>) {
        let at = |message: String| match place {
            Some(place) => Diagnostic::at(place, message),
            None => Diagnostic::general(message),
        };
        let found = match reader.library.find(request) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let (message, hint) = reader.library.not_found(request);
                return reader.mistakes.push(at(message).hint(hint));
            }
            Err(error) => {
                return reader.mistakes.push(Diagnostic {
                    place,
                    ..library::diagnostic(&error)
                });
            }
        };
        let Found {
            name,
            identity,
            text,
            home,
        } = found;
        if let Some((_, known)) = self.order.iter().find(|(path, _)| *path == identity) {
            self.by_request.insert(request.to_owned(), Rc::clone(known));
            let circle = self.circle(&identity, &reader.way);
            return reader.mistakes.extend(circle);
        }
        let file = reader.sources.add(name.clone(), Arc::clone(&text));
        let root = match yaml::parse(file, &text) {
            Ok(root) => root,
            Err(wrong) => return reader.mistakes.extend(wrong),
        };
        let directory = identity.parent().and_then(Path::file_name);
        let in_roles = !library::is_path(request) || directory.is_some_and(|name| name == "roles");
        let stem = Path::new(request).file_stem().unwrap_or_default().to_string_lossy();
        let role = Rc::new(RoleFile::read(root, &stem, in_roles, name, home, reader.mistakes));
        self.by_request.insert(request.to_owned(), Rc::clone(&role));
        self.order.push((identity.clone(), Rc::clone(&role)));
        for include in &role.includes {
            reader.way.push((identity.clone(), include.place));
            self.add(&include.role, Some(include.place), reader);
            reader.way.pop();
        }
    }

    /// The mistake of a role that includes one of those around it.
    fn circle(&self, identity: &Path, way: &[(PathBuf, Place)]) -> Diagnostics {
        let Some(start) = way.iter().position(|(outer, _)| outer == identity) else {
            return Diagnostics::default();
        };
        let name = |path: &Path| {
            let role = self.order.iter().find(|(other, _)| other == path);
            role.map_or("?", |(_, role)| role.name.as_str())
        };
        let circle = &way[start..];
        let names: Vec<_> = circle.iter().map(|(path, _)| name(path)).collect();
        let message = format!("roles include each other: {} → {}", names.join(" → "), name(identity));
        let places: Vec<_> = circle.iter().map(|(_, place)| *place).collect();
        let Some((last, others)) = places.split_last() else {
            return Diagnostics::default();
        };
        let notes = others.iter().zip(&names[1..]);
        notes
            .fold(Diagnostic::at(*last, message), |diagnostic, (place, name)| {
                diagnostic.note(*place, format!("{name} is included here"))
            })
            .into()
    }
}
