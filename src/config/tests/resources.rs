//! Resources as a role declares them: the keys beside the kind, repetition, alternatives.

use super::Site;

/// The hint of a resource that misses something can be pasted as it is.
#[test]
fn an_example_in_a_hint_is_yaml_on_one_line() {
    for kind in crate::resource::KINDS {
        let errors = Site::role(&format!("resources:\n  - {}: {{}}\n", kind.name)).errors();
        let example = errors
            .split_once("for example ")
            .and_then(|(_, rest)| rest.lines().next());
        let example = example.unwrap_or_else(|| panic!("{errors}")).trim_end_matches(')');
        let source = "templates/app.conf.hbs";
        let role = format!("resources:\n  - {example}\n");
        let loaded = Site::role(&role).file(source, "").load();
        if let Err(failure) = loaded {
            let said = super::plain(&failure);
            assert!(said.contains("there is no '"), "{role}{said}");
        }
    }
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
    assert_eq!(second.protect, Some(true));
    assert_eq!(
        skipped.skipped.as_deref(),
        Some("when ${inputs.owner != null} is false")
    );
    assert_eq!(loaded.roles[0].description.as_deref(), Some("Directories."));
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
