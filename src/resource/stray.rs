//! What stands in a directory and is not declared: what a purge removes.

use anyhow::{Result, bail};

use crate::{
    system::{FileType, Probe, Reading, Refused, known},
    value::AbsPath,
};

/// All below a directory that is not to be kept, each before the directory it is in. A filesystem that is mounted below is never
/// entered: it is refused.
pub(super) fn below(
    node: &dyn Probe,
    directory: &AbsPath,
    kept: &dyn Fn(&AbsPath) -> bool,
) -> Result<Reading<Vec<AbsPath>>> {
    let mut strays = Vec::new();
    for name in known!(node.list(directory)?) {
        let path: AbsPath = format!("{directory}/{name}").parse().map_err(anyhow::Error::msg)?;
        let keep = kept(&path);
        match known!(node.entry(&path)?).map(|entry| entry.file_type) {
            Some(FileType::Directory) => {
                if !keep {
                    known!(must_not_be_mounted(node, &path)?);
                }
                strays.extend(known!(below(node, &path, kept)?));
            }
            Some(FileType::Other) if !keep => {
                bail!("{path} is a device, socket or fifo, and is not purged: remove it by hand")
            }
            _ => {}
        }
        if !keep {
            strays.push(path);
        }
    }
    Ok(Reading::Known(strays))
}

/// An offline tree has no mounts to ask for, and none that anybody would have made there.
fn must_not_be_mounted(node: &dyn Probe, path: &AbsPath) -> Result<Reading<()>> {
    let Ok(mounts) = node.mounts() else {
        return Ok(Reading::Known(()));
    };
    if known!(mounts).iter().any(|mount| *mount.target == **path) {
        return Err(Refused::because(
            format!("a filesystem is mounted at {path}, and what it holds is not purged"),
            "unmount it, or keep its directory by a file in `source`",
        ));
    }
    Ok(Reading::Known(()))
}
