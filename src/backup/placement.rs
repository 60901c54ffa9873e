//! Whether all of the database lies in the one volume that is frozen. What lies elsewhere would be of another moment, or missing: such
//! a backup recovers to nonsense, or not at all, and is refused before the server is locked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    error::{Error, Kind, Result},
    server::{Flavour, Server, Use, VARIABLES},
    session::Session,
    volume::Volume,
};

/// Checks every place that the server's variables name, every tablespace, and every link in the volume. The places become absolute
/// paths without links, which mean the same wherever the volume is mounted at the same place. Returns the datadir, relative to the volume.
pub(super) fn check(session: &mut Session, server: &mut Server, volume: &dyn Volume) -> Result<PathBuf> {
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
    links(volume.mount_point(), &mut look)?;
    if outside.is_empty() {
        let datadir = self::datadir(server)?;
        let within = datadir.strip_prefix(volume.mount_point());
        return Ok(within
            .context("the datadir is not below the volume's mount point")?
            .to_owned());
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

/// Symbolic links (MyISAM's DATA DIRECTORY, schemas moved by hand) must stay in the volume.
fn links(directory: &Path, look: &mut impl FnMut(&str, &Path) -> Result<()>) -> Result<()> {
    let doing = || format!("looking for links in {}", directory.display());
    for entry in fs::read_dir(directory).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        let kind = entry.file_type().with_context(doing)?;
        if kind.is_symlink() && entry.path().exists() {
            look("a link", &entry.path())?;
        } else if kind.is_dir() {
            match links(&entry.path(), look) {
                // A schema may be dropped while this looks.
                Err(_) if !entry.path().exists() => {}
                other => other?,
            }
        }
    }
    Ok(())
}
