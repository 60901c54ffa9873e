//! Rust types from nodes: what each accepts, and what is said when it does not.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    config::{de, yaml},
    source::{Place, Sources},
    value::{Mode, Size},
};

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut sources = Sources::default();
    let file = sources.add("x", text);
    let node = yaml::parse(file, &Arc::clone(sources.text(file))).expect("the test is YAML");
    de::read(&node, Place::new(file, 0..0)).map_err(|mistakes| {
        mistakes.0.iter().fold(String::new(), |mut said, mistake| {
            let place = mistake.place.map_or_else(String::new, |place| sources.locate(place));
            let hint = mistake
                .hint
                .as_ref()
                .map_or_else(String::new, |hint| format!(" ({hint})"));
            let _ = writeln!(said, "{place}: {}{hint}", mistake.message);
            said
        })
    })
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Present,
    Absent,
    At(u8),
    Both { from: u8, to: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    name: String,
    #[serde(default)]
    port: u16,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    size: Size,
    mode: Option<Mode>,
    #[serde(default)]
    flags: Vec<bool>,
    #[serde(default)]
    inner: Vec<Inner>,
    #[serde(default)]
    map: BTreeMap<String, Option<i8>>,
    ratio: Option<f32>,
    pair: Option<(String, u8)>,
    state: Option<State>,
    list: Option<OneOrMany>,
    any: Option<serde_json::Value>,
}

#[test]
fn every_shape_is_read() {
    let outer: Outer = read(
        "size: 10GiB\nmode: \"0644\"\nflags: [true, FALSE]\ninner: [{name: a}, {name: b, port: 0x50}]\nmap: {a: -1, b: null, 80: 1}\nratio: 1\npair: [x, 2]\nstate: absent\nlist: [a]\nany: {a: [1, 2.5, null, no, \"1\"]}\n",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outer.flags, [true, false]);
    assert_eq!(outer.inner[1].port, 80);
    assert_eq!(outer.map.len(), 3);
    assert_eq!(outer.map["80"], Some(1));
    assert_eq!(outer.ratio, Some(1.0));
    assert_eq!(outer.pair, Some(("x".to_owned(), 2)));
    assert_eq!(outer.list, Some(OneOrMany::Many(vec!["a".to_owned()])));
    assert_eq!(outer.any, Some(serde_json::json!({"a": [1, 2.5, null, "no", "1"]})));
    assert_eq!(read::<State>("present"), Ok(State::Present));
    assert_eq!(read::<State>("at: 5"), Ok(State::At(5)));
    assert_eq!(
        read::<State>("both: {from: 1, to: 2}"),
        Ok(State::Both { from: 1, to: 2 })
    );
    assert_eq!(read::<OneOrMany>("one"), Ok(OneOrMany::One("one".to_owned())));
    assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(read::<Option<()>>(""), Ok(None));
}

#[test]
fn every_mistake_is_said_with_its_place() {
    let wrong = [
        ("a struct", read::<Outer>(
            "size: 10\nmode: 0644\nflags: [yes, 1, true, off]\ninner:\n  - {nam: a}\n  - {name: b, port: 70000}\n  - {name: [c], port: -1}\n  - d\nmap: {a: 300, b: x}\nratio: much\npair: [x]\nstate: presnt\nlist: {}\nany: {a: 0644}\nnothing: 1\n",
        ).map(drop)),
        ("missing", read::<Outer>("mode: \"0644\"").map(drop)),
        ("missing inside", read::<Outer>("size: 1GiB\ninner: [{port: 1}]").map(drop)),
        ("empty", read::<Outer>("size:").map(drop)),
        ("no struct", read::<Outer>("[1]").map(drop)),
        ("variant", read::<State>("{at: x}").map(drop)),
        ("struct variant", read::<State>("{both: {from: 1, too: 2}}").map(drop)),
        ("two variants", read::<State>("{at: 1, both: {}}").map(drop)),
        ("variant without its value", read::<State>("at").map(drop)),
        ("bool", read::<bool>("'true'").map(drop)),
        ("number", read::<u8>("1.5").map(drop)),
        ("leading zero", read::<u8>("017").map(drop)),
        ("text", read::<String>("~").map(drop)),
    ];
    let said = wrong.into_iter().fold(String::new(), |mut said, (what, result)| {
        let _ = writeln!(said, "{what}\n{}", result.expect_err("it is wrong"));
        said
    });
    insta::assert_snapshot!(said);
}
