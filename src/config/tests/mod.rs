//! The role language as a whole: roles in, declarations or messages out.

mod beside;
mod laws;
mod types;

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
    // A new kind touches no snapshot.
    settings.add_filter(r"there are: package, [^)]*", "there are: KINDS");
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

#[test]
fn several_roles_share_a_run() {
    let site =
        Site::role("inputs: { size: { type: int, default: 1 } }\nresources: [ { directory: '/demo/${inputs.size}' } ]")
            .file(
                "roles/other.yml",
                "inputs: { size: { type: int, default: 2 } }\nresources: [ { directory: '/other/${inputs.size}' } ]",
            )
            .file("roles/elsewhere.yml", "inputs: { x: int }");
    let ids = |site: &Site, roles: &[&str]| match site.load_roles(roles) {
        Ok(loaded) => loaded
            .declarations
            .iter()
            .map(|d| d.id.name().to_owned())
            .collect::<Vec<_>>(),
        Err(failure) => panic!("{}", site.plain(&failure)),
    };
    assert_eq!(ids(&site, &["other", "demo"]), ["/other/2", "/demo/1"]);
    assert_eq!(ids(&site, &["demo", "demo"]), ["/demo/1"], "asked for twice is once");
    // A name without a scope is everyone's, one with a scope the role's; a role outside the run is left alone.
    let site = site.vars("site.yml", "size: 5\nother.size: 6\nelsewhere: { x: 1 }\n");
    assert_eq!(ids(&site, &["other", "demo"]), ["/other/6", "/demo/5"]);
}

#[test]
fn includes_come_first_with_their_inputs() {
    let site = Site::role(
        r#"
inputs: { servers: { type: list of host, default: [a, b] }, mirror: { type: host, optional: true } }
includes:
  - role: client
    for_each: ${inputs.servers}
    inputs: { server: "${each.value}", port: "${each.key + 1}" }
  - role: client
    inputs: { server: a, port: 1 }
  - role: client
    when: ${inputs.mirror != null}
    inputs: { server: "${inputs.mirror}", port: 9 }
resources:
  - directory: /own
    needs: [directory:/client/a/1]
"#,
    )
    .file(
        "roles/client.yml",
        "inputs: { server: host, port: int }\nresources: [ { directory: '/client/${inputs.server}/${inputs.port}' } ]",
    );
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    let shown: Vec<_> = loaded
        .declarations
        .iter()
        .map(|d| (d.id.name(), d.skipped.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("/client/a/1", None),
            ("/client/b/2", None),
            (
                "/client/mirror.example.org/9",
                Some("role client is left out: when ${inputs.mirror != null} is false")
            ),
            ("/own", None),
        ]
    );
}

#[test]
fn of_alternatives_the_one_that_is_in_is_kept() {
    let site = Site::role(
        "resources:\n  - directory: /a\n    when: ${facts.cpus > 100}\n  - directory: { path: /a, mode: \"0700\" }\n    when: ${facts.cpus <= 100}\n  - directory: /b\n    when: false\n  - directory: /b\n    when: false\n",
    );
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    let shown: Vec<_> = loaded
        .declarations
        .iter()
        .map(|d| (d.id.name(), d.skipped.is_some()))
        .collect();
    assert_eq!(shown, [("/a", false), ("/b", true)]);
    assert_eq!(
        Site::role("resources: [ { directory: /a }, { directory: /a } ]")
            .ids()
            .len(),
        2,
        "the graph refuses it"
    );
}

#[test]
fn for_each_takes_maps_and_lists() {
    let site = Site::role(
        r#"
vars: { shares: { data: { mode: "0750" }, logs: { mode: "0700" } } }
resources:
  - directory: { path: "/srv/${each.key}", mode: "${each.value.mode}" }
    for_each: ${vars.shares}
    id: share-${each.key}
  - directory: "/n/${each.key}/${each.value}"
    for_each: "${['x', 'y'].filter(n, n != 'x')}"
  - directory: "/m/${each.value}"
    for_each: ["${facts.hostname}", b]
  - directory: "/none/${each.value}"
    for_each: []
"#,
    );
    assert_eq!(
        site.ids(),
        [
            "directory:share-data",
            "directory:share-logs",
            "directory:/n/0/y",
            "directory:/m/node",
            "directory:/m/b"
        ]
    );
}

