//! The options of a server on a copy of a volume: what the manifest says that the real server was told, with the volume's places where
//! the copy has them.
//!
//! A manifest may be hostile: places outside of the volume are refused, and only plain names of libraries are taken, from the directory of
//! the program's own plugins.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};
use glrl_node::system::programs::Program;

use crate::{
    model::{
        manifest::Manifest,
        server::{Flavour, Plugin, Server, Use, VARIABLES, Version},
    },
    settings::server_options::name_of,
};

/// Engines that a server has without plugins, and that tables are made with when nothing is said.
const BUILT_IN: [&str; 4] = ["InnoDB", "MyISAM", "Aria", "MEMORY"];
/// Engines whose rows are in another server, or another service: no part of a backup, and nothing that a copy may reach.
pub(crate) const ELSEWHERE: [&str; 5] = ["FEDERATED", "FEDERATEDX", "SPIDER", "SPHINX", "S3"];

/// One option of a server on a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The variable that the manifest has.
    pub(crate) variable: &'static str,
    option: String,
    pub(crate) value: String,
}

impl Told {
    pub(crate) fn as_argument(&self) -> String {
        if self.option.starts_with("skip-") {
            return format!("--{}", self.option);
        }
        format!("--{}={}", self.option, self.value)
    }
}

/// Where the volume was, and where the copy of it is.
#[derive(Debug, Clone, Copy)]
struct Moved<'a> {
    from: &'a Path,
    to: &'a Path,
}

impl Moved<'_> {
    /// A place in the copy; `None` where it was not in the volume.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(self.from).ok()?;
        let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| self.to.join(rest).components().collect())
    }

    fn must(&self, name: &str, path: &Path) -> Result<String> {
        let place = self.place(path);
        let place =
            place.with_context(|| format!("the manifest says that {name} is {}: not in the volume", path.display()))?;
        Ok(place.display().to_string())
    }
}

/// Where the datadir is in a copy whose root directory is `root`.
pub(crate) fn datadir(manifest: &Manifest, root: &Path) -> Result<PathBuf> {
    let moved = Moved {
        from: &manifest.volume.mount_point,
        to: root,
    };
    let datadir = manifest.volume.mount_point.join(&manifest.volume.datadir);
    moved.must("the datadir", &datadir).map(PathBuf::from)
}

/// All that decides whether a server can read the data, for a copy whose root directory is `root`.
pub(crate) fn told(manifest: &Manifest, root: &Path) -> Result<Vec<Told>> {
    let server = &manifest.server;
    let moved = Moved {
        from: &manifest.volume.mount_point,
        to: root,
    };
    let mut all = vec![Told {
        variable: "datadir",
        option: "datadir".to_owned(),
        value: datadir(manifest, root)?.display().to_string(),
    }];
    let mut add = |variable, option: &str, value: String| {
        all.push(Told {
            variable,
            option: option.to_owned(),
            value,
        });
    };
    for (name, purpose) in VARIABLES.iter().filter(|(name, _)| *name != "datadir") {
        let Some(value) = server.variable(name) else { continue };
        let option = match *name {
            // Without a binary log its options would switch it on.
            "log_bin_basename" | "log_bin_index" if !server.logs() => continue,
            // MySQL has always two, and refuses to be told.
            "innodb_undo_tablespaces" if server.flavour == Flavour::MySql => continue,
            // One of a plugin may not be there, and the server would not start.
            "default_storage_engine" if !BUILT_IN.iter().any(|engine| value.eq_ignore_ascii_case(engine)) => continue,
            "log_bin_basename" => "log-bin".to_owned(),
            name if name.starts_with("file_key_management") => format!("loose-{}", name.replace('_', "-")),
            name => name.replace('_', "-"),
        };
        match purpose {
            Use::Place => add(name, &option, moved.must(name, Path::new(value))?),
            Use::Format if *name == "innodb_data_file_path" => {
                let (files, absolute) = system_files(value, &moved)?;
                if absolute && server.variable("innodb_data_home_dir").is_none() {
                    add("innodb_data_home_dir", "innodb-data-home-dir", String::new());
                }
                add(name, &option, files);
            }
            Use::Format | Use::Detail => add(name, &option, value.to_owned()),
            Use::Record => {}
        }
    }
    if !server.logs() {
        add("log_bin", "skip-log-bin", "OFF".to_owned());
    }
    if let Some(symlinks) = server.variable("have_symlink") {
        let on = if symlinks == "YES" { "1" } else { "0" };
        add("have_symlink", "symbolic-links", on.to_owned());
    }
    let within = |directory: &str| {
        let directory = manifest
            .volume
            .mount_point
            .join(&manifest.volume.datadir)
            .join(directory.trim_matches('"'));
        moved.place(&directory).map(|place| place.display().to_string())
    };
    // Those elsewhere hold nothing: a backup of tablespaces outside of the volume is refused.
    let directories = server.variable("innodb_directories").unwrap_or_default().split(';');
    let directories: Vec<String> = directories.filter(|name| !name.is_empty()).filter_map(within).collect();
    if !directories.is_empty() {
        add("innodb_directories", "innodb-directories", directories.join(";"));
    }
    Ok(all)
}

