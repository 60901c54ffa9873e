//! The command line, as its users see it: what they type, what they read, what the exit status says.

mod secrets;
mod streams;
mod tree;

/// Each `*.md` below holds sessions. They run in `NAME.in`, or in a copy of it where there is a `NAME.out` that says what has to be
/// in it afterwards. `TRYCMD=overwrite cargo test --test main sessions` writes down what is said now.
#[test]
fn sessions() {
    trycmd::TestCases::new().env("NO_COLOR", "1").case("tests/cli/*.md");
}
