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

#[test]
fn what_is_computed_from_a_secret_is_one() {
    use crate::value::secret::redact;
    let site = Site::role(
        r#"
inputs:
  token: { type: string, secret: true }
  users: { type: map of string, secret: true }
  plain: { type: string, default: an-open-value }
vars:
  up: "${inputs.token.upperAscii()}"
  parts: "${inputs.token.split('-')}"
  again: "${vars.parts[0] + '/' + vars.parts[1]}"
  by_index: "${inputs['token'] + '+1'}"
  mode: '${inputs.token == null ? "0644" : "0600"}'
  either: "${inputs.token != null ? inputs.plain : inputs.token}"
includes:
  - role: other
    inputs: { given: "${inputs.token}" }
resources:
  - file: { path: "/a", content: "${each.value.lowerAscii()}", mode: "${vars.mode}" }
    for_each: ${inputs.users}
"#,
    )
    .file(
        "roles/other.yml",
        "role: other\ninputs: { given: string, mine: { type: string, default: \"${inputs.given.replace('-', '_')}\" } }\n\
         vars: { last: \"${inputs.mine + '!'}\" }\nresources: []\n",
    )
    .vars("v.yml", "token: Fifty-Horses\nusers: { alice: Red-Barn-7 }\nother.mine:\n");
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    for derived in [
        "FIFTY-HORSES",
        "Fifty",
        "Horses",
        "Fifty/Horses",
        "Fifty-Horses+1",
        "Fifty_Horses",
        "Fifty_Horses!",
        "red-barn-7",
    ] {
        assert_eq!(redact(derived), "‹secret›", "{derived}");
    }
    for open in ["0600", "an-open-value", "alice"] {
        assert_eq!(redact(open), open, "it says nothing of the secret");
    }
    let secret = |name: &str| {
        loaded
            .values
            .iter()
            .find(|value| value.name == name)
            .map(|value| value.secret)
    };
    assert_eq!(
        (secret("given"), secret("mine"), secret("plain")),
        (Some(true), Some(true), Some(false))
    );
}

#[test]
fn an_expression_that_fails_does_not_quote_a_secret() {
    let errors = |expression: &str| {
        Site::role(&format!(
            "inputs: {{ token: {{ type: string, secret: true }} }}\nresources: [ {{ directory: \"${{{expression}}}\" }} ]\n"
        ))
        .set("token=Sixty-Geese")
        .errors()
        .to_lowercase()
    };
    for expression in [
        "{'a': '/a'}[inputs.token.lowerAscii()]",
        "string(int(inputs.token.upperAscii()))",
        "string(timestamp(inputs.token.upperAscii()))",
        "inputs.token.lowerAscii().split('')[99]",
        "inputs.token.lowerAscii().nothing",
    ] {
        assert!(
            !errors(expression).contains("sixty-geese"),
            "{expression}: {}",
            errors(expression)
        );
    }
}

#[test]
fn a_message_that_is_cut_holds_no_half_of_a_secret() {
    let secret = "a-long-secret-of-".repeat(4);
    let site = Site::role("inputs: { pin: { type: int, secret: true } }\nresources: []\n");
    let errors = site.set(&format!("pin={secret}")).errors();
    assert!(errors.contains("the text '‹secret›' stands here"), "{errors}");
}
