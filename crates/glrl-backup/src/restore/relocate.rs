//! A copy names no place of its original. Servers write absolute paths into links, `.isl` files, indexes and records of logs, into MySQL's
//! dictionary and into what recovery reads: a server that is started on a copy would take the original's files for its own.
//!
//! What is text or a link is rewritten. What recovery reads cannot be: so where anything names a place that only a server can change,
//! one is started on the copy where the original was (`scratch_server`), recovers, and is shut down clean; then the rest is rewritten; then
//! one is started where the copy will be, the original covered, which moves what it has in its dictionary, and says what it still names.
//! What cannot be moved is refused, by name, before the destination has its name.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::{lchown, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow};
use nix::unistd::geteuid;

use crate::{
    model::{
        error::{Error, Kind, Result},
        interrupt::Interrupt,
        manifest::Manifest,
        owner::Owner,
        server::Flavour,
    },
    scratch::{
        place::Place,
        server::{self, ScratchServer},
    },
    server::session::Session,
    settings::Settings,
    store::files::List,
    volume::mounts::may_be_covered,
};

/// MariaDB has these places in the definition, beside the link or `.isl` file of each partition, and makes a file there again when the table
/// is altered.
const DEFINITION: &str = "the definition of a table names the place of its files there";

/// A copy on its way to another place.
pub(crate) struct Relocation<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) manifest: &'a Manifest,
    /// Where it will be.
    pub(crate) root: &'a Path,
    pub(crate) owner: Owner,
    pub(crate) interrupt: &'a Interrupt,
}

/// What names a place of the original.
#[derive(Debug, Default)]
struct Named {
    /// Links with absolute targets.
    links: Vec<PathBuf>,
    /// Files of lines, some of which are absolute paths.
    lines: Vec<PathBuf>,
    /// Files of JSON, some texts of which are absolute paths.
    json: Vec<PathBuf>,
    /// What only a server can read, or has to recover from first.
    records: Vec<String>,
    /// Definitions of tables, which nobody rewrites.
    definitions: Vec<String>,
}

