//! What stands in a directory and is not declared: what a purge removes.

use anyhow::{Result, bail};

use crate::{
    system::{FileType, Probe, Reading, Refused, known},
    value::AbsPath,
};

/// What a purge does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It goes, with all that is in it.
    Nothing,
    /// It stays, and is looked into.
    Itself,
    /// It stays with all that is in it, and is not looked into.
    Whole,
}

/// All below a directory that is not to be kept, each before the directory it is in. A filesystem that is mounted on what is to go is
/// never entered: it is refused.
pub(super) fn below(
    node: &dyn Probe,
    directory: &AbsPath,
    keep: &dyn Fn(&AbsPath) -> Keep,
) -> Result<Reading<Vec<AbsPath>>> {
    let mut strays = Vec::new();
    for name in known!(node.list(directory)?) {
        let path: AbsPath = format!("{directory}/{name}").parse().map_err(anyhow::Error::msg)?;
        let keeps = keep(&path);
        let file_type = known!(node.entry(&path)?).map(|entry| entry.file_type);
        if keeps == Keep::Nothing {
            if matches!(file_type, Some(FileType::Other)) {
                bail!("{path} is a device, socket or fifo, and is not purged: remove it by hand")
            }
            if known!(node.is_mount_point(&path)?) {
                return Err(Refused::because(
                    format!("a filesystem is mounted at {path}, and what it holds is not purged"),
                    "unmount it, declare the mount, or keep its directory by a file in `source`",
                ));
            }
        }
        if keeps != Keep::Whole && matches!(file_type, Some(FileType::Directory)) {
            strays.extend(known!(below(node, &path, keep)?));
        }
        if keeps == Keep::Nothing {
            strays.push(path);
        }
    }
    Ok(Reading::Known(strays))
}
