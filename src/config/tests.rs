//! The role language as a whole: roles in, declarations or messages out.

use std::{fs::File, io::Write, path::Path};

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
            let range = place.range();
            let whole = failure.sources.text(place.file);
            assert!(whole.get(range).is_some(), "{diagnostic:?} does not stand in {whole:?}");
            text.push_str(&format!("{}: ", failure.sources.locate(place)));
        }
        text.push_str(&diagnostic.message);
        if let Some(hint) = &diagnostic.hint {
            text.push_str(&format!(" ({hint})"));
        }
        text.push('\n');
        for (place, note) in &diagnostic.notes {
            text.push_str(&format!("  {}: {note}\n", failure.sources.locate(*place)));
        }
    }
    text
}

#[test]
fn a_whole_role() {
    let site = Site::role(
        r#"
role: demo
description: Directories.
inputs:
  base: { type: path, default: /srv }
  names: { type: list of string }
  owner: { type: string, optional: true }
vars:
  family: '${facts.os.id == "ubuntu" ? "mysql" : "mariadb"}'
resources:
  - directory: { path: "${inputs.base}/${vars.family}", owner: "${inputs.owner}", mode: "0750" }
    notify: ["directory:${inputs.base}/a"]
  - directory: "${inputs.base}/${each.value}"
    for_each: ${inputs.names}
    needs: directory:/srv/mariadb
    retry: { times: 3, delay: 10s }
    timeout: 5m
    protect: true
  - directory: { path: "/home/${inputs.owner}", owner: "${inputs.owner}" }
    when: ${inputs.owner != null}
"#,
    )
    .set("names=[a, b]");
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    let ids: Vec<_> = loaded.declarations.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "directory:/srv/mariadb",
            "directory:/srv/a",
            "directory:/srv/b",
            "directory:/home/owner"
        ]
    );
    let [first, second, _, skipped] = loaded.declarations.as_slice() else {
        panic!("four")
    };
    assert_eq!(first.notify[0].id.as_str(), "directory:/srv/a");
    assert_eq!(
        loaded.sources.locate(first.place).rsplit('/').next(),
        Some("demo.yml:11:5")
    );
    assert_eq!(second.retry.times, 3);
    assert_eq!(second.retry.delay.as_secs(), 10);
    assert_eq!(second.timeout.map(|timeout| timeout.as_secs()), Some(300));
    assert!(second.protect);
    assert_eq!(
        skipped.skipped.as_deref(),
        Some("when ${inputs.owner != null} is false")
    );
    assert_eq!(loaded.roles[0].description.as_deref(), Some("Directories."));
}

#[test]
fn later_layers_win() {
    let role = "inputs: { a: { type: int, default: 1 } }\nresources: [ { directory: '/${inputs.a}' } ]\n";
    let site = Site::role(role);
    assert_eq!(site.ids(), ["directory:/1"]);
    let site = site.file("vars.d/10.yml", "a: 2").file("vars.d/20.yml", "a: 3");
    assert_eq!(site.ids(), ["directory:/3"]);
    let site = site
        .vars("x.yml", "a: 4")
        .vars("y.yml", "demo: { a: 5 }")
        .vars("z.yml", "a: 6");
    assert_eq!(
        site.ids(),
        ["directory:/5"],
        "a value with a scope wins within its layer"
    );
    let site = site.env("a", "7");
    assert_eq!(site.ids(), ["directory:/7"]);
    let site = site.set("a=8").set("demo.a=9");
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    let [explained] = loaded.values.as_slice() else {
        panic!("one input")
    };
    assert_eq!(explained.value, 9);
    let origin = |origin: &Origin| {
        let place = loaded.sources.locate(origin.place);
        format!("{} {:?}", place.rsplit('/').next().unwrap_or_default(), origin.value)
    };
    insta::assert_snapshot!(
        explained
            .overrode
            .iter()
            .chain(&explained.origin)
            .map(origin)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn errors_of_one_resource_come_together() {
    let site = Site::role(
        "resources:\n  - directory: { pth: /srv, mode: 0755, owner: [x] }\n    whn: true\n  - directory:\n  - drectory: /x\n",
    );
    insta::assert_snapshot!(site.errors());
}

/// Every file of `tests/cases/wrong` is a role with mistakes; what is said of it is a snapshot. A first line `# set: NAME=VALUE`
/// is an argument of `--set`, `with/` holds roles to include.
#[test]
fn wrong_roles() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/wrong");
    let names = crate::system::texts::list(&directory).expect("the repository is readable");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let names: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".yml")).collect();
    assert!(names.len() >= 35, "{}", names.len());
    for name in names {
        let path = directory.join(format!("{name}.yml"));
        let text = crate::system::texts::read(&path)
            .expect("a case is readable")
            .unwrap_or_default();
        let failure = load(&Request {
            roles_directories: vec![directory.join("with"), directory.clone()],
            set: text
                .lines()
                .filter_map(|line| line.strip_prefix("# set: "))
                .map(str::to_owned)
                .collect(),
            ..Request::new([path.display().to_string()], &SampleFacts)
        });
        let failure = failure.err().unwrap_or_else(|| panic!("{name}.yml has no mistake"));
        let said = plain(&failure).replace(&format!("{}/", directory.display()), "");
        settings.bind(|| insta::assert_snapshot!(name, said));
    }
}