impl Relocation<'_> {
    /// Refuses what the list of files shows to be impossible, before anything is unpacked.
    pub(crate) fn check(&self, list: &List) -> Result<()> {
        let names: Vec<&String> = list.keys().filter(|path| self.is_remote(Path::new(path))).collect();
        let of_partitions = |name: &&&String| is_isl(Path::new(name)) && name.contains("#P#");
        let partitions: Vec<&String> = names.iter().filter(of_partitions).copied().collect();
        if !partitions.is_empty() {
            return Err(self.refused(&partitions, DEFINITION));
        }
        if names.is_empty() {
            return Ok(());
        }
        self.server(&names).map(drop)
    }

    /// Rewrites the copy in `volume`. Returns whether it has tablespaces outside of its datadir.
    pub(crate) fn relocate(&self, volume: &Path, list: &List) -> Result<bool> {
        let mut named = Named::default();
        self.look(volume, Path::new(""), &mut named)?;
        if !named.definitions.is_empty() {
            return Err(self.refused(&named.definitions, DEFINITION));
        }
        let remote = list.keys().filter(|path| self.is_remote(Path::new(path))).cloned();
        named.records.extend(remote);
        let program = if named.records.is_empty() {
            None
        } else {
            Some(self.server(&named.records)?)
        };
        if let Some(program) = &program {
            let place = Place::of_original(self.manifest, volume, self.owner);
            self.with_server(program, &place, &["--innodb-fast-shutdown=0".to_owned()], |_| Ok(()))?;
        }
        // Recovery may have made, and removed, files.
        named = Named::default();
        self.look(volume, Path::new(""), &mut named)?;
        self.rewrite(volume, &named)?;
        if let Some(program) = &program {
            let mut place = Place::of_original(self.manifest, volume, self.owner);
            self.root.clone_into(&mut place.seen);
            let more: &[String] = match self.manifest.server.flavour {
                Flavour::MySql => &[format!("--innodb-directories={}", self.root.display())],
                Flavour::MariaDb => &[],
            };
            let left = self.with_server(program, &place, more, |session| self.left(session))?;
            if !left.is_empty() {
                return Err(self.refused(&left, "they name a place of the original, which cannot be changed"));
            }
        }
        Ok(program.is_some())
    }

    /// Whether a file is a tablespace, or names one, outside of the datadir's own places.
    fn is_remote(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match (self.manifest.server.flavour, extension) {
            (Flavour::MariaDb, Some("isl")) => true,
            (Flavour::MySql, Some("ibd" | "ibu")) => {
                let within = path.strip_prefix(&self.manifest.volume.datadir);
                !within.is_ok_and(|within| within.components().count() <= 2)
            }
            _ => false,
        }
    }

    /// The program that moves what only a server can; refused where there is none, or it cannot be started.
    fn server(&self, names: &[impl AsRef<str>]) -> Result<PathBuf> {
        if !geteuid().is_root() {
            return Err(self.refused(
                names,
                "only a server can move them, and starting one on the copy takes root",
            ));
        }
        if self.root.starts_with(&self.manifest.volume.mount_point) || may_be_covered(self.root).is_err() {
            return Err(self.refused(
                names,
                "only a server can move them, and none can be started there: choose another directory",
            ));
        }
        server::find(&self.settings.verify, &self.manifest.server)
            .map_err(|why| self.refused(names, &format!("only a server can move them: {why:#}")))
    }

    fn refused(&self, names: &[impl AsRef<str>], why: &str) -> Error {
        let more = names.len().saturating_sub(5);
        let shown: Vec<&str> = names.iter().take(5).map(AsRef::as_ref).collect();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let place = self.manifest.volume.mount_point.display();
        Error::new(
            Kind::Refused,
            format!(
                "a copy in {} would use files of the original in {place}: {}{more}: {why}; restore it where it was, on another machine with a \
                 volume mounted at {place}: glrl restore --in-place --backup {}",
                self.root.display(),
                shown.join(", "),
                self.manifest.id
            ),
        )
    }

    fn with_server<T>(
        &self,
        program: &Path,
        place: &Place,
        more: &[String],
        ask: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let doing = |why: String| {
            let message = format!(
                "a server is needed to move the copy from {}, and {why}",
                self.manifest.volume.mount_point.display()
            );
            Error::new(Kind::Failed, message)
        };
        let settings = &self.settings.verify;
        let started = ScratchServer::start(program, settings, self.manifest, place, more, self.interrupt)?;
        let (server, mut session) = started.map_err(|refused| doing(refused.why))?;
        session.rows("SET SESSION sql_log_bin = 0")?;
        let answer = ask(&mut session)?;
        drop(session);
        if let Some(refused) = server.stop(self.interrupt)? {
            return Err(doing(refused.why));
        }
        drop(server);
        place.tidy();
        Ok(answer)
    }

    /// What still names the original, asked of a server on the copy in its new place.
    fn left(&self, session: &mut Session) -> Result<Vec<String>> {
        let from = format!("{}/", self.manifest.volume.mount_point.display());
        let text = |text: &str| format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"));
        let (length, quoted) = (from.chars().count(), text(&from));
        let is_named = |column: &str| format!("LEFT({column}, {length}) = {quoted}");
        let files = match self.manifest.server.flavour {
            Flavour::MariaDb => ("FILENAME", "information_schema.INNODB_SYS_TABLESPACES"),
            Flavour::MySql => ("FILE_NAME", "information_schema.FILES"),
        };
        let sql = format!(
            "SELECT {0} AS value FROM {1} WHERE {2}",
            files.0,
            files.1,
            is_named(files.0)
        );
        let value = |mut row: crate::server::session::Columns| row.remove("value").flatten();
        let mut left: Vec<String> = session.rows(&sql)?.into_iter().filter_map(value).collect();
        if self.manifest.server.flavour == Flavour::MySql {
            session.rows(&format!(
                "UPDATE mysql.slave_relay_log_info SET Relay_log_name = CONCAT({}, SUBSTRING(Relay_log_name, {})) WHERE {}",
                text(&format!("{}/", self.root.display())),
                length + 1,
                is_named("Relay_log_name")
            ))?;
        }
        // Definitions of partitions have places in them.
        let tables = session.rows(
            "SELECT CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`') AS value \
             FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND CREATE_OPTIONS LIKE '%partitioned%'",
        )?;
        for table in tables.into_iter().filter_map(value) {
            self.interrupt.check()?;
            let said = session.rows(&format!("SHOW CREATE TABLE {table}"))?;
            let definition = said
                .into_iter()
                .find_map(|mut row| row.remove("Create Table").flatten());
            if definition.is_some_and(|definition| definition.contains(&format!("'{from}"))) {
                left.push(table);
            }
        }
        Ok(left)
    }

    /// Looks through the copy.
    fn look(&self, volume: &Path, below: &Path, named: &mut Named) -> Result<()> {
        let directory = volume.join(below);
        let doing = || format!("looking for paths in {}", directory.display());
        for entry in fs::read_dir(&directory).with_context(doing)? {
            self.interrupt.check()?;
            let entry = entry.with_context(doing)?;
            let kind = entry.file_type().with_context(doing)?;
            let path = below.join(entry.file_name());
            if kind.is_dir() {
                self.look(volume, &path, named)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).with_context(doing)?;
                if target.starts_with(&self.manifest.volume.mount_point) {
                    named.links.push(path);
                }
            } else if kind.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some(what) = what(&name) else { continue };
                if !holds(&entry.path(), &self.from())? {
                    continue;
                }
                match what {
                    What::Lines => named.lines.push(path),
                    What::Json => named.json.push(path),
                    What::Record => named.records.push(path.display().to_string()),
                    What::Definition if self.defines_a_place(&entry.path())? => {
                        named.definitions.push(path.display().to_string());
                    }
                    What::Definition => {}
                }
            }
        }
        Ok(())
    }

    /// Whether a definition has a path for a place, and not in a comment: for partitions, or for a file of the engine CONNECT.
    fn defines_a_place(&self, path: &Path) -> Anyhow<bool> {
        let directory = [b"DIRECTORY = '", &*self.from()].concat();
        Ok(holds(path, &directory)? || holds(path, b"CONNECT")?)
    }

    fn from(&self) -> Vec<u8> {
        format!("{}/", self.manifest.volume.mount_point.display()).into_bytes()
    }

    fn rewrite(&self, volume: &Path, named: &Named) -> Anyhow<()> {
        let mount_point = &self.manifest.volume.mount_point;
        let datadir = mount_point.join(&self.manifest.volume.datadir);
        for link in &named.links {
            let at = volume.join(link);
            let doing = || format!("moving the link {}", at.display());
            let target = fs::read_link(&at).with_context(doing)?;
            let rest = target.strip_prefix(mount_point).with_context(doing)?;
            fs::remove_file(&at).with_context(doing)?;
            symlink(self.root.join(rest), &at).with_context(doing)?;
            lchown(&at, Some(self.owner.uid), Some(self.owner.gid)).with_context(doing)?;
        }
        for (files, of_json) in [(&named.lines, false), (&named.json, true)] {
            for file in files {
                let at = volume.join(file);
                let doing = || format!("rewriting {}", at.display());
                let text = fs::read_to_string(&at).with_context(doing)?;
                let is_index = file.extension().is_some_and(|extension| extension == "index");
                let moved = if of_json {
                    in_json(&text, mount_point, self.root).with_context(doing)?
                } else {
                    in_lines(&text, mount_point, is_index.then_some(&*datadir), self.root)
                };
                // In place: it keeps its owner and mode, and nobody reads it yet.
                fs::write(&at, moved).with_context(doing)?;
            }
        }
        Ok(())
    }
}

