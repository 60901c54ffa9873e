//! No secret in anything that glrl says or keeps, but in the file that is meant to hold it.

use std::{fs, path::Path};

use super::tree::Tree;

const NEW: &str = "correct-horse";
/// Made of the new one by `derived.yml`.
const MADE: &str = "CORRECT";
/// Stood in the file before; no role knows it.
const FORMER: &str = "battery-staple";

#[test]
fn secrets_are_nowhere() {
    for more in [
        &["plan"][..],
        &["plan", "--verbose"],
        &["plan", "--json"],
        &["plan", "--debug"],
        &["converge", "--verbose"],
        &["converge", "--json"],
        &["converge", "--debug"],
    ] {
        let tree = Tree::new();
        let args = [more, &["--role", "site", "--root", "tree"]].concat();
        let output = tree.glrl(&args);
        assert!(output.status.success(), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(found(&said), None, "{args:?} says it");
        if more[0] == "converge" {
            let file = fs::File::open(tree.path().join("tree/etc/site.conf")).unwrap();
            let text = std::io::read_to_string(file).unwrap();
            assert!(text.contains(NEW), "the file holds it");
            let state = tree.path().join("tree/.glrl");
            assert!(state.join("runs").is_dir());
            search(&state);
        }
    }
}

/// What a role makes of a secret, and names that hold one.
#[test]
fn what_is_made_of_secrets_is_nowhere() {
    for command in [
        "plan --verbose",
        "plan --json",
        "plan --debug",
        "graph",
        "graph --format json",
        "graph --format mermaid",
        "explain",
        "explain password",
        "converge --verbose",
        "converge --json",
        "converge --debug",
    ] {
        let tree = Tree::new();
        let mut args: Vec<_> = command.split(' ').collect();
        args.extend(["--role", "derived", "--root", "tree"]);
        let output = tree.glrl(&args);
        assert!(output.status.success(), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(found(&said), None, "{command} says it");
        assert!(
            String::from_utf8_lossy(&said).contains("‹secret›"),
            "{command} hides it"
        );
        if command.starts_with("converge") {
            assert!(tree.path().join("tree/etc/correct-horse/CORRECT").is_file());
            search(&tree.path().join("tree/.glrl"));
        }
    }
}

/// A file of values that is broken, or a name that is mistyped: nobody knows that the value is a secret.
#[test]
fn a_broken_file_of_values_is_not_quoted() {
    for (text, place) in [
        ("password: \"correct-horse\n", "vars.yml:1:11"),
        ("password: correct-horse: x\n", "vars.yml:1:24"),
        ("passwort: correct-horse\n", "vars.yml:1:1"),
        ("password:correct-horse\n", "vars.yml:1:1"),
        ("password: !correct-horse\n", "vars.yml:1:11"),
        ("password: [correct-horse\n", "vars.yml:"),
        ("password: { correct-horse }\n", "vars.yml:1:11"),
        ("password: 'x'\npassword: correct-horse\n", "vars.yml:2:1"),
        ("- password: correct-horse\n", "vars.yml:1:1"),
    ] {
        let tree = Tree::new();
        fs::write(tree.path().join("vars.yml"), text).unwrap();
        let output = tree.glrl(&["plan", "--role", "site", "--root", "tree", "--vars", "vars.yml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains(place) && found(&output.stderr).is_none(), "{text}{said}");
    }
    let tree = Tree::new();
    let mut command = tree.command(&[
        "plan",
        "--role",
        "site",
        "--root",
        "tree",
        "--set",
        "passwort=correct-horse",
    ]);
    let output = command.env("GLRL_VAR_pasword", "correct-horse").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for name in ["--set passwort=…", "GLRL_VAR_pasword=…"] {
        assert!(said.contains(name) && found(&output.stderr).is_none(), "{said}");
    }
}

#[test]
fn a_secret_that_is_too_short_to_hide_is_refused() {
    for short in ["e", "/", " ", " ab ", "abc"] {
        let tree = Tree::new();
        let set = format!("password={short}");
        let output = tree.glrl(&["plan", "--role", "site", "--root", "tree", "--set", &set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(
            said.starts_with("error: password: a secret of fewer than 4 characters cannot be hidden\n"),
            "{said}"
        );
        assert!(said.contains("--set password=…"), "{said}");
    }
}

/// Looks for the secrets in all files below a directory.
fn search(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path);
        } else {
            let text = std::io::read_to_string(fs::File::open(&path).unwrap()).unwrap();
            assert_eq!(found(text.as_bytes()), None, "{} keeps it", path.display());
        }
    }
}

fn found(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    [NEW, FORMER, MADE].into_iter().find(|secret| text.contains(secret))
}
