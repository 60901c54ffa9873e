//! A copy of `converge.in`, to run glrl in.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// The copy, and glrl started in it.
pub(super) struct Tree(TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/converge.in");
        copy(&original, directory.path());
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// glrl with these arguments, not started yet.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_glrl"));
        command.args(args);
        command
    }

    /// Any program, not started yet.
    #[expect(clippy::disallowed_methods, reason = "the program itself is what is tested")]
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(self.path()).env("NO_COLOR", "1");
        command
    }

    pub(super) fn glrl(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "it makes what is tested, not what is shipped")]
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
