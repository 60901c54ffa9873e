//! glrl as a process in a mount namespace of its own: with other programs in the place of this machine's, mounts that nobody else
//! walks into, and a state of its own.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use tempfile::TempDir;

/// A run to be.
pub(super) struct Apart {
    directory: TempDir,
    before: String,
}

/// How one ended.
pub(super) struct Ended {
    pub(super) status: Option<i32>,
    /// Both streams, its broken lines joined.
    pub(super) said: String,
}

impl Apart {
    pub(super) fn new() -> Self {
        let state = "set -e\nfor own in /run/glrl /var/lib/glrl; do mkdir -p $own; mount -t tmpfs none $own; done\n";
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            before: state.to_owned(),
        }
    }

    /// Runs this in the namespace before glrl.
    pub(super) fn before(mut self, script: &str) -> Self {
        self.before.push_str(script);
        self.before.push('\n');
        self
    }

    /// Puts a shell script in the place of a program; without one, what is there cannot be executed, as if it were not installed.
    pub(super) fn program(self, name: &str, script: Option<&str>) -> Self {
        let real = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .map(|directory| format!("{directory}/{name}"))
            .into_iter()
            .find_map(|path| fs::canonicalize(path).ok())
            .unwrap_or_else(|| panic!("there is no {name}: install what lab/packages.txt lists"));
        let stand_in = self.directory.path().join(name);
        fs::write(&stand_in, format!("#!/bin/sh\n{}\n", script.unwrap_or_default())).expect("a script");
        let mode = if script.is_some() { 0o755 } else { 0o644 };
        fs::set_permissions(&stand_in, fs::Permissions::from_mode(mode)).expect("its mode");
        let line = format!("mount --bind {} {}", stand_in.display(), real.display());
        self.before(&line)
    }

    /// Runs glrl with a role of these resources.
    pub(super) fn glrl(&self, command: &str, resources: &str) -> Ended {
        self.role("apart", resources);
        self.sh(&format!("exec glrl {command} --role $base/apart.yml"))
    }

    /// Writes the role `$base/NAME.yml` of these resources.
    pub(super) fn role(&self, name: &str, resources: &str) {
        let role = self.path().join(name).with_extension("yml");
        fs::write(role, format!("role: {name}\nresources:\n{resources}")).expect("a role");
    }

    /// Runs a script in the namespace, in which `glrl` is the program that is tested, and `$base` is a directory.
    pub(super) fn sh(&self, script: &str) -> Ended {
        let glrl = env!("CARGO_BIN_EXE_glrl").trim_end_matches("/glrl");
        let path = std::env::var("PATH").unwrap_or_default();
        let script = format!(
            "base={}\nPATH={glrl}:{path}\n{}\n{script}",
            self.path().display(),
            self.before
        );
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .output()
            .expect("unshare(1)");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ended {
            status: output.status.code(),
            said: said.concat().split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}