/// The files of `innodb_data_file_path` where the copy has them, and whether one has an absolute path.
fn system_files(value: &str, moved: &Moved<'_>) -> Result<(String, bool)> {
    let mut absolute = false;
    let file = |file: &str| -> Result<String> {
        let (path, rest) = file.split_once(':').unwrap_or((file, ""));
        if !path.starts_with('/') {
            return Ok(file.to_owned());
        }
        absolute = true;
        Ok(format!(
            "{}:{rest}",
            moved.must("innodb_data_file_path", Path::new(path))?
        ))
    };
    let files = value.split(';').map(file).collect::<Result<Vec<_>>>()?;
    Ok((files.join(";"), absolute))
}

/// What keeps a server on a copy from doing anything by itself: replicate, run events, take up what the original was told for good, or
/// answer to the network.
pub(crate) fn quiet(server: &Server) -> Vec<&'static str> {
    let mut options = vec!["--skip-networking", "--event-scheduler=OFF"];
    options.push(match server.flavour {
        Flavour::MySql if server.version >= Version(8, 0, 26) => "--skip-replica-start",
        Flavour::MySql | Flavour::MariaDb => "--skip-slave-start",
    });
    if server.flavour == Flavour::MySql {
        // Debian's MySQL does not start without /var/lib/mysql-files, which a node with its programs alone does not have.
        options.extend([
            "--persisted-globals-load=OFF",
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
        ]);
    }
    options
}

/// Plugins without which tables cannot be read, split into options that load them and those whose libraries are not here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plugins {
    pub(crate) options: Vec<String>,
    pub(crate) missing: Vec<Plugin>,
}

/// The plugins that reading takes, from the directory where this program has its own. One that has keys is loaded where `given` options
/// say where the keys are.
pub(crate) fn plugins(server: &Server, directory: &Path, given: &[String]) -> Plugins {
    let mut plugins = Plugins::default();
    let plain = |name: &str| {
        let mut bytes = name.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) && !name.starts_with(['.', '-'])
    };
    let loaded = |plugin: &Plugin| {
        let stem = plugin.library.trim_end_matches(".so");
        given
            .iter()
            .any(|option| name_of(option).contains("plugin-load") && option.contains(stem))
    };
    for plugin in server.libraries.iter().filter(|plugin| is_for_reading(plugin)) {
        if !plain(&plugin.name) || !plain(&plugin.library) || loaded(plugin) {
            continue;
        }
        let with_keys = plugin.has_keys();
        let prefix = plugin.name.to_lowercase().replace('_', "-");
        let configured = || given.iter().any(|option| name_of(option).starts_with(&prefix));
        if !directory.join(&plugin.library).is_file() {
            plugins.missing.push(plugin.clone());
        } else if !plugin.is_component() && (!with_keys || configured()) {
            let option = match server.flavour {
                Flavour::MySql if with_keys => "early-plugin-load",
                _ => "plugin-load-add",
            };
            plugins
                .options
                .push(format!("--{option}={}={}", plugin.name, plugin.library));
        }
    }
    plugins
}

fn is_for_reading(plugin: &Plugin) -> bool {
    match plugin.kind.as_str() {
        "STORAGE ENGINE" => !ELSEWHERE.contains(&plugin.name.to_uppercase().as_str()),
        "FTPARSER" | "DATA TYPE" | "FUNCTION" => true,
        // MariaDB's compressions call themselves so.
        "DAEMON" => plugin.name.starts_with("provider_"),
        _ => plugin.has_keys(),
    }
}

/// The values that a server program would have by itself, by variable: with its option files or without.
pub(crate) fn defaults(program: &Path, option_files: bool) -> Result<BTreeMap<String, String>> {
    let said = Program::new(program.to_string_lossy())
        .args((!option_files).then_some("--no-defaults"))
        .args(["--verbose", "--help"])
        .stdout()?;
    let said = String::from_utf8_lossy(&said);
    let table = said.lines().skip_while(|line| !line.starts_with("-----"));
    let line = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let value = value.trim().replace("(No default value)", "");
        Some((name.replace('-', "_"), value))
    };
    Ok(table
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(line)
        .collect())
}

/// Whether two values mean the same: servers show switches and sizes in several ways.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let plain = |value: &str| {
        let value = value.to_lowercase();
        match value.as_str() {
            "true" | "on" | "1" | "yes" => "1".to_owned(),
            "false" | "off" | "0" | "no" | "disabled" => "0".to_owned(),
            other => other.trim_end_matches('/').to_owned(),
        }
    };
    plain(one) == plain(other)
}
