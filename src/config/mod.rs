//! The role language: role files and values from outside become declarations, each with its place in the files.
//!
//! `load` reads in this order: the roles asked for and all that they include; the layers of values; then, role by role,
//! inputs, `vars`, includes and resources. It goes on after a mistake, so that all of them are said at once.

mod budget;
mod bundled;
mod counted;
mod de;
mod entry;
mod expression;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guess;
mod hidden;
mod include;
mod input;
mod instance;
mod library;
mod merge;
mod node;
mod placeholders;
mod program;
mod role;
mod role_context;
mod scalar;
mod scope;
mod secrets;
mod settings;
mod templates;
mod yaml;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, path::PathBuf, rc::Rc};

use serde_json::Value;

use crate::{
    graph::{self, Declaration},
    source::{Diagnostic, Diagnostics, Sources},
    value::Id,
};

pub use crate::system::facts::{Facts, NodeFacts, SampleFacts};
pub use input::type_names;
pub use merge::{Explained, Layer, Origin};
pub use settings::{Setting, settings};

/// What to load.
#[derive(Clone)]
pub struct Request<'r> {
    /// Roles by name or path, in the order in which they are converged.
    pub roles: Vec<String>,
    /// Directories that are searched for roles before the usual ones (`--roles-dir`).
    pub roles_directories: Vec<PathBuf>,
    /// The directory whose `*.yml` are read as values, `/etc/glrl/vars.d`; it need not be there.
    pub vars_directory: Option<PathBuf>,
    /// Files of values (`--vars`), weakest first.
    pub vars_files: Vec<PathBuf>,
    /// Variables of the environment that begin with `GLRL_VAR_`, without that.
    pub environment: Vec<(String, String)>,
    /// `name=value` (`--set`), weakest first.
    pub set: Vec<String>,
    /// What is known of the node.
    pub facts: &'r dyn Facts,
    /// Gives inputs that have no value a placeholder of their type, to check roles without a node (`glrl check`).
    pub samples: bool,
}

impl<'r> Request<'r> {
    /// A request for these roles and nothing else.
    pub fn new(roles: impl IntoIterator<Item = impl Into<String>>, facts: &'r dyn Facts) -> Self {
        Self {
            roles: roles.into_iter().map(Into::into).collect(),
            roles_directories: Vec::new(),
            vars_directory: None,
            vars_files: Vec::new(),
            environment: Vec::new(),
            set: Vec::new(),
            facts,
            samples: false,
        }
    }
}

impl Request<'_> {
    /// What is only looked at may be anybody's.
    fn whose(&self) -> library::Whose {
        if self.samples {
            library::Whose::Anybody
        } else {
            library::Whose::Trusted
        }
    }
}

impl fmt::Debug for Request<'_> {
    /// Without the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("roles", &self.roles)
            .field("roles_directories", &self.roles_directories)
            .field("vars_directory", &self.vars_directory)
            .field("vars_files", &self.vars_files)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

/// What was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The texts that places point into.
    pub sources: Sources,
    /// The resources, in the order of the files, those of an included role before its own.
    pub declarations: Vec<Declaration>,
    /// The names of the roles asked for.
    pub asked: Vec<String>,
    /// The roles asked for and those they include.
    pub roles: Vec<RoleInfo>,
    /// Every input of every role in the run, with its value and where that came from.
    pub values: Vec<Explained>,
}

/// What a role says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its file; `builtin:…` for one that is part of the binary.
    pub path: String,
    /// What it takes, in the order of the file.
    pub inputs: Vec<InputInfo>,
}

/// An input of a role.
#[derive(Debug, Clone, PartialEq)]
pub struct InputInfo {
    /// Its name.
    pub name: String,
    /// Its type as a role writes it: `list of host`.
    pub declared: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its default, with expressions as they are written.
    pub default: Option<Value>,
    /// Whether it may be without a value.
    pub optional: bool,
    /// Whether it is never shown.
    pub secret: bool,
}

/// Why nothing was loaded.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The texts that places point into.
    pub sources: Sources,
    /// Every mistake that was found, in the order of the files.
    pub diagnostics: Diagnostics,
}

/// Bytes of stack for loading: lists in lists and expressions are walked by recursion, within bounds that fit in it with
/// room to spare. It is address space; what is not touched is never there.
const STACK: usize = 64 << 20;

