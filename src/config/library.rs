//! Where roles are found, and what lies beside them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};

use super::bundled;
use crate::{
    source::{Diagnostic, suggest},
    system::{
        Bytes, texts,
        trust::{self, Untrusted},
    },
};

/// Directories that are searched after those the user names.
const USUAL: [&str; 2] = ["roles", "/etc/glrl/roles"];

/// The places that roles are looked for in.
#[derive(Debug)]
pub(super) struct Library {
    directories: Vec<PathBuf>,
    bundled: &'static [(&'static str, &'static [u8])],
    whose: Whose,
}

/// Whose roles are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Anybody's: nothing is done that they say.
    Anybody,
    /// For root, root's alone.
    Trusted,
}

impl Whose {
    /// Refuses what others can write.
    pub(super) fn check(self, path: &Path) -> Result<()> {
        match self {
            Self::Anybody => Ok(()),
            Self::Trusted => trust::check(path),
        }
    }
}

/// A mistake of no place, with what to do where the error knows it.
pub(super) fn diagnostic(error: &anyhow::Error) -> Diagnostic {
    let diagnostic = Diagnostic::general(format!("{error:#}"));
    match error.downcast_ref::<Untrusted>() {
        Some(untrusted) => diagnostic.hint(untrusted.mend.as_str()),
        None => diagnostic,
    }
}

/// A role's file, found and read.
#[derive(Debug)]
pub(super) struct Found {
    /// What messages call it: its path, or `builtin:roles/NAME.yml`.
    pub(super) name: String,
    /// The same for every way to write its path.
    pub(super) identity: PathBuf,
    pub(super) text: Arc<str>,
    pub(super) home: Home,
}

/// Where `files/` and `templates/` lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Home {
    Directory(PathBuf, Whose),
    Bundled(&'static [(&'static str, &'static [u8])]),
}

impl Library {
    /// The user's directories, then `./roles`, `/etc/glrl/roles` and the binary itself.
    pub(super) fn new(directories: &[PathBuf], whose: Whose) -> Self {
        Self::with_bundled(directories, bundled::FILES, whose)
    }

    pub(super) fn with_bundled(
        directories: &[PathBuf],
        bundled: &'static [(&'static str, &'static [u8])],
        whose: Whose,
    ) -> Self {
        let usual = USUAL.iter().map(PathBuf::from);
        Self {
            directories: directories.iter().cloned().chain(usual).collect(),
            bundled,
            whose,
        }
    }

    /// A role by name or path; a path has a slash or a suffix of YAML. `None` where there is none.
    pub(super) fn find(&self, role: &str) -> Result<Option<Found>> {
        if is_path(role) {
            let path = Path::new(role);
            self.whose.check(path)?;
            let Some(text) = texts::read(path)? else {
                return Ok(None);
            };
            let directory = path.parent().unwrap_or(Path::new(""));
            return Ok(Some(Found {
                name: role.to_owned(),
                identity: texts::resolved(path),
                text: text.into(),
                home: home_of(directory, self.whose),
            }));
        }
        let bundled = format!("roles/{role}.yml");
        let bundled = self.bundled.iter().find(|(path, _)| *path == bundled);
        for directory in &self.directories {
            let path = directory.join(format!("{role}.yml"));
            if let Some(text) = texts::read(&path)? {
                self.whose.check(&path)?;
                if bundled.is_some() && directory == Path::new(USUAL[0]) {
                    let path = path.display();
                    tracing::warn!("role {role} is ./{path}, and not the one built in: --role ./{path} says so");
                }
                return Ok(Some(Found {
                    name: path.display().to_string(),
                    identity: texts::resolved(&path),
                    text: text.into(),
                    home: home_of(directory, self.whose),
                }));
            }
        }
        if let Some((path, bytes)) = bundled {
            return Ok(Some(Found {
                name: format!("builtin:{path}"),
                identity: PathBuf::from(format!("builtin:{path}")),
                text: std::str::from_utf8(bytes).context("a bundled role is text")?.into(),
                home: Home::Bundled(self.bundled),
            }));
        }
        Ok(None)
    }

    /// Whether there is a role of this name.
    pub(super) fn has(&self, role: &str) -> bool {
        self.names().iter().any(|name| name == role)
    }

