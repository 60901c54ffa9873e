//! What lies beside a role: files, trees, templates.

use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::Site;
use crate::{
    config::{
        library::{Library, Whose},
        placeholders::Placeholders,
        role::RoleFile,
        role_context::{RoleContext, Wrong},
        scope::{Each, FactTable, Scope, Values},
        secrets::Secrets,
        templates::Templates,
        yaml,
    },
    resource::Role,
    source::{Diagnostics, Place, Sources},
    system::facts::SampleFacts,
};

/// Calls a function with the context that a resource of the site's role gets.
fn with_context<T>(site: &Site, call: impl FnOnce(&dyn Role) -> T) -> T {
    let mut sources = Sources::default();
    let library = Library::new(&[site.directory.path().join("roles")], Whose::Trusted);
    let found = library
        .find("demo")
        .expect("roles can be read")
        .expect("the role is there");
    let file = sources.add(found.name.clone(), found.text.clone());
    let root = yaml::parse(file, &found.text).expect("the role is YAML");
    let mut mistakes = Diagnostics::default();
    let role = Rc::new(RoleFile::read(
        root,
        "demo",
        true,
        found.name,
        found.home,
        &mut mistakes,
    ));
    let map = |value: Value| value.as_object().cloned().unwrap_or_default();
    let inputs: Values = map(json!({"size": "1GiB", "none": null, "list": ["a", "b"], "port": 3306}));
    let vars: Values = map(json!({"flavour": "mariadb", "nested": {"x": true, "y": null}}));
    let each = Each {
        key: 0.into(),
        value: "first".into(),
        placeholder: false,
        secret: false,
    };
    let facts = FactTable::new(&SampleFacts);
    let scope = Scope {
        file: &role,
        role: &json!({"name": "demo"}),
        inputs: &inputs,
        vars: &vars,
        facts: &facts,
        each: Some(&each),
        placeholders: &Placeholders::default(),
        secrets: &Secrets::default(),
    };
    let templates = Templates::default();
    call(&RoleContext::new(&role, scope, &templates, false))
}

fn render(text: &str, vars: &Value) -> Result<String, String> {
    let site = Site::role("role: demo").file("templates/t.hbs", text);
    with_context(&site, |role| {
        let vars = vars.as_object().cloned().unwrap_or_default();
        role.render("t.hbs", &vars).map_err(|error| {
            let wrong = error.downcast_ref::<Wrong>().unwrap_or_else(|| panic!("{error:#}"));
            let mut sources = Sources::default();
            let property = Place::new(sources.add("demo.yml", "source: t.hbs"), 8..13);
            let diagnostic = wrong.diagnostic(property, &mut sources);
            let place = diagnostic.place.expect("a template's mistake has a place");
            let located = sources.locate(place);
            format!(
                "{} '{}': {} ({})",
                located.rsplit('/').next().unwrap_or_default(),
                &sources.text(place.file)[place.range()],
                diagnostic.message,
                diagnostic.hint.map(|hint| hint.to_string()).unwrap_or_default()
            )
        })
    })
}

#[test]
fn templates_see_the_role_and_their_own_vars_on_top() {
    let cases = [
        (
            "{{inputs.size}} {{vars.flavour}} {{facts.os.id}} {{each.value}} {{role.name}} {{own}}",
            "1GiB mariadb debian first demo <x>",
        ),
        (
            "{{#each inputs.list}}{{this}}{{#unless @last}},{{/unless}}{{/each}}",
            "a,b",
        ),
        ("{{join inputs.list \" \"}}", "a b"),
        ("{{#if (eq vars.flavour \"mariadb\")}}yes{{else}}no{{/if}}", "yes"),
        ("{{#if inputs.none}}yes{{else}}no{{/if}}", "no"),
        (
            "{{#if vars.nested.x}}yes{{/if}}{{#unless vars.nested.y}}no{{/unless}}",
            "yesno",
        ),
        ("port = {{inputs.port}}\n", "port = 3306\n"),
        ("{{json vars.nested.x}}", "true"),
        ("{{#with facts}}{{os.id}}{{/with}}", "debian"),
        ("{{lookup facts \"arch\"}}", "x86_64"),
        ("{{#each inputs.list as |x|}}{{@index}}{{x}}{{/each}}", "0a1b"),
        ("{{{own}}} & \"quotes\"", "<x> & \"quotes\""),
        // What a comment holds is no tag.
        ("{{!-- {{inputs.nothing}} {{#each --}}{{own}}", "<x>"),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text, &json!({"own": "<x>"})).as_deref(), Ok(expected), "{text}");
    }
    assert_eq!(render("{{inputs}}", &json!({"inputs": "mine"})).as_deref(), Ok("mine"));
}