#[test]
fn expressions_keep_types_and_render_in_text() {
    let site = Site::role(
        r#"
inputs: { n: { type: int, default: 3 }, on: { type: bool, default: true }, none: { type: int, optional: true } }
vars:
  list: "${[1, inputs.n]}"
  text: n=${inputs.n} on=${inputs.on} $${kept} ${vars.list.map(i, string(i)).join('-')} ${'}'}
  nested: { a: ["${inputs.n * 2}"], b: "${inputs.none}", "k-${inputs.n}": 1 }
  default: "${inputs.none != null ? inputs.none : 7}"
  size: "${size(vars.list)}"
  sorted: "${['b', 'a'].sort()}"
  matched: "${'db12'.matches('^db[0-9]+$')}"
resources:
  - directory: /${vars.text}
  - directory: "/${vars.nested.a[0]}/${vars.default}/${vars.size}/${vars.nested['k-3']}/${vars.sorted[0]}/${vars.matched}"
"#,
    );
    assert_eq!(
        site.ids(),
        ["directory:/n=3 on=true ${kept} 1-3 }", "directory:/6/7/2/1/a/true"]
    );
}

#[test]
fn a_property_whose_value_is_null_is_not_given() {
    let role = r#"
inputs: { owner: { type: string, optional: true } }
resources:
  - directory: { path: /srv, owner: "${inputs.owner}", mode: null }
"#;
    let loaded = Site::role(role).load().expect("an optional property may be null");
    let shown = format!("{:?}", loaded.declarations[0].resource);
    assert!(shown.contains("owner: None") && shown.contains("mode: None"), "{shown}");
}

#[test]
fn a_null_in_a_weaker_or_stronger_layer_gives_nothing() {
    let role = "inputs: { a: { type: int, default: 1 } }\nresources: [ { directory: '/${inputs.a}' } ]\n";
    assert_eq!(
        Site::role(role).vars("a.yml", "a: 2").vars("b.yml", "a:").ids(),
        ["directory:/2"]
    );
}

#[test]
fn texts_of_arguments_are_texts() {
    let role = "inputs: { v: string, m: mode, l: list of string }\nresources: [ { directory: '/${inputs.v}/${inputs.m}/${inputs.l[0]}' } ]\n";
    let site = Site::role(role).set("v=1.10").env("m", "0644").set("l=[\"a: b\"]");
    assert_eq!(site.ids(), ["directory:/1.10/0644/a: b"]);
    // In a file a number is a number.
    let errors = Site::role(role).vars("v.yml", "v: 1.10\nm: 0644\nl: [x]\n").errors();
    assert!(errors.contains("v.yml:1:4") && errors.contains("v.yml:2:4"), "{errors}");
}

#[test]
fn roles_are_checked_without_values() {
    let role = r#"
inputs: { device: device, server: { type: host, secret: true }, names: list of string, flag: { type: string, optional: true } }
resources:
  - directory: "/mnt/${inputs.server}"
  - directory: "/x/${each.value}"
    for_each: ${inputs.names}
  - directory: "/flag/${inputs.flag}"
    when: ${inputs.flag != null}
"#;
    assert!(Site::role(role).load().is_err());
    assert_eq!(
        Site::role(role).samples().ids(),
        [
            "directory:/mnt/server.example.org",
            "directory:/x/names",
            "directory:/flag/flag"
        ]
    );
    // What is left out is read all the same.
    let wrong = role.replace(
        "\"/flag/${inputs.flag}\"",
        "{ path: \"/flag/${inputs.flag}\", mode: 755 }",
    );
    assert!(Site::role(&wrong).samples().errors().contains("quote it"));
}

#[test]
fn secrets_of_every_layer_are_known_before_anything_is_said() {
    use crate::value::secret::redact;
    let role = r#"
inputs:
  one: { type: string, secret: true, default: secret-one }
  two: { type: map of string, secret: true }
  three: { type: int, secret: true }
resources: [ { directory: "${inputs.three}" } ]
"#;
    let site = Site::role(role)
        .vars("v.yml", "one: secret-two\ntwo: { a: secret-three }\n")
        .env("one", "secret-four")
        .set("three=secret-five");
    let errors = site.errors();
    assert!(redact(&errors).contains("‹secret›"), "{errors}");
    for known in ["secret-one", "secret-two", "secret-three", "secret-four", "secret-five"] {
        assert_eq!(redact(known), "‹secret›", "{known}");
    }
}

#[test]
fn roles_that_are_not_there() {
    let site = Site::role("resources: []");
    let failure = site
        .load_roles(&["dmo", "nowhere/x.yml", "no-such-thing-at-all"])
        .expect_err("there are none");
    insta::assert_snapshot!(
        site.plain(&failure)
            .replace(&site.directory.path().display().to_string(), "SITE")
    );
    let failure = load(&Request::new(Vec::<String>::new(), &SampleFacts)).expect_err("none is asked for");
    assert_eq!(plain(&failure), "no role is asked for (name one: --role NAME)\n");
}