    /// The names of all roles, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let listed = self
            .directories
            .iter()
            .flat_map(|path| texts::list(path).unwrap_or_default());
        let bundled = self.bundled.iter().filter_map(|(path, _)| path.strip_prefix("roles/"));
        let mut names: Vec<_> = listed
            .chain(bundled.map(str::to_owned))
            .filter_map(|name| name.strip_suffix(".yml").map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What is wrong with a role that was not found, and what to do.
    pub(super) fn not_found(&self, role: &str) -> (String, String) {
        let what = if is_path(role) {
            format!("there is no file {role}")
        } else {
            format!("there is no role '{role}'")
        };
        (what, self.hint(role))
    }

    fn hint(&self, role: &str) -> String {
        if !is_path(role) {
            let mut files = ["yml", "yaml"].map(|suffix| format!("{role}.{suffix}")).into_iter();
            if let Some(file) = files.find(|file| texts::is_file(Path::new(file))) {
                return format!("did you mean '{file}'?");
            }
        }
        let names = self.names();
        if let Some(name) = suggest(role, names.iter().map(String::as_str)) {
            return format!("did you mean '{name}'?");
        }
        if is_path(role) {
            return "a name without a slash is looked for in --roles-dir, ./roles and /etc/glrl/roles".to_owned();
        }
        let directories: Vec<_> = self.directories.iter().map(|path| path.display().to_string()).collect();
        format!(
            "looked for {role}.yml in {} and among the roles built in",
            directories.join(", ")
        )
    }
}

pub(super) fn is_path(role: &str) -> bool {
    role.contains('/')
        || Path::new(role)
            .extension()
            .is_some_and(|suffix| suffix == "yml" || suffix == "yaml")
}

/// `files/` and `templates/` lie next to a directory that is called `roles`, and inside any other.
fn home_of(directory: &Path, whose: Whose) -> Home {
    let home = if directory.ends_with("roles") {
        directory.parent().unwrap_or(Path::new(""))
    } else {
        directory
    };
    Home::Directory(home.to_owned(), whose)
}

impl Home {
    /// A file below `files/` or `templates/`, and its name for messages; `None` where there is none.
    pub(super) fn read(&self, directory: &str, source: &str) -> Result<Option<(String, Bytes)>> {
        let relative = format!("{directory}/{}", normal(source)?);
        Ok(match self {
            Self::Directory(path, whose) => {
                let path = path.join(relative);
                whose.check(&path)?;
                texts::read_bytes(&path)?.map(|bytes| (path.display().to_string(), bytes.into()))
            }
            Self::Bundled(files) => files
                .iter()
                .find(|(path, _)| *path == relative)
                .map(|(path, bytes)| (format!("builtin:{path}"), Bytes::from(*bytes))),
        })
    }

    /// Regular files below a directory, relative to it, sorted; `None` where there is no such directory. Without a source
    /// it is all of `files/` or `templates/`.
    pub(super) fn tree(&self, directory: &str, source: &str) -> Result<Option<Vec<String>>> {
        let relative = match source {
            "" => directory.to_owned(),
            source => format!("{directory}/{}", normal(source)?),
        };
        let mut names = Vec::new();
        match self {
            Self::Directory(path, whose) => {
                let path = path.join(relative);
                if !texts::is_directory(&path) {
                    return Ok(None);
                }
                whose.check(&path)?;
                walk(&path, "", &mut names)?;
            }
            Self::Bundled(files) => {
                let prefix = format!("{relative}/");
                names.extend(
                    files
                        .iter()
                        .filter_map(|(path, _)| path.strip_prefix(&prefix))
                        .map(str::to_owned),
                );
                if names.is_empty() {
                    return Ok(None);
                }
            }
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    /// The directory, for messages.
    pub(super) fn show(&self, directory: &str) -> String {
        match self {
            Self::Directory(path, _) => path.join(directory).display().to_string(),
            Self::Bundled(_) => format!("builtin:{directory}"),
        }
    }
}

/// A relative path without `.` and `..`: what lies beside a role is below its directory.
fn normal(source: &str) -> Result<&str> {
    if source.starts_with('/') {
        bail!(
            "'{source}' does not lie beside the role: write its path below the role's own directory, without '/' in front"
        );
    }
    let source = source.trim_end_matches('/');
    if source
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        bail!("'{source}' does not stay in the role's directory: write a path without '..'");
    }
    Ok(source)
}

fn walk(directory: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    for name in texts::list(directory)? {
        let path = directory.join(&name);
        if path.is_symlink() {
            bail!(
                "{} is a link: a tree of files holds files and directories",
                path.display()
            );
        }
        if texts::is_directory(&path) {
            walk(&path, &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
