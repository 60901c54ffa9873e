//! What the NFS server exports now: `/var/lib/nfs/etab`, which exportfs(8) keeps and mountd reads.

use std::path::Path;

use anyhow::Result;

use super::kernel;
use crate::system::{Export, octal};

const ETAB: &str = "/var/lib/nfs/etab";

/// All exports; none where there is no table, because no server is installed or it has never exported anything.
pub(super) fn read() -> Result<Vec<Export>> {
    Ok(parse(&kernel::text(Path::new(ETAB))?.unwrap_or_default()))
}

/// `PATH<tab>CLIENT(OPTION,OPTION...)`, a line each.
pub(super) fn parse(etab: &str) -> Vec<Export> {
    etab.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Export> {
    let (path, rest) = line.split_once(['\t', ' '])?;
    let (client, options) = rest.trim_start().split_once('(')?;
    Some(Export {
        path: octal::decode(path),
        // Everybody, where the file has no client: exportfs(8) shows it as <world>.
        client: if client.is_empty() {
            "*".to_owned()
        } else {
            octal::decode(client)
        },
        options: options
            .trim_end()
            .trim_end_matches(')')
            .split(',')
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_directory_and_a_client() {
        let etab = "/srv/my\\040files\t10.0.0.0/24(rw,sync,anonuid=65534)\n/backup\t*(ro)\nbroken\n/all\t(ro)\n";
        let found = parse(etab);
        assert_eq!(found.len(), 3);
        assert_eq!(found[2].client, "*");
        assert_eq!(found[0].path, "/srv/my files");
        assert_eq!(found[0].client, "10.0.0.0/24");
        assert_eq!(found[0].options, ["rw", "sync", "anonuid=65534"]);
        assert_eq!((found[1].path.as_str(), found[1].client.as_str()), ("/backup", "*"));
    }
}
