//! What is mounted where, and the one mount that holds a path.

use std::{
    path::{Component, Path},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use glrl_node::system::{LocalNode, Mount, Probe, Reading};

use crate::model::error::{self, Error, Kind};

/// All mounts, in the kernel's order, as they are now.
pub(crate) fn all() -> Result<Arc<Vec<Mount>>> {
    match LocalNode::live()?.mounts()? {
        Reading::Known(mounts) => Ok(mounts),
        Reading::Unknown { .. } => bail!("what is mounted on a live node cannot be unknown"),
    }
}

/// Whether something is mounted at exactly this path.
pub(crate) fn is_mounted(path: &Path) -> Result<bool> {
    Ok(all()?.iter().any(|mount| mount.target == path))
}

/// The mount that a path without links lies on: the last of those whose target is the longest prefix.
pub(crate) fn deepest<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let holds = mounts.iter().filter(|mount| path.starts_with(&mount.target));
    holds.max_by_key(|mount| mount.target.components().count())
}

/// The mount that a path without links lies on.
pub(crate) fn holding(path: &Path) -> Result<Mount> {
    deepest(&all()?, path)
        .cloned()
        .with_context(|| format!("nothing is mounted that holds {}", path.display()))
}

/// Whether data may stand at this place for a server. The manifest says where, and a manifest may be hostile: the places of programs,
/// libraries and devices are not for data.
pub(crate) fn may_be_covered(place: &Path) -> Result<()> {
    const NEVER: [&str; 12] = [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/dev", "/proc", "/sys", "/boot", "/root",
    ];
    let plain = place.is_absolute()
        && place
            .components()
            .skip(1)
            .all(|part| matches!(part, Component::Normal(_)));
    let system = |never: &str| place.starts_with(never) || Path::new(never).starts_with(place);
    if !plain || NEVER.iter().any(|never| system(never)) {
        bail!(
            "the manifest says that the volume was mounted at {}: no data belongs there",
            place.display()
        );
    }
    Ok(())
}

/// Refuses a volume that holds the system, too: its snapshot would be an archive of the whole machine, and nothing could be restored onto it.
pub(crate) fn check_own_filesystem(datadir: &Path, mount_point: &Path) -> error::Result<()> {
    if may_be_covered(mount_point).is_ok() {
        return Ok(());
    }
    let which = if mount_point == Path::new("/") {
        "the root filesystem".to_owned()
    } else {
        format!("a filesystem of the system, mounted at {}", mount_point.display())
    };
    Err(Error::new(
        Kind::Refused,
        format!(
            "the datadir {} is on {which}: a backup is a snapshot of a volume of its own; give it one (role mysql, \
             `data_device`), or move the datadir to a logical volume that is mounted for it",
            datadir.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_directories_are_never_covered() {
        for place in ["/var/lib/mysql", "/srv/db", "/data", "/mnt/x/y"] {
            assert!(may_be_covered(Path::new(place)).is_ok(), "{place}");
        }
        for place in [
            "/",
            "/usr",
            "/usr/lib/x",
            "/etc",
            "/var/../usr",
            "relative",
            "/dev/shm",
            "/root/x",
        ] {
            assert!(may_be_covered(Path::new(place)).is_err(), "{place}");
        }
    }

    #[test]
    fn the_deepest_mount_holds_a_path() {
        assert_eq!(holding(Path::new("/proc/1/stat")).unwrap().fs_type, "proc");
        assert_eq!(holding(Path::new("/")).unwrap().target, Path::new("/"));
    }
}
