//! A tree of files in which a role declares things in directories of a local user, beside those of others.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    path::{Path, PathBuf},
    process::Output,
};

use tempfile::TempDir;

/// A local user, and another one.
pub(super) const EVE: u32 = 12345;
pub(super) const MALLORY: u32 = 12346;

/// The directories that are the user's.
const HERS: [&str; 2] = ["home/eve", "srv/www"];

/// What others' files hold.
const SECRET: &str = "root's\n";

pub(super) struct Ground(TempDir);

/// All below the tree that is not the user's: what it is, whose, and what it holds.
pub(super) type Outside = BTreeMap<PathBuf, String>;

impl Ground {
    /// A tree with a role for it, in which all is to be changed.
    pub(super) fn new(round: usize) -> Self {
        // In memory, where nothing is waited for, and on a disk.
        let memory = Path::new("/dev/shm");
        let ground = if round.is_multiple_of(2) && memory.is_dir() {
            Self::inside(memory)
        } else {
            Self::empty()
        };
        for name in [
            "victim",
            "authorized_keys",
            "app",
            "note",
            "conf",
            "gone",
            "current",
            "shadow",
            ".profile",
        ] {
            for directory in ["etc", "root/.ssh", "home/mallory"] {
                ground.file(
                    &format!("{directory}/{name}"),
                    SECRET,
                    0o600,
                    if directory == "home/mallory" { MALLORY } else { 0 },
                );
            }
        }
        ground.directory("etc/cron.d", 0);
        ground.directory("home/mallory", MALLORY);
        for directory in [
            "",
            "/.ssh",
            "/.config",
            "/app",
            "/app/releases",
            "/old",
            "/empty",
            "/shelf",
        ] {
            ground.directory(&format!("home/eve{directory}"), EVE);
        }
        for directory in ["", "/aaa", "/up", "/css", "/deep", "/deep/deep"] {
            ground.directory(&format!("srv/www{directory}"), EVE);
        }
        for name in [
            "home/eve/.profile",
            "home/eve/note",
            "home/eve/old/gone",
            "home/eve/app/conf",
            "srv/www/up/victim",
        ] {
            ground.file(name, "hers\n", 0o644, EVE);
        }
        for number in 0..60 {
            ground.file(&format!("srv/www/aaa/{number:04}"), "x", 0o644, EVE);
        }
        ground.file("srv/www/deep/deep/victim", "x", 0o644, EVE);
        ground.link("home/eve/app/current", "releases/0", EVE);
        // As she can where `fs.protected_hardlinks` is off.
        for (number, victim) in super::eve::VICTIMS.into_iter().enumerate() {
            fs::hard_link(ground.at(victim), ground.at(&format!("home/eve/.hard{number}"))).expect("a link");
        }
        ground.beside("files/site/index.html", "hello\n");
        ground.beside("files/site/css/site.css", "p {}\n");
        ground.beside("templates/conf.hbs", "conf\n");
        ground.role(&format!(
            "  - directory: {{ path: /srv/www, source: site, purge: true, owner: \"{EVE}\" }}
  - directory: {{ path: /home/eve/.ssh, owner: \"{EVE}\", mode: \"0700\" }}
  - file: {{ path: /home/eve/.ssh/authorized_keys, content: \"ssh {round}\\n\", owner: \"{EVE}\", mode: \"0600\" }}
  - file: {{ path: /home/eve/.config/app, content: \"* * * * * root id {round}\\n\", owner: \"{EVE}\" }}
  - file: {{ path: /home/eve/note, owner: \"{EVE}\", mode: \"0666\" }}
  - file: {{ path: /home/eve/old/gone, state: absent }}
  - directory: {{ path: /home/eve/empty, state: absent }}
  - directory: {{ path: /home/eve/new, owner: \"{EVE}\" }}
  - line: {{ path: /home/eve/.profile, line: \"umask 027\" }}
  - link: {{ path: /home/eve/app/current, target: releases/1 }}
  - template: {{ path: /home/eve/app/conf, source: conf.hbs, owner: \"{EVE}\" }}
"
        ));
        ground
    }

    /// A tree of nothing but root's account.
    pub(super) fn empty() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    fn inside(directory: &Path) -> Self {
        let directory = tempfile::tempdir_in(directory).expect("a directory");
        // Others have to come in.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("a mode");
        let ground = Self(directory);
        ground.file("etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644, 0);
        ground.file("etc/group", "root:x:0:\n", 0o644, 0);
        ground
    }

    /// The root of the tree.
    pub(super) fn tree(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.tree().join(path)
    }

    pub(super) fn directory(&self, path: &str, owner: u32) {
        fs::create_dir_all(self.at(path)).expect("a directory");
        chown(self.at(path), Some(owner), Some(owner)).expect("an owner");
    }

    pub(super) fn file(&self, path: &str, contents: &str, mode: u32, owner: u32) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, contents).expect("a file");
        chown(&path, Some(owner), Some(owner)).expect("an owner");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    }

    pub(super) fn link(&self, path: &str, target: &str, owner: u32) {
        symlink(target, self.at(path)).expect("a link");
        lchown(self.at(path), Some(owner), Some(owner)).expect("an owner");
    }

    /// Writes a file beside the role.
    pub(super) fn beside(&self, path: &str, contents: &str) {
        let path = self.0.path().join("beside").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, contents).expect("a file");
    }

    /// Writes the role: these resources.
    pub(super) fn role(&self, resources: &str) {
        self.beside("roles/this.yml", &format!("role: this\nresources:\n{resources}"));
    }

    /// Runs glrl with the role on the tree.
    pub(super) fn run(&self, command: &str) -> Output {
        self.role_run("this", command)
    }

    /// Runs glrl with a role of this name.
    pub(super) fn role_run(&self, role: &str, command: &str) -> Output {
        let role = self.0.path().join("beside/roles").join(format!("{role}.yml"));
        let mut glrl = super::glrl();
        glrl.arg(command)
            .arg("--role")
            .arg(role)
            .arg("--root")
            .arg(self.tree())
            .env("NO_COLOR", "1");
        glrl.output().expect("glrl runs")
    }

    pub(super) fn converge(&self) -> Output {
        self.run("converge")
    }

    /// What stands outside of the user's directories, and of glrl's own.
    pub(super) fn outside(&self) -> Outside {
        let mut outside = Outside::new();
        self.look(Path::new(""), &mut outside);
        outside
    }

    /// What the user can read in its own directories, and could not before.
    pub(super) fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut ahead: Vec<PathBuf> = HERS.iter().map(|hers| self.at(hers)).collect();
        while let Some(path) = ahead.pop() {
            let metadata = path.symlink_metadata().expect("an entry");
            if metadata.is_dir() {
                ahead.extend(
                    fs::read_dir(&path)
                        .expect("a directory")
                        .map(|entry| entry.expect("an entry").path()),
                );
            } else if metadata.is_file()
                && (metadata.uid() == EVE || metadata.mode() & 0o004 != 0)
                && String::from_utf8_lossy(&fs::read(&path).expect("a file")).contains(SECRET.trim())
            {
                leaks.push(format!(
                    "{} holds what others' files hold, for the user to read",
                    path.display()
                ));
            }
        }
        leaks
    }

    fn look(&self, path: &Path, outside: &mut Outside) {
        let place = self.tree().join(path);
        let metadata = place.symlink_metadata().expect("an entry");
        let holds = if metadata.is_file() {
            format!("{:?}", fs::read(&place).expect("a file"))
        } else {
            String::new()
        };
        outside.insert(
            path.to_owned(),
            format!("{:o} of {}:{} {holds}", metadata.mode(), metadata.uid(), metadata.gid()),
        );
        if !metadata.is_dir() {
            return;
        }
        for entry in fs::read_dir(&place).expect("a directory") {
            let path = path.join(entry.expect("an entry").file_name());
            if !HERS.iter().any(|hers| path == Path::new(hers)) && path != Path::new(".glrl") {
                self.look(&path, outside);
            }
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Deeper than paths can be.
        let _ = std::process::Command::new("rm").arg("-rf").arg(self.tree()).status();
    }
}

/// How what stands outside differs.
pub(super) fn differences(before: &Outside, after: &Outside) -> Vec<String> {
    let mut differences = Vec::new();
    for path in before
        .keys()
        .chain(after.keys().filter(|path| !before.contains_key(*path)))
    {
        let (was, is) = (before.get(path), after.get(path));
        if was != is {
            differences.push(format!("/{}: {was:?} became {is:?}", path.display()));
        }
    }
    differences
}
