//! What a file of glrl's own is called while it is not in its place yet: in directories to which nobody else may write.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The longest name in a directory (`NAME_MAX`, limits.h).
const LONGEST: usize = 255;

/// `.NAME.glrl`: one name for each file, so that what a killed run left is found and replaced by the next. A name too long for that
/// gives way to its digest.
pub(super) fn temporary_name(name: &OsStr) -> OsString {
    let around = |name: &OsStr| {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".glrl");
        temporary
    };
    match around(name) {
        temporary if temporary.len() <= LONGEST => temporary,
        _ => around(OsStr::new(blake3::hash(name.as_bytes()).to_hex().as_str())),
    }
}

/// The same for a path; `None` for the root, which has no name.
pub(super) fn temporary(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(temporary_name(path.file_name()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_never_too_long() {
        for length in [1, 249, 250, 252, 255] {
            let name = "n".repeat(length);
            let temporary = temporary_name(OsStr::new(&name));
            assert!(temporary.len() <= LONGEST, "{length}");
            assert_eq!(temporary.to_string_lossy().contains(&name), length <= 249);
        }
        assert_eq!(temporary(Path::new("/etc/motd")).unwrap(), Path::new("/etc/.motd.glrl"));
        assert_ne!(
            temporary_name(OsStr::new(&"a".repeat(255))),
            temporary_name(OsStr::new(&"b".repeat(255)))
        );
    }
}