fn is_isl(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "isl")
}

/// How a file may name a place.
enum What {
    Lines,
    Json,
    Record,
    Definition,
}

fn what(name: &str) -> Option<What> {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let begins = |begins: &[&str]| begins.iter().any(|begin| name.starts_with(begin));
    if ends(&[".isl", ".index", ".info", ".MRG"]) {
        Some(What::Lines)
    } else if name == "mysqld-auto.cnf" || name == "mysqld.my" || (name.starts_with("component_") && ends(&[".cnf"])) {
        Some(What::Json)
    } else if begins(&["ib_logfile", "#ib_redo", "aria_log.", "ddl_", "ddl-"]) || name == "mysql.ibd" {
        Some(What::Record)
    } else if ends(&[".frm"]) {
        Some(What::Definition)
    } else {
        None
    }
}

/// Whether a file holds these bytes.
fn holds(path: &Path, wanted: &[u8]) -> Anyhow<bool> {
    let doing = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(doing)?;
    let mut buffer = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..]).with_context(doing)?;
        if read == 0 {
            return Ok(false);
        }
        let end = kept + read;
        if buffer[..end].windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
        kept = end.min(wanted.len() - 1);
        buffer.copy_within(end - kept..end, 0);
    }
}

/// Lines that are paths below the mount point become paths of the copy; in an index (`datadir` is given) relative to the datadir where they
/// can, as servers write them themselves.
fn in_lines(text: &str, mount_point: &Path, datadir: Option<&Path>, root: &Path) -> String {
    let moved = |line: &str| {
        let path = Path::new(line);
        match (
            datadir.and_then(|datadir| path.strip_prefix(datadir).ok()),
            path.strip_prefix(mount_point),
        ) {
            (Some(name), _) => Path::new(".").join(name).display().to_string(),
            (_, Ok(rest)) => root.join(rest).display().to_string(),
            _ => line.to_owned(),
        }
    };
    let lines: Vec<String> = text.split('\n').map(moved).collect();
    lines.join("\n")
}

