//! The index of the binary logs, in data that is restored to another place. Its lines may be absolute paths, and a server that is started
//! here would then take the original server's logs for its own: read them, and purge them (seen with MySQL 9.7).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::backup::manifest::Manifest;

/// Has the index in `volume` name the logs that lie beside it, when the volume's root has become `root`.
pub(super) fn relocate(manifest: &Manifest, volume: &Path, root: &Path) -> Result<()> {
    let mount_point = &manifest.volume.mount_point;
    let index = manifest
        .server
        .variable("log_bin_index")
        .and_then(|index| Path::new(index).strip_prefix(mount_point).ok())
        .map(|index| volume.join(index));
    let Some(index) = index.filter(|index| index.exists()) else {
        return Ok(());
    };
    let doing = || format!("naming the binary logs in {}", index.display());
    let text = fs::read_to_string(&index).with_context(doing)?;
    let moved = moved(&text, mount_point, &manifest.volume.datadir, root);
    if moved != text {
        // In place: it keeps its owner and mode, and nobody reads it yet.
        fs::write(&index, moved).with_context(doing)?;
    }
    Ok(())
}

fn moved(text: &str, mount_point: &Path, datadir: &Path, root: &Path) -> String {
    let datadir = mount_point.join(datadir);
    let line = |line: &str| {
        let path = Path::new(line);
        let moved = match (path.strip_prefix(&datadir), path.strip_prefix(mount_point)) {
            // Relative to the datadir, as servers write it themselves.
            (Ok(name), _) => PathBuf::from(".").join(name),
            (_, Ok(rest)) => root.join(rest),
            _ => path.to_owned(),
        };
        format!("{}\n", moved.display())
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_lines_become_those_of_the_copy() {
        let text =
            "./binlog.000001\n/srv/db/data/binlog.000002\n/srv/db/logs/binlog.000003\n/elsewhere/binlog.000004\n";
        assert_eq!(
            moved(text, Path::new("/srv/db"), Path::new("data"), Path::new("/copy")),
            "./binlog.000001\n./binlog.000002\n/copy/logs/binlog.000003\n/elsewhere/binlog.000004\n"
        );
    }
}
