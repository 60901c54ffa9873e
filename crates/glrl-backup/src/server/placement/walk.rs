//! Everything in the volume that a backup cannot take as it is: links that leave it, devices, names that are not UTF-8. The walk stays on the
//! volume's own filesystem.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{model::error::Result, volume::links::stays};

/// What is wrong with the files of the volume, one text each. A link is one that leaves it, that leads nowhere, or that names a place in it
/// by another path: it would not be taken out of an archive.
/// What is mounted in it (`mounted`) is not looked at: it may be of a machine that does not answer.
pub(crate) fn unfit(
    mount_point: &Path,
    mounted: &[PathBuf],
    holds: &dyn Fn(&Path) -> Result<bool>,
) -> Result<Vec<String>> {
    let device = fs::metadata(mount_point)
        .with_context(|| format!("looking at {}", mount_point.display()))?
        .dev();
    let mut walk = Walk {
        device,
        mounted,
        links: Vec::new(),
        unfit: Vec::new(),
    };
    walk.directory(mount_point)?;
    let mut unfit = walk.unfit;
    for link in walk.links {
        // A table may be dropped while this looks.
        let Ok(target) = fs::read_link(&link) else { continue };
        let within = link.strip_prefix(mount_point).unwrap_or(&link);
        if !stays(within, &target, mount_point) || (link.exists() && !holds(&link)?) {
            unfit.push(format!("a link ({} to {})", link.display(), target.display()));
        }
    }
    Ok(unfit)
}

struct Walk<'a> {
    device: u64,
    mounted: &'a [PathBuf],
    links: Vec<PathBuf>,
    unfit: Vec<String>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path) -> Result<()> {
        let doing = || format!("looking for links in {}", directory.display());
        for entry in fs::read_dir(directory).with_context(doing)? {
            let entry = entry.with_context(doing)?;
            let path = entry.path();
            if self.mounted.contains(&path) {
                continue;
            }
            let kind = entry.file_type().with_context(doing)?;
            if path.to_str().is_none() {
                self.unfit
                    .push(format!("a name that is not UTF-8 ({})", path.display()));
            }
            if kind.is_symlink() {
                self.links.push(path);
            } else if kind.is_dir() {
                // A schema may be dropped while this looks.
                let Ok(meta) = entry.metadata() else { continue };
                if meta.dev() != self.device {
                    continue;
                }
                match self.directory(&path) {
                    Err(_) if !path.exists() => {}
                    other => other?,
                }
            } else if kind.is_block_device() || kind.is_char_device() {
                self.unfit.push(format!("a device ({})", path.display()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_that_no_restore_would_take_are_found_before_a_backup_is_made() {
        let outer = tempfile::tempdir().unwrap();
        let (volume, alias) = (outer.path().join("volume"), outer.path().join("alias"));
        fs::create_dir_all(volume.join("schema")).unwrap();
        fs::write(volume.join("t.MYD"), "rows").unwrap();
        symlink(&volume, &alias).unwrap();
        let link = |target: &Path| symlink(target, volume.join("schema/link")).unwrap();
        let holds = |path: &Path| Ok(path.canonicalize().unwrap().starts_with(&volume));
        let out = || unfit(&volume, &[], &holds).unwrap();
        for good in [Path::new("../t.MYD"), &volume.join("t.MYD"), Path::new("nowhere")] {
            link(good);
            assert_eq!(out(), Vec::<String>::new(), "{}", good.display());
            fs::remove_file(volume.join("schema/link")).unwrap();
        }
        for bad in [
            Path::new("/nowhere"),
            Path::new("../../alias"),
            &alias.join("t.MYD"),
            Path::new("/etc"),
        ] {
            link(bad);
            assert_eq!(out().len(), 1, "{}", bad.display());
            fs::remove_file(volume.join("schema/link")).unwrap();
        }
    }

    #[test]
    fn what_no_archive_takes_is_found() {
        use std::os::unix::ffi::OsStrExt;
        let volume = tempfile::tempdir().unwrap();
        let path = |name: &[u8]| volume.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(path(b"t.ibd"), "rows").unwrap();
        let found = || unfit(volume.path(), &[path(b"nfs")], &|_| Ok(true)).unwrap();
        assert_eq!(found(), Vec::<String>::new());
        fs::create_dir(path(b"nfs")).unwrap();
        fs::write(path(b"nfs/\xe9"), "of another machine").unwrap();
        assert_eq!(found(), Vec::<String>::new());
        fs::write(path(b"\xe9"), "latin-1").unwrap();
        assert!(found()[0].starts_with("a name that is not UTF-8"), "{:?}", found());
    }
}
