//! Mounts below the place of the data. A snapshot of a volume has the bare directory there, whatever is mounted on it.

use std::path::{Path, PathBuf};

use glrl_node::system::Mount;

use crate::volume::mounts::deepest;

/// A mount that hides a part of the volume.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nested {
    /// Where it is mounted.
    pub(crate) target: PathBuf,
    /// For readers: `tmpfs at /srv/db/shop`.
    pub(crate) shown: String,
}

/// Which directory of which filesystem a path is: `major:minor`, and the path within it. `None` where nothing is mounted that holds it.
pub(crate) fn identity(mounts: &[Mount], path: &Path) -> Option<(String, PathBuf)> {
    let mount = deepest(mounts, path)?;
    let within = path.strip_prefix(&mount.target).ok()?;
    Some((mount.device.clone(), mount.root.join(within).components().collect()))
}

/// The mounts below a directory behind which something else lies than in its own filesystem. A directory that is mounted onto itself, as
/// systemd does it (`ReadWritePaths=`), is what it was.
pub(crate) fn below(mounts: &[Mount], directory: &Path) -> Vec<Nested> {
    let Some(base) = mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| directory.starts_with(&mount.target))
        .max_by_key(|(_, mount)| mount.target.components().count())
        .map(|(index, _)| index)
    else {
        return Vec::new();
    };
    let own = &mounts[base];
    mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| mount.target != directory && mount.target.starts_with(directory))
        // One that was there before the volume was mounted over it cannot be seen.
        .filter(|(index, _)| *index > base || own.target != directory)
        .filter(|(_, mount)| {
            let within = mount.target.strip_prefix(&own.target).unwrap_or(&mount.target);
            mount.device != own.device || mount.root != own.root.join(within)
        })
        .map(|(_, mount)| Nested {
            shown: if mount.root == Path::new("/") {
                format!("{} at {}", mount.fs_type, mount.target.display())
            } else {
                format!(
                    "{} of {} ({}) at {}",
                    mount.root.display(),
                    mount.source,
                    mount.fs_type,
                    mount.target.display()
                )
            },
            target: mount.target.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(device: &str, root: &str, target: &str) -> Mount {
        Mount {
            source: "x".to_owned(),
            root: root.into(),
            target: target.into(),
            fs_type: "xfs".to_owned(),
            options: Vec::new(),
            device: device.to_owned(),
        }
    }

    fn targets(mounts: &[Mount], directory: &str) -> Vec<String> {
        let nested = below(mounts, Path::new(directory));
        nested
            .iter()
            .map(|nested| nested.target.display().to_string())
            .collect()
    }

    #[test]
    fn what_hides_a_part_of_the_volume_is_found() {
        let mounts = [
            mount("8:1", "/", "/"),
            mount("0:9", "/", "/srv/db/under"),
            mount("8:2", "/", "/srv/db"),
            mount("0:7", "/", "/srv/db/shop"),
            mount("8:2", "/old", "/srv/db/bound"),
            mount("8:2", "/data", "/srv/db/data"),
            mount("8:2", "/data/t.MYD", "/srv/db/data/u.MYD"),
            mount("0:7", "/", "/srv/dbx"),
        ];
        assert_eq!(
            targets(&mounts, "/srv/db"),
            ["/srv/db/shop", "/srv/db/bound", "/srv/db/data/u.MYD"]
        );
        // A datadir that is no mount point itself.
        assert_eq!(targets(&mounts, "/srv/db/data"), ["/srv/db/data/u.MYD"]);
        assert_eq!(targets(&mounts, "/srv/other"), Vec::<String>::new());
    }

    #[test]
    fn a_directory_is_the_same_by_any_path() {
        let here = [mount("8:1", "/", "/"), mount("8:2", "/", "/srv/db")];
        let there = [mount("8:2", "/data", "/var/lib/mysql")];
        let other = [mount("8:2", "/old", "/var/lib/mysql")];
        let is = |mounts: &[Mount], path: &str| identity(mounts, Path::new(path));
        assert_eq!(is(&here, "/srv/db/data"), is(&there, "/var/lib/mysql"));
        assert_eq!(is(&here, "/srv/db/data/s"), is(&there, "/var/lib/mysql/s"));
        assert_ne!(is(&here, "/srv/db/data"), is(&other, "/var/lib/mysql"));
    }
}
