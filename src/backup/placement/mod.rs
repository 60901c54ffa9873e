//! Whether all of the database lies in the one volume that is frozen. What lies elsewhere would be of another moment, or missing: such
//! a backup recovers to nonsense, or not at all, and is refused before the server is locked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    archive::stays,
    error::{Error, Kind, Result},
    server::{Flavour, Server, Use, VARIABLES},
    session::Session,
    volume::Volume,
};

/// Where a server's files are.
#[derive(Debug)]
pub(super) struct Placed {
    /// The datadir, relative to the volume.
    pub(super) datadir: PathBuf,
    /// What lies below the volume's mount point and is not in a backup, one line each.
    pub(super) not_included: Vec<String>,
}

/// Checks every place that the server's variables name, every tablespace, and every link in the volume. The places become absolute
/// paths without links, which mean the same wherever the volume is mounted at the same place.
pub(super) fn check(session: &mut Session, server: &mut Server, volume: &dyn Volume) -> Result<Placed> {
    let datadir = datadir(server)?;
    let mut outside = Vec::new();
    let mut look = |what: &str, path: &Path| -> Result<()> {
        if !volume.holds(path)? {
            outside.push(format!("{what} ({})", path.display()));
        }
        Ok(())
    };
    for (name, _) in VARIABLES.iter().filter(|(_, what)| *what == Use::Place) {
        if let Some(value) = server.variable(name) {
            let path = resolve(&datadir.join(value))?;
            look(name, path.parent().filter(|_| !path.exists()).unwrap_or(&path))?;
            server
                .variables
                .insert((*name).to_owned(), path.to_string_lossy().into_owned());
        }
    }
    for file in server.variable("innodb_data_file_path").unwrap_or_default().split(';') {
        let home = server.variable("innodb_data_home_dir").unwrap_or_default();
        let name = file.split(':').next().unwrap_or_default();
        // With an empty home directory the names are absolute paths, or relative to the datadir.
        look("innodb_data_file_path", &datadir.join(home).join(name))?;
    }
    for path in tablespaces(session, server)? {
        let path = datadir.join(path);
        // A table may be dropped while this looks.
        if path.exists() {
            look("a tablespace", &path)?;
        }
    }
    outside.extend(links_out(volume.mount_point(), &|path| volume.holds(path))?);
    if outside.is_empty() {
        let datadir = self::datadir(server)?;
        let within = datadir.strip_prefix(volume.mount_point());
        return Ok(Placed {
            datadir: within
                .context("the datadir is not below the volume's mount point")?
                .to_owned(),
            not_included: Vec::new(),
        });
    }
    let more = outside.len().saturating_sub(5);
    outside.truncate(5);
    Err(Error::new(
        Kind::Refused,
        format!(
            "not all of the database is in the volume at {}, so that a snapshot of it is no backup: {}{}; move it there",
            volume.mount_point().display(),
            outside.join(", "),
            if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            }
        ),
    ))
}

/// The server's datadir.
pub(super) fn datadir(server: &Server) -> Result<PathBuf> {
    Ok(server
        .variable("datadir")
        .context("the server names no datadir")?
        .into())
}

/// A path without links. The last part need not exist: a binary log's basename is no file.
fn resolve(path: &Path) -> Result<PathBuf> {
    let doing = || format!("looking for {}", path.display());
    if path.exists() {
        return Ok(path.canonicalize().with_context(doing)?);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path.to_owned());
    };
    Ok(parent.canonicalize().with_context(doing)?.join(name))
}

fn tablespaces(session: &mut Session, server: &Server) -> Result<Vec<PathBuf>> {
    let sql = match server.flavour {
        // Temporary tablespaces are left out: a server makes them anew.
        Flavour::MariaDb => {
            "SELECT FILENAME AS value FROM information_schema.INNODB_SYS_TABLESPACES WHERE NAME <> 'innodb_temporary'"
        }
        Flavour::MySql => "SELECT PATH AS value FROM information_schema.INNODB_DATAFILES",
    };
    Ok(session
        .rows(sql)?
        .into_iter()
        .filter_map(|mut row| row.remove("value")?.map(PathBuf::from))
        .collect())
}

/// Symbolic links (MyISAM's DATA DIRECTORY, schemas moved by hand) that leave the volume, or that would not be taken out of an archive:
/// one that leads nowhere today, or that names a place in the volume by another path, makes a backup that cannot be restored.
fn links_out(mount_point: &Path, holds: &dyn Fn(&Path) -> Result<bool>) -> Result<Vec<String>> {
    let mut links = Vec::new();
    collect_links(mount_point, &mut links)?;
    let mut out = Vec::new();
    for link in links {
        // A table may be dropped while this looks.
        let Ok(target) = fs::read_link(&link) else { continue };
        let within = link.strip_prefix(mount_point).unwrap_or(&link);
        if !stays(within, &target, mount_point) || (link.exists() && !holds(&link)?) {
            out.push(format!("a link ({} to {})", link.display(), target.display()));
        }
    }
    Ok(out)
}

fn collect_links(directory: &Path, links: &mut Vec<PathBuf>) -> Result<()> {
    let doing = || format!("looking for links in {}", directory.display());
    for entry in fs::read_dir(directory).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        let kind = entry.file_type().with_context(doing)?;
        if kind.is_symlink() {
            links.push(entry.path());
        } else if kind.is_dir() {
            match collect_links(&entry.path(), links) {
                // A schema may be dropped while this looks.
                Err(_) if !entry.path().exists() => {}
                other => other?,
            }
        }
    }
    Ok(())
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
        let out = || links_out(&volume, &holds).unwrap();
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
}