/// Loads roles. Nothing of the node is read but the facts that they ask for.
pub fn load(request: &Request<'_>) -> Result<Loaded, Failure> {
    let library = library::Library::new(&request.roles_directories, request.whose());
    deep(|| load_from(&library, request))
}

/// Does something that goes deep.
fn deep<T: Send>(work: impl Fn() -> T + Sync) -> T {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("load".to_owned()).stack_size(STACK);
        match builder.spawn_scoped(scope, &work) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => work(),
        }
    })
}

fn load_from(library: &library::Library, request: &Request<'_>) -> Result<Loaded, Failure> {
    let mut sources = Sources::default();
    let mut mistakes = Diagnostics::default();
    if request.roles.is_empty() {
        mistakes.push(Diagnostic::general("no role is asked for").hint("name one: --role NAME"));
    }
    let roles = include::Roles::read(&request.roles, library, &mut sources, &mut mistakes);
    let are_read = mistakes.0.is_empty();
    let asked: Vec<_> = request.roles.iter().filter_map(|name| roles.get(name)).collect();
    let declared = merge::Declared {
        library,
        inputs: roles
            .all()
            .flat_map(|role| {
                let is_asked = asked.iter().any(|asked| Rc::ptr_eq(asked, role));
                role.inputs
                    .iter()
                    .map(move |input| (role.name.as_str(), input, is_asked))
            })
            .collect(),
    };
    let outside = merge::Outside {
        whose: request.whose(),
        vars_directory: request.vars_directory.as_ref(),
        vars_files: &request.vars_files,
        environment: &request.environment,
        set: &request.set,
    };
    // A role that cannot be read declares nothing, and every value would seem to be undeclared.
    let layers = if are_read {
        merge::Layers::read(&outside, &declared, &mut sources, &mut mistakes)
    } else {
        merge::Layers::read(&outside, &declared, &mut sources, &mut Diagnostics::default())
    };
    let facts = scope::FactTable::new(request.facts);
    let mut work = instance::Work::new(&roles, &layers, &facts, request.samples, sources, mistakes);
    if !are_read {
        work.unread.anything();
    }
    for role in &asked {
        work.asked = role.name.as_str().into();
        work.role(role, true, &[], None);
    }
    let names = asked.iter().map(|role| role.name.clone()).collect();
    let infos = roles.all().map(|role| role.info()).collect();
    let (sources, diagnostics) = (work.sources, work.mistakes);
    if diagnostics.0.is_empty() {
        let mut declarations = one_of_each(work.declarations);
        hidden::rename(&mut declarations, &work.secret_names);
        Ok(Loaded {
            sources,
            declarations,
            asked: names,
            roles: infos,
            values: work.explained,
        })
    } else {
        // What is wrong with the order of what could be read is said along with it.
        let declarations = one_of_each(work.declarations);
        let mut diagnostics = diagnostics;
        diagnostics.extend(graph::mistakes(&declarations, &|id| work.unread.may_have(id)));
        let diagnostics = diagnostics.in_order();
        Err(Failure { sources, diagnostics })
    }
}

/// Of several resources with one name, of which `when` leaves all but one out, that one; a name that is left out
/// everywhere, once. Two that are both in are the graph's to refuse.
fn one_of_each(declarations: Vec<Declaration>) -> Vec<Declaration> {
    let mut wanted: HashMap<Id, usize> = HashMap::new();
    for (index, declaration) in declarations.iter().enumerate() {
        match wanted.get(&declaration.id) {
            Some(first) if declaration.skipped.is_some() || declarations[*first].skipped.is_none() => {}
            _ => drop(wanted.insert(declaration.id.clone(), index)),
        }
    }
    let keep = |(index, declaration): (usize, Declaration)| {
        (declaration.skipped.is_none() || wanted.get(&declaration.id) == Some(&index)).then_some(declaration)
    };
    declarations.into_iter().enumerate().filter_map(keep).collect()
}

impl role::RoleFile {
    fn info(&self) -> RoleInfo {
        RoleInfo {
            name: self.name.clone(),
            description: self.description.clone(),
            path: self.path.clone(),
            inputs: self
                .inputs
                .iter()
                .map(|input| InputInfo {
                    name: input.name.clone(),
                    declared: input.declared.to_string(),
                    description: input.description.clone(),
                    default: input.default.as_ref().and_then(|node| node.to_value().ok()),
                    optional: input.optional,
                    secret: input.secret,
                })
                .collect(),
        }
    }
}
