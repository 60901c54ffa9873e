//! Absolute paths.

use std::{
    fmt,
    ops::Deref,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use super::string_value;

/// An absolute path without `.`, `..` or doubled slashes, so that two spellings of one place are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(PathBuf);

impl AbsPath {
    /// The path as text; paths that are not UTF-8 cannot be written in a role.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl FromStr for AbsPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("'{text}' is not an absolute path: start it with /"));
        }
        if text.contains('\0') {
            return Err("a path cannot hold a NUL byte".to_owned());
        }
        if Path::new(text).components().any(|part| part == Component::ParentDir) {
            return Err(format!("'{text}' holds '..': write the path it stands for"));
        }
        Ok(Self(Path::new(text).components().collect()))
    }
}

impl Deref for AbsPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for AbsPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

string_value!(AbsPath, "An absolute path.", "^/", ["/etc/motd", "/backup"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_one_place() {
        assert_eq!("/a//b/./c/".parse::<AbsPath>(), "/a/b/c".parse());
        assert_eq!("/".parse::<AbsPath>().map(|p| p.to_string()), Ok("/".to_owned()));
        for wrong in ["", "a/b", "./a", "/a/../b", "/a\0b"] {
            assert!(wrong.parse::<AbsPath>().is_err(), "{wrong}");
        }
    }
}
