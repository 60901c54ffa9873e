//! Whether all of the database lies in the one volume that is frozen. What lies elsewhere would be of another moment, or missing: such
//! a backup recovers to nonsense, or not at all, and is refused before the server is locked.
//!
//! Asked are the server's variables and tablespaces, the volume's files (`walk`), what is mounted below it (`mounts`), and the server's own process
//! (`process`), which may see other mounts than this one.

pub(crate) mod mounts;
pub(crate) mod process;
pub(crate) mod walk;

use std::path::{Path, PathBuf};

use anyhow::Context;
use glrl_node::system::{Mount, mounts_of_process};

use crate::{
    model::{
        error::{Error, Kind, Result},
        server::{Flavour, Server, Use, VARIABLES},
    },
    server::{placement::process::ServerProcess, session::Session},
    volume::{
        Volume,
        mounts::{self as all_mounts, check_own_filesystem},
    },
};

/// Directories of engines that a plugin brings.
const OF_ENGINES: [&str; 4] = [
    "rocksdb_datadir",
    "rocksdb_wal_dir",
    "tokudb_data_dir",
    "tokudb_log_dir",
];

/// Files and directories that a server writes to and that are no part of its data.
const NO_DATA: [&str; 12] = [
    "tmpdir",
    "innodb_tmpdir",
    "slave_load_tmpdir",
    "replica_load_tmpdir",
    "innodb_temp_tablespaces_dir",
    "log_error",
    "general_log_file",
    "slow_query_log_file",
    "server_audit_file_path",
    "audit_log_file",
    "relay_log_basename",
    "pid_file",
];

/// Where a server's files are.
#[derive(Debug)]
pub(crate) struct Placed {
    /// The datadir, relative to the volume.
    pub(crate) datadir: PathBuf,
    /// What lies below the volume's mount point and is not in a backup, one line each.
    pub(crate) not_included: Vec<String>,
    /// What could not be looked at, one line each.
    pub(crate) warnings: Vec<String>,
}

