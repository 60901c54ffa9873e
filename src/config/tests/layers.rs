//! Values of inputs, layer upon layer.

use super::Site;
use crate::config::Origin;

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
