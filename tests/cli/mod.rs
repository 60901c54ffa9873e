//! The command line, as its users see it: what they type, what they read, what the exit status says.

/// Each `*.md` below holds sessions; each runs in an empty directory of its own, or in a copy of `NAME.in`.
#[test]
fn sessions() {
    trycmd::TestCases::new().env("NO_COLOR", "1").case("tests/cli/*.md");
}
