//! No secret in anything that glrl says or keeps, but in the file that is meant to hold it.

use std::{fs, path::Path};

use super::tree::Tree;

const NEW: &str = "correct-horse";
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
    [NEW, FORMER].into_iter().find(|secret| text.contains(secret))
}
