//! The role language as a whole: roles in, declarations or messages out.

mod beside;
mod budgets;
mod expressions;
mod laws;
mod layers;
mod placeholders;
mod resources;
mod roles;
mod types;
mod wrong;

use std::{fmt::Write as _, fs::File, io::Write, path::Path};

use super::*;

/// A directory with role files and what lies beside them.
struct Site {
    directory: tempfile::TempDir,
    vars_files: Vec<String>,
    environment: Vec<(String, String)>,
    set: Vec<String>,
    samples: bool,
}

impl Site {
    /// A site whose only role, `demo`, is this.
    fn role(text: &str) -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
            vars_files: Vec::new(),
            environment: Vec::new(),
            set: Vec::new(),
            samples: false,
        }
        .file("roles/demo.yml", text)
    }

    fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.directory.path().join(path);
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new()
            .recursive(true)
            .create(parent)
            .expect("a directory can be made");
        let mut file = File::create(path).expect("a file can be made");
        file.write_all(text.as_ref()).expect("a file can be written");
        self
    }

    fn set(mut self, text: &str) -> Self {
        self.set.push(text.to_owned());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn vars(mut self, name: &str, text: &str) -> Self {
        self.vars_files.push(name.to_owned());
        self.file(name, text)
    }

    fn samples(mut self) -> Self {
        self.samples = true;
        self
    }

    fn load_roles(&self, roles: &[&str]) -> Result<Loaded, Failure> {
        let root = self.directory.path();
        load(&Request {
            roles_directories: vec![root.join("roles")],
            vars_directory: Some(root.join("vars.d")),
            vars_files: self.vars_files.iter().map(|name| root.join(name)).collect(),
            environment: self.environment.clone(),
            set: self.set.clone(),
            samples: self.samples,
            ..Request::new(roles.iter().copied(), &SampleFacts)
        })
    }

    fn load(&self) -> Result<Loaded, Failure> {
        self.load_roles(&["demo"])
    }

    #[track_caller]
    fn ids(&self) -> Vec<String> {
        match self.load() {
            Ok(loaded) => loaded.declarations.iter().map(|d| d.id.to_string()).collect(),
            Err(failure) => panic!("{}", self.plain(&failure)),
        }
    }

    #[track_caller]
    fn errors(&self) -> String {
        match self.load() {
            Ok(loaded) => panic!("no mistake in {:#?}", loaded.declarations),
            Err(failure) => self.plain(&failure),
        }
    }

    /// `file:line:col: message (hint)`, a line each.
    fn plain(&self, failure: &Failure) -> String {
        let root = format!("{}/", self.directory.path().display());
        plain(failure).replace(&root, "")
    }
}

fn plain(failure: &Failure) -> String {
    let mut text = String::new();
    for diagnostic in &failure.diagnostics.0 {
        if let Some(place) = diagnostic.place {
            let whole = failure.sources.text(place.file);
            assert!(
                whole.get(place.range()).is_some(),
                "{diagnostic:?} does not stand in {whole:?}"
            );
            let _ = write!(text, "{}: ", failure.sources.locate(place));
        }
        let hint = diagnostic
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!(" ({hint})"));
        let _ = writeln!(text, "{}{hint}", diagnostic.message);
        for (place, note) in &diagnostic.notes {
            let _ = writeln!(text, "  {}: {note}", failure.sources.locate(*place));
        }
    }
    text
}
