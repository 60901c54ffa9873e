//! Symbolic links in a volume.

use std::path::{Component, Path, PathBuf};

/// Whether a link at `path` to `target` stays inside: `..` only at its beginning, not above the root, and absolute only below the mount
/// point. A `..` behind a name could pass another link, and mean any place.
pub(crate) fn stays(path: &Path, target: &Path, mount_point: &Path) -> bool {
    let plain = |rest: &Path| {
        rest.components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    };
    if target.is_absolute() {
        return target.strip_prefix(mount_point).is_ok_and(plain);
    }
    let depth = path.components().count().saturating_sub(1);
    let ups = target
        .components()
        .take_while(|part| *part == Component::ParentDir)
        .count();
    let rest: PathBuf = target.components().skip(ups).collect();
    !target.as_os_str().is_empty() && ups <= depth && plain(&rest)
}
