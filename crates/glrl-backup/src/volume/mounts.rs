//! What is mounted where, and the one mount that holds a path.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use glrl_node::system::{LocalNode, Mount, Probe, Reading};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_holds_a_path() {
        assert_eq!(holding(Path::new("/proc/1/stat")).unwrap().fs_type, "proc");
        assert_eq!(holding(Path::new("/")).unwrap().target, Path::new("/"));
    }
}