#[test]
fn what_is_wrong_in_a_template_has_its_place() {
    let wrong = [
        "a\n  {{inputs.sise}}\n",
        "{{nothing}}",
        "a {{inputs.none}} b",
        "{{#each inputs.lst}}x{{/each}}",
        "{{#if (eq vars.flavor \"x\")}}x{{/if}}",
        "{{facts.os.idd}}",
        "{{facts.hostnam}}",
        "line\n{{#if inputs.size}}never closed",
        "{{#if}}x{{/if}}",
        "{{nope inputs.size}}",
        "{{inputs.size",
        "{{inputs.list}}",
        "{{{vars}}}",
        "a {{role}}",
        "{{#each vars}}{{this}}{{/each}}",
        "{{#with vars}}{{nested}}{{/with}}",
        "{{#if inputs.none}}{{else}}{{inputs.list}}{{/if}}",
        "{{#if inputs.size}}\nnever closed\n",
        "{{#each inputs.list}}{{#if this}}x{{/if}}\n\n",
        "{{#if inputs.size}}x{{/each}}",
        "é {{inputs.sise}}",
        "{{> other}}",
        "{{#if inputs.sise}}x{{/if}}",
        "{{#if vars.nested.y}}{{vars.flavor}}{{/if}}",
        "{{! inputs.nothing }}{{#if (eq \"inputs.nothing\" inputs.port)}}{{/if}}\\{{inputs.nothing}}",
    ];
    let said: Vec<_> = wrong
        .iter()
        .map(|text| match render(text, &json!({})) {
            Ok(rendered) => format!("{text:?}\n  rendered: {rendered:?}"),
            Err(error) => format!("{text:?}\n  {error}"),
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn files_lie_below_their_directory() {
    let site = Site::role("role: demo")
        .file("files/motd", "hello")
        .file("files/tree/b", "b")
        .file("files/tree/sub/a", [0xff])
        .file("secret", "no");
    let text =
        |result: anyhow::Result<crate::system::Bytes>| result.map(|bytes| bytes.to_vec()).map_err(|e| e.to_string());
    with_context(&site, |role| {
        assert_eq!(text(role.file("motd")), Ok(b"hello".to_vec()));
        assert_eq!(text(role.file("tree/sub/a")), Ok(vec![0xff]));
        assert_eq!(role.tree("tree").expect("it is there"), ["b", "sub/a"]);
        assert_eq!(role.tree("tree/").expect("it is there"), ["b", "sub/a"]);
        let outside = site.directory.path().join("secret");
        assert_eq!(text(role.file(&outside.display().to_string())), Ok(b"no".to_vec()));
        for wrong in [
            "../secret",
            "tree/../../secret",
            "./motd",
            "tree//b",
            "",
            "nothing",
            "/nowhere/at/all",
        ] {
            assert!(role.file(wrong).is_err(), "{wrong}");
        }
        for wrong in ["nothing", "motd", ".."] {
            assert!(role.tree(wrong).is_err(), "{wrong}");
        }
        let hint = |error: anyhow::Error| match error.downcast::<Wrong>() {
            Ok(Wrong::Source { hint, .. }) => hint,
            other => panic!("{other:?}"),
        };
        let error = role.file("motdd").expect_err("it is not there");
        assert_eq!(hint(error).as_deref(), Some("did you mean 'motd'?"));
        assert!(role.render("motd", &Map::new()).is_err(), "a file is not a template");
        let error = role.render("/etc/passwd", &Map::new()).expect_err("it is elsewhere");
        assert!(error.to_string().contains("without '/' in front"), "{error}");
    });
}

#[test]
fn a_role_of_the_binary_has_its_templates_with_it() {
    static FILES: &[(&str, &[u8])] = &[
        ("roles/demo.yml", b"role: demo\n"),
        ("templates/t.hbs", b"x"),
        ("files/tree/a", b"a"),
        ("files/tree/b/c", b"c"),
    ];
    let found = Library::with_bundled(&[], FILES, Whose::Trusted)
        .find("demo")
        .expect("roles can be read")
        .expect("it is built in");
    assert_eq!(found.name, "builtin:roles/demo.yml");
    let read = |directory, name| {
        found
            .home
            .read(directory, name)
            .expect("it can be read")
            .map(|(_, bytes)| bytes.to_vec())
    };
    assert_eq!(read("templates", "t.hbs"), Some(b"x".to_vec()));
    assert_eq!(read("templates", "no.hbs"), None);
    let tree = found.home.tree("files", "tree").expect("it can be listed");
    assert_eq!(tree.as_deref(), Some(&["a".to_owned(), "b/c".to_owned()][..]));
    assert_eq!(found.home.tree("files", "none").expect("it can be listed"), None);
}