#[test]
fn facts_are_read_once_and_only_if_asked_for() {
    struct Counting(std::sync::Mutex<Vec<String>>);
    impl Facts for Counting {
        fn get(&self, name: &str) -> anyhow::Result<Value> {
            self.0.lock().expect("nobody panicked").push(name.to_owned());
            anyhow::ensure!(name != "memory", "it is away");
            SampleFacts.get(name)
        }
    }
    let site = Site::role(
        "resources:\n  - directory: /${facts.os.id}\n  - directory: \"/${facts.os.id + facts.arch}\"\n    when: ${facts.memory > 1}\n",
    );
    let facts = Counting(std::sync::Mutex::default());
    let failure = load(&Request {
        roles_directories: vec![site.directory.path().join("roles")],
        ..Request::new(["demo"], &facts)
    })
    .expect_err("a fact fails");
    assert!(
        plain(&failure).contains("the fact 'memory' cannot be read: it is away"),
        "{}",
        plain(&failure)
    );
    assert_eq!(*facts.0.lock().expect("nobody panicked"), ["os", "memory", "arch"]);
}

#[test]
fn what_is_made_up_makes_no_mistakes() {
    let role = r#"
inputs:
  name: string
  size: { type: string, optional: true }
  schedule: { type: string, optional: true }
  shares: map of string
  disks: { type: list of string, optional: true }
vars:
  upper: "${inputs.name.upperAscii()}"
  device: "${inputs.size != null ? inputs.size : null}"
resources:
  - directory: { path: "${inputs.name}", mode: "${inputs.name}" }
    needs: ["directory:${inputs.name}", directory:/literal]
  - directory: { path: "/${inputs.shares.data}/${int(inputs.name)}" }
  - directory: { path: "/share/${each.value}", mode: "${each.value}" }
    for_each: ${inputs.shares}
  - logical_volume: { name: data, volume_group: vg, size: "${inputs.size}" }
    when: ${inputs.size != null}
    notify: ["directory:${inputs.size}"]
  - logical_volume: { name: more, volume_group: vg, size: "${vars.device}" }
    when: ${inputs.size != null}
  - cron: { name: job, schedule: "${inputs.schedule}", command: "true" }
    when: ${inputs.schedule != null}
  - filesystem: { device: "/dev/vg/data", type: "${inputs.size}" }
    when: ${inputs.size != null}
  - directory: { path: "/disk", mode: "${inputs.disks[3]}" }
    when: ${inputs.disks != null && size(inputs.disks) > 3}
  - directory: /literal
"#;
    let site = Site::role(role).samples();
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    let shown: Vec<_> = loaded
        .declarations
        .iter()
        .map(|d| (d.id.as_str(), d.skipped.is_some()))
        .collect();
    assert_eq!(
        shown,
        [
            ("directory:/example/319", false),
            ("directory:/example/445", false),
            ("directory:/share/shares", false),
            ("logical_volume:vg/data", true),
            ("logical_volume:vg/more", true),
            ("cron:job", true),
            ("filesystem:/dev/vg/data", true),
            ("directory:/disk", true),
            ("directory:/literal", false),
        ]
    );
    assert_eq!(loaded.declarations[0].needs.len(), 1, "what is made up names nothing");
    // With values the same resources are left out, and what is given is held to its type.
    let site = Site::role(role).set("name=x").set("shares={data: y}");
    assert_eq!(
        site.errors(),
        "roles/demo.yml:12:24: 'x' is not an absolute path: start it with /\nroles/demo.yml:12:48: 'x' is not a mode: write three or four octal digits in quotes, as in \"0644\"\nroles/demo.yml:14:50: int(): string parse error: invalid digit found in string\nroles/demo.yml:15:54: 'y' is not a mode: write three or four octal digits in quotes, as in \"0644\"\n"
    );
    // Mistakes that no value would mend are said all the same, and one wrong value makes no others.
    let wrong = role
        .replace("type: \"${inputs.size}\"", "tipe: \"${inputs.size}\"")
        .replace("inputs.disks[3]", "inputs.disk[3]");
    let errors = Site::role(&wrong).samples().errors();
    assert!(errors.contains("'tipe'") && errors.contains("'disk'"), "{errors}");
    let site = Site::role(
        "inputs: { port: int, name: string }\nvars: { next: '${inputs.port + 1}' }\nresources: [ { directory: '${inputs.name}/${vars.next}' } ]",
    );
    let errors = site.set("port=many").set("name=/srv").errors();
    assert_eq!(
        errors.lines().filter(|line| !line.starts_with(' ')).count(),
        1,
        "{errors}"
    );
}

/// The guide's roles are right.
#[test]
fn the_guide_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/roles.md");
    let text = crate::system::texts::read(&path)
        .expect("it can be read")
        .expect("it is there");
    let blocks: Vec<_> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 4, "{}", blocks.len());
    for block in blocks {
        let site = Site::role(block)
            .file(
                "roles/backup-client.yml",
                "inputs: { server: host }\nresources: [ { directory: '/mnt/${inputs.server}' } ]",
            )
            .samples();
        let loaded = site
            .load()
            .unwrap_or_else(|failure| panic!("{block}\n{}", site.plain(&failure)));
        assert!(!block.contains("for_each") || loaded.declarations.len() > 1, "{block}");
    }
}