/// The same for the texts in JSON, which may be lists of paths (`a;b`).
fn in_json(text: &str, mount_point: &Path, root: &Path) -> Anyhow<String> {
    fn walk(value: &mut serde_json::Value, moved: &dyn Fn(&str) -> String) {
        match value {
            serde_json::Value::String(text) => *text = text.split(';').map(moved).collect::<Vec<_>>().join(";"),
            serde_json::Value::Array(values) => values.iter_mut().for_each(|value| walk(value, moved)),
            serde_json::Value::Object(values) => values.values_mut().for_each(|value| walk(value, moved)),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text)?;
    walk(&mut value, &|text| in_lines(text, mount_point, None, root));
    Ok(serde_json::to_string(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_lines_become_those_of_the_copy() {
        let text = "./binlog.000001\n/srv/db/data/binlog.000002\n/srv/db/logs/binlog.000003\n/elsewhere/binlog.000004\n/srv/dbx/y\n";
        let moved = |datadir| in_lines(text, Path::new("/srv/db"), datadir, Path::new("/copy"));
        assert_eq!(
            moved(Some(Path::new("/srv/db/data"))),
            "./binlog.000001\n./binlog.000002\n/copy/logs/binlog.000003\n/elsewhere/binlog.000004\n/srv/dbx/y\n"
        );
        // A file that names one file, without a line's end.
        let isl = in_lines("/srv/db/extra/s/i.ibd", Path::new("/srv/db"), None, Path::new("/copy"));
        assert_eq!(isl, "/copy/extra/s/i.ibd");
    }

    #[test]
    fn what_was_set_for_good_becomes_the_copys() {
        let text = r#"{"Version": 2, "mysql_static_variables": {"innodb_directories": {"Value": "/srv/db/a;/srv/db/b;/x", "Metadata": {"Timestamp": 1}}}}"#;
        let moved = in_json(text, Path::new("/srv/db"), Path::new("/copy")).unwrap();
        assert!(moved.contains(r#""Value":"/copy/a;/copy/b;/x""#), "{moved}");
        assert!(moved.contains(r#""Version":2"#), "{moved}");
    }

    #[test]
    fn bytes_are_found_across_the_ends_of_what_is_read_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("redo");
        let mut bytes = vec![b'/'; (1 << 20) - 4];
        bytes.extend_from_slice(b"/srv/db/extra");
        fs::write(&path, &bytes).unwrap();
        assert!(holds(&path, b"/srv/db/").unwrap());
        assert!(!holds(&path, b"/srv/dc/").unwrap());
    }
}
