//! The command line, as its users see it: what they type, what they read, what the exit status says.

use std::fs;

mod backup;
mod costs;
mod releases;
mod secrets;
mod state;
mod streams;
mod tls;
mod tree;
mod trust;

/// Each `*.md` below holds sessions. They run in `NAME.in`, or in a copy of it where there is a `NAME.out` that says what has to be
/// in it afterwards. `TRYCMD=overwrite cargo test --test main sessions` writes down what is said now.
#[test]
fn sessions() {
    trycmd::TestCases::new().env("NO_COLOR", "1").case("tests/cli/*.md");
}

/// The README's role, and its sessions with it. What they are run in is laid out as its text says.
#[test]
fn readme() {
    let readme = include_str!("../../README.md");
    let role = readme
        .split_once("```yaml\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .map(|(role, _)| role)
        .expect("the README's role");
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("README.md");
    fs::create_dir_all(directory.path().join("README.in/tree")).expect("a directory");
    fs::write(directory.path().join("README.in/hello.yml"), role).expect("a file");
    fs::write(&page, readme).expect("a file");
    trycmd::TestCases::new().env("NO_COLOR", "1").case(&page);
}
