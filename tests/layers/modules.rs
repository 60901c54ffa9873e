//! The modules of a crate, and which of them each names: read from its files, with names followed through re-exports to the module that has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{Item, UseTree, visit::Visit};

/// A path in the source, split at `::`.
type Segments = Vec<String>;

/// Module names of one crate; a module is named from the crate's root: `config::yaml`. The root itself has an empty name.
#[derive(Debug)]
pub(super) struct Modules {
    files: BTreeMap<String, File>,
}

/// What a file says about others.
#[derive(Debug, Default)]
struct File {
    /// Paths that it names, from the crate's root.
    paths: BTreeSet<Segments>,
    /// Names that it takes from elsewhere, which others may take from it.
    imports: BTreeMap<String, Segments>,
}

impl Modules {
    /// Reads the modules below a directory. Tests are left out.
    pub(super) fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                if matches!(&*name, "tests" | "fixtures" | "fuzzing" | "main") {
                    continue;
                }
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let module = module(path.strip_prefix(root).unwrap());
                    files.insert(module, path);
                }
            }
        }
        let names: BTreeSet<String> = files.keys().cloned().collect();
        let read = |(module, path): (String, std::path::PathBuf)| {
            let parsed = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut reader = Reader {
                module: segments(&module),
                modules: &names,
                file: File::default(),
                handing_on: false,
            };
            reader.visit_file(&parsed);
            (module, reader.file)
        };
        Self {
            files: files.into_iter().map(read).collect(),
        }
    }

    /// Returns, for each module, the others whose names it uses.
    pub(super) fn arrows(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let named = |(module, file): (&'_ String, &File)| {
            let owners = file.paths.iter().map(|path| self.owner(path.clone()));
            let others = owners.filter(|owner| !owner.is_empty() && owner != module);
            let others: BTreeSet<String> = others.collect();
            (module.clone(), others)
        };
        let all: Vec<(String, BTreeSet<String>)> = self.files.iter().map(named).collect();
        let key = |name: &str| self.files.get_key_value(name).unwrap().0.as_str();
        let keys = |names: BTreeSet<String>| names.iter().map(|name| key(name)).collect();
        all.into_iter()
            .map(|(module, others)| (key(&module), keys(others)))
            .collect()
    }

    /// The module that a path leads to, behind re-exports.
    fn owner(&self, mut path: Segments) -> String {
        for _ in 0..20 {
            let depth = (0..=path.len())
                .rev()
                .find(|depth| self.files.contains_key(&path[..*depth].join("::")));
            let depth = depth.unwrap_or(0);
            let module = path[..depth].join("::");
            let Some(file) = self.files.get(&module) else {
                return module;
            };
            match path.get(depth).and_then(|name| file.imports.get(name)) {
                Some(from) if *from != path => {
                    path = from.iter().chain(&path[depth + 1..]).cloned().collect();
                }
                _ => return module,
            }
        }
        panic!("{} is taken from itself", path.join("::"));
    }
}

/// `config/yaml/mod.rs` is `config::yaml`.
fn module(path: &Path) -> String {
    let path = path.with_extension("");
    let mut parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    if matches!(parts.last(), Some(&"mod" | &"lib")) {
        parts.pop();
    }
    parts.join("::")
}

fn segments(module: &str) -> Segments {
    module
        .split("::")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads one file.
struct Reader<'a> {
    module: Segments,
    modules: &'a BTreeSet<String>,
    file: File,
    /// Whether names are only handed on, which is no use of them.
    handing_on: bool,
}

impl Reader<'_> {
    /// The path from the crate's root; `None` where it leads to another crate, or to a name of the file itself.
    fn resolve(&self, path: &[String]) -> Option<Segments> {
        let mut at = self.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {}
            child => {
                at.push(child.to_owned());
                return self
                    .modules
                    .contains(&at.join("::"))
                    .then(|| [at, path[1..].to_vec()].concat());
            }
        }
        while rest.first().is_some_and(|part| part == "super") {
            at.pop();
            rest = &rest[1..];
        }
        Some([at, rest.to_vec()].concat())
    }

    fn take(&mut self, tree: &UseTree, before: &Segments) {
        let with = |name: &syn::Ident| [before.clone(), vec![name.to_string()]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.take(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.take(tree, before);
                }
                return;
            }
            UseTree::Name(name) if name.ident == "self" => (before.clone(), before.last().cloned()),
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(rename) if rename.ident == "self" => (before.clone(), Some(rename.rename.to_string())),
            UseTree::Rename(rename) => (with(&rename.ident), Some(rename.rename.to_string())),
            UseTree::Glob(_) => (before.clone(), None),
        };
        if let Some(path) = self.resolve(&path) {
            if let Some(name) = name {
                self.file.imports.insert(name, path.clone());
            }
            if !self.handing_on {
                self.file.paths.insert(path);
            }
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        match item {
            Item::Use(item) => {
                self.handing_on = !matches!(item.vis, syn::Visibility::Inherited);
                self.take(&item.tree, &Segments::new());
            }
            Item::Mod(item) if item.attrs.iter().any(is_of_tests) => {}
            item => syn::visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Segments = path.segments.iter().map(|part| part.ident.to_string()).collect();
        // A name that was taken from elsewhere, and something of it: the arrow is that of the name.
        if parts.len() > 1
            && let Some(path) = self.resolve(&parts)
        {
            self.file.paths.insert(path);
        }
        syn::visit::visit_path(self, path);
    }
}

fn is_of_tests(attribute: &syn::Attribute) -> bool {
    let text = match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
        _ => return false,
    };
    text.contains("test") || text.contains("fuzzing")
}
