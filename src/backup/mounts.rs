//! What is mounted where, and the one mount that holds a path.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A line of mountinfo (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor` of the filesystem.
    pub(super) device: String,
    /// The directory within the filesystem that is mounted.
    pub(super) root: PathBuf,
    /// Where it is mounted.
    pub(super) target: PathBuf,
    /// The filesystem's type.
    pub(super) fs_type: String,
    /// Options, the mount's own and then the filesystem's.
    pub(super) options: Vec<String>,
}

/// All mounts, in the kernel's order.
pub(super) fn all() -> Result<Vec<Mount>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mount that a path without links lies on: the last of those whose target is the longest prefix.
pub(super) fn holding(path: &Path) -> Result<Mount> {
    all()?
        .into_iter()
        .filter(|mount| path.starts_with(&mount.target))
        .max_by_key(|mount| mount.target.components().count())
        .with_context(|| format!("nothing is mounted that holds {}", path.display()))
}

fn parse(line: &str) -> Option<Mount> {
    let (own, filesystem) = line.split_once(" - ")?;
    let own: Vec<&str> = own.split(' ').collect();
    let filesystem: Vec<&str> = filesystem.split(' ').collect();
    let options = own.get(5)?.split(',').chain(filesystem.get(2)?.split(','));
    Some(Mount {
        device: (*own.get(2)?).to_owned(),
        root: PathBuf::from(unescape(own.get(3)?)),
        target: PathBuf::from(unescape(own.get(4)?)),
        fs_type: (*filesystem.first()?).to_owned(),
        options: options.map(str::to_owned).collect(),
    })
}

/// The kernel writes space, tab, newline and backslash in octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let mount = parse(
            "36 35 98:0 /sub\\040dir /mnt/a rw,noatime shared:1 master:2 - nfs4 host:/export rw,soft,vers=4.2,addr=10.0.0.1",
        )
        .unwrap();
        assert_eq!(mount.device, "98:0");
        assert_eq!(mount.root, Path::new("/sub dir"));
        assert_eq!(mount.target, Path::new("/mnt/a"));
        assert_eq!(mount.fs_type, "nfs4");
        assert!(mount.options.iter().any(|option| option == "soft"));
    }

    #[test]
    fn the_deepest_mount_holds_a_path() {
        assert_eq!(holding(Path::new("/proc/1/stat")).unwrap().fs_type, "proc");
        assert_eq!(holding(Path::new("/")).unwrap().target, Path::new("/"));
    }
}
