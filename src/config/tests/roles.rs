//! Roles of a run: found by name, asked for together, included, and those of the guide.

use std::path::Path;

use super::{Site, plain};
use crate::config::{Request, SampleFacts, load};

#[test]
fn a_role_is_called_what_its_file_is() {
    let wrong = Site::role("role: other\nresources: []\n").errors();
    assert_eq!(
        wrong,
        "roles/demo.yml:1:7: the role 'other' lies in demo.yml, where nobody finds it by its name (write role: demo, or call the \
         file other.yml)\n"
    );
    let site = Site::role("resources: []\n").file("elsewhere.yml", "role: other\nresources: []\n");
    let path = site.directory.path();
    for (file, is_right) in [("roles/demo.yml", true), ("elsewhere.yml", true)] {
        let path = path.join(file).display().to_string();
        assert_eq!(site.load_roles(&[&path]).is_ok(), is_right, "{file}");
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
        let name = block.lines().find_map(|line| line.strip_prefix("role: "));
        let name = name.unwrap_or_else(|| panic!("no name: {block}"));
        let site = Site::role("resources: []")
            .file(&format!("roles/{name}.yml"), block)
            .file(
                "roles/backup-client.yml",
                "inputs: { server: host }\nresources: [ { directory: '/mnt/${inputs.server}' } ]",
            )
            .samples();
        let loaded = site
            .load_roles(&[name])
            .unwrap_or_else(|failure| panic!("{block}\n{}", site.plain(&failure)));
        assert!(!block.contains("for_each") || loaded.declarations.len() > 1, "{block}");
    }
}