/// Checks every place that the server's variables name, every tablespace, every file in the volume, every mount below it, and everything that
/// the server has open. `socket`: where it listens. The places become absolute paths without links, which mean the same wherever the volume
/// is mounted at the same place.
pub(crate) fn check(session: &mut Session, server: &mut Server, volume: &dyn Volume, socket: &Path) -> Result<Placed> {
    check_own_filesystem(&datadir(server)?, volume.mount_point())?;
    let mut outside = places_outside(session, server, volume)?;
    let datadir = datadir(server)?;
    // Where data lies, without what is outside and refused by that.
    let mut places = places(server);
    places.retain(|place| place.starts_with(volume.mount_point()));
    let here = all_mounts::all()?;
    let (mut not_included, mut warnings) = (Vec::new(), Vec::new());
    let nested = mounts::below(&here, volume.mount_point());
    for nested in &nested {
        let of_basename = |place: &Path| {
            let place = format!("{}.", place.display());
            nested.target.to_string_lossy().starts_with(&place)
        };
        let hides = |place: &PathBuf| {
            nested.target.starts_with(place) || place.starts_with(&nested.target) || of_basename(place)
        };
        if places.iter().any(hides) {
            outside.push(format!("a mount ({})", nested.shown));
        } else {
            not_included.push(format!("a mount ({})", nested.shown));
        }
    }
    let mounted: Vec<PathBuf> = nested.into_iter().map(|nested| nested.target).collect();
    let no_data = variables(session, &NO_DATA)?;
    match look_at_process(server, volume, socket, &here, &no_data, &places) {
        Ok(more) => outside.extend(more),
        Err(error) => warnings.push(format!(
            "whether the server sees other mounts than glrl, or has files open elsewhere, is not known: {error:#}"
        )),
    }
    outside.extend(walk::unfit(volume.mount_point(), &mounted, &|path| volume.holds(path))?);
    if outside.is_empty() {
        let within = datadir.strip_prefix(volume.mount_point());
        return Ok(Placed {
            datadir: within
                .context("the datadir is not below the volume's mount point")?
                .to_owned(),
            not_included,
            warnings,
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

/// What of the places that the server names lies outside of the volume. The places that it names become absolute paths without links.
fn places_outside(session: &mut Session, server: &mut Server, volume: &dyn Volume) -> Result<Vec<String>> {
    let datadir = datadir(server)?;
    let mut outside = Vec::new();
    let mut look = |what: &str, path: &Path| -> Result<()> {
        if !volume.holds(path)? {
            outside.push(format!("{what} ({})", path.display()));
        }
        Ok(())
    };
    let existing = |path: &Path| path.parent().filter(|_| !path.exists()).unwrap_or(path).to_owned();
    for (name, _) in VARIABLES.iter().filter(|(_, what)| *what == Use::Place) {
        if let Some(value) = server.variable(name) {
            let path = resolve(&datadir.join(value))?;
            look(name, &existing(&path))?;
            server
                .variables
                .insert((*name).to_owned(), path.to_string_lossy().into_owned());
        }
    }
    for (name, value) in variables(session, &OF_ENGINES)? {
        look(&name, &existing(&resolve(&datadir.join(value))?))?;
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
    Ok(outside)
}

/// The directories that hold data, by the server's variables.
fn places(server: &Server) -> Vec<PathBuf> {
    let names = VARIABLES
        .iter()
        .filter(|(_, what)| *what == Use::Place)
        .map(|(name, _)| name);
    names
        .filter_map(|name| server.variable(name))
        .map(PathBuf::from)
        .collect()
}

/// What the server itself sees elsewhere, or has open elsewhere.
fn look_at_process(
    server: &Server,
    volume: &dyn Volume,
    socket: &Path,
    here: &[Mount],
    no_data: &[(String, String)],
    places: &[PathBuf],
) -> anyhow::Result<Vec<String>> {
    let datadir = datadir(server)?;
    let pid_file = server.variable("pid_file").map(|path| datadir.join(path));
    let process = ServerProcess::find(&datadir, socket, pid_file.as_deref())?;
    let mut outside = Vec::new();
    if !process.shares_our_view() {
        let there = mounts_of_process(process.pid)?;
        for place in places {
            // A binary log's basename is no file: its directory counts.
            if mounts::identity(here, place) != mounts::identity(&there, place) {
                outside.push(format!(
                    "{}, which is another directory for the server (process {}) than for glrl: mount the volume at the same place for both",
                    place.display(),
                    process.pid
                ));
            }
            outside.extend(
                mounts::below(&there, place)
                    .iter()
                    .map(|nested| format!("a mount that the server sees ({})", nested.shown)),
            );
        }
    }
    let left_out = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = name.starts_with("ibtmp") || path.extension().is_some_and(|extension| extension == "ibt");
        temporary
            || no_data.iter().any(|(name, value)| {
                // A list of directories; and a basename, to which numbers are added. A server may have its temporary files beside its data.
                let values = value.split(if name.ends_with("tmpdir") { ':' } else { '\n' });
                values.map(|value| datadir.join(value)).any(|value| {
                    let basename = path.to_string_lossy().starts_with(&*format!("{}.", value.display()));
                    (path.starts_with(&value) && !datadir.starts_with(&value)) || basename
                })
            })
    };
    let open = process.open_outside(&left_out, &|path| volume.holds(path).unwrap_or(false))?;
    outside.extend(
        open.iter()
            .map(|path| format!("a file that the server has open ({})", path.display())),
    );
    outside.sort_unstable();
    outside.dedup();
    Ok(outside)
}

/// Global variables that have a value.
fn variables(session: &mut Session, names: &[&str]) -> Result<Vec<(String, String)>> {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(","));
    Ok(session
        .rows(&sql)?
        .into_iter()
        .filter_map(|mut row| Some((row.remove("Variable_name")??, row.remove("Value")??)))
        .filter(|(_, value)| !value.is_empty())
        .collect())
}

/// The server's datadir.
pub(crate) fn datadir(server: &Server) -> Result<PathBuf> {
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
