//! Whatever stands in a file, there is a role or a message about it, and what the message points at is in the file.

use std::fmt::Write as _;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Site, plain};
use crate::{
    config::{Failure, program::Program, yaml},
    report,
    source::Sources,
};

/// A role that uses all of the language.
const ROLE: &str = r#"role: demo
description: >
  folded text
inputs:
  base: { type: path, default: /srv }
  fs: { type: [xfs, ext4], default: xfs }
  names: { type: list of string, default: [a, "b"], description: 'it''s' }
  count: { type: int, min: 1, max: 9, default: 3 }
  owner: { type: string, optional: true, secret: true, pattern: "^[a-z]+$" }
vars:
  common: &common { a: 1, b: [x, y] }
  again: *common
  family: '${facts.os.id == "ubuntu" ? "mysql" : "mariadb"}'
  text: |
    line ${inputs.count}
    $${kept}
includes:
  - role: demo2
    inputs: { x: "${inputs.base}" }
    when: ${inputs.count > 1}
resources:
  - directory: { path: "${inputs.base}/${vars.family}", owner: "${inputs.owner}", mode: "0750" }
    notify: ["directory:${inputs.base}/a"]
  - directory: "${inputs.base}/${each.value}"
    for_each: ${inputs.names}
    needs: directory:/srv/mariadb
    retry: { times: 3, delay: 10s }
    timeout: 5m
    protect: true
    comment: every kind
  - directory: { path: "/home/${inputs.owner}" }
    when: "${inputs.owner != null && {'a': 1}.a == 1}"
"#;

const INCLUDED: &str = "role: demo2\ninputs: { x: path }\nresources: [ { directory: '${inputs.x}/demo2' } ]\n";

/// Pieces that YAML and expressions are made of.
const PIECES: [&str; 44] = [
    "\n",
    "\n  ",
    "\t",
    " ",
    ":",
    ": ",
    "- ",
    "-",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    "\"",
    "${",
    "}",
    "$${",
    "#",
    " # ",
    "&a ",
    "*a",
    "*common",
    "!!str ",
    "!x ",
    "|",
    ">",
    "---\n",
    "...\n",
    "<<: *common\n",
    "%YAML 1.2\n",
    "?",
    "@",
    "`",
    "\\",
    "null",
    "~",
    "0644",
    "yes",
    "é",
    "\u{feff}",
    "\u{85}",
    "\0",
    "inputs.",
];

/// Cuts a piece of the role out, and puts another in its place.
fn mutate(role: &str, changes: &[(usize, usize, &str)]) -> String {
    let mut text = role.to_owned();
    for (at, length, piece) in changes {
        let start = text.floor_char_boundary(at % (text.len() + 1));
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        text.replace_range(start..end, piece);
    }
    text
}

/// Looks at a failure as the command line does.
fn draw(failure: &Failure) {
    assert!(!failure.diagnostics.0.is_empty());
    plain(failure);
    report::diagnostic::render(&failure.diagnostics, &failure.sources, 80);
}

fn parses_or_says_why(text: &str) {
    let mut sources = Sources::default();
    let file = sources.add("x.yml", text);
    if let Err(diagnostics) = yaml::parse(file, &std::sync::Arc::clone(sources.text(file))) {
        draw(&Failure { sources, diagnostics });
    }
}

#[test]
fn the_role_of_these_tests_is_right() {
    let ids = Site::role(ROLE).file("roles/demo2.yml", INCLUDED).ids();
    assert_eq!(
        ids,
        [
            "directory:/srv/demo2",
            "directory:/srv/mariadb",
            "directory:/srv/a",
            "directory:/srv/b",
            "directory:/home/owner"
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_says_why(text in any::<String>()) {
        parses_or_says_why(&text);
    }

    #[test]
    fn any_pieces_parse_or_say_why(pieces in vec(select(&PIECES[..]), 0..40)) {
        parses_or_says_why(&pieces.concat());
    }

    #[test]
    fn any_pieces_are_an_expression_or_not(
        pieces in vec(select(&[
            "inputs.a", "facts", "(", ")", "[", "]", "{", "}", ".", ",", "'", "\"", "1", "-1", "1.5", "0x", "u", " ", "+", "&&", "||",
            "!", "?", ":", "==", "size", "has", ".map(x, ", ".all(x, ", "x", "in", "null", "true", "r'", "b'", "\\", "/", "%", "é", "\n", "//",
        ][..]), 0..20),
    ) {
        drop(Program::compile(&pieces.concat()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_role_loads_or_says_why(
        changes in vec((0_usize..2000, 0_usize..12, select(&PIECES[..])), 1..4),
    ) {
        let site = Site::role(&mutate(ROLE, &changes)).file("roles/demo2.yml", INCLUDED);
        if let Err(failure) = site.load() {
            draw(&failure);
        }
    }

    #[test]
    fn any_values_are_taken_or_refused(text in any::<String>(), value in any::<String>()) {
        let site = Site::role(ROLE).file("roles/demo2.yml", INCLUDED).vars("v.yml", &text).set(&format!("names={value}"));
        if let Err(failure) = site.load() {
            draw(&failure);
        }
    }
}

#[test]
fn depth_is_bounded() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        parses_or_says_why(&text);
    }
    // Aliases of aliases, each as deep as a file may be.
    let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(120), "]".repeat(120));
    let mut text = format!("vars:\n  v0: &a0 {}\n", nested("x"));
    for n in 1..50 {
        let _ = writeln!(text, "  v{n}: &a{n} {}", nested(&format!("*a{}", n - 1)));
    }
    draw(&Site::role(&text).load().expect_err("this is too deep"));
}

#[test]
fn expressions_are_bounded() {
    let around = |n: usize, open: &str, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    for n in [10, 45, 60, 240, 490, 2000, 100_000] {
        for expression in [
            around(n, "(", ")"),
            around(n, "[", "]"),
            around(n, "{'a': ", "}"),
            around(n, "true ? 1 : ", ""),
            around(n, "", "+1"),
            around(n, "-", ""),
            format!("true{}", " && true".repeat(n)),
            format!("vars{}", ".a".repeat(n)),
            format!("[1]{}", "[0]".repeat(n)),
            format!("'a'{}", ".f()".repeat(n)),
        ] {
            let site = Site::role(&format!("vars: {{ a: 1, b: \"${{{expression}}}\" }}"));
            if let Err(failure) = site.load() {
                draw(&failure);
            }
        }
    }
}
