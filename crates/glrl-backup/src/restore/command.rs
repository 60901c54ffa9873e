//! What is to be done with what was restored: the command that starts a server on a copy, and what a server in its old place must be told.

use std::{collections::BTreeMap, path::Path};

use glrl_node::value::text;
use nix::unistd::geteuid;

use crate::{
    model::{manifest::Manifest, server::Flavour},
    scratch::{
        options::{self, Told},
        server,
    },
    settings::Settings,
};

/// The longest path of a unix socket (unix(7)), without its last byte.
const LONGEST_SOCKET: usize = 107;
/// What a server on the copy keeps of it, while it has the keys to do so.
const ENCRYPTED: [&str; 7] = [
    "innodb_encrypt_tables",
    "innodb_encrypt_log",
    "aria_encrypt_tables",
    "encrypt_binlog",
    "default_table_encryption",
    "binlog_encryption",
    "innodb_compression_algorithm",
];
const TEXTS: [&str; 2] = ["character_set_server", "collation_server"];

/// The command that starts a server on the copy at `root` as it is, for a shell. It replicates nothing, runs no events, and has a socket of
/// its own. `remote`: the copy has tablespaces outside of its datadir.
pub(crate) fn start(settings: &Settings, manifest: &Manifest, root: &Path, remote: bool) -> anyhow::Result<String> {
    let server = &manifest.server;
    let given = &settings.verify.server_options;
    let datadir = options::datadir(manifest, root)?;
    let program = server::find(&settings.verify, server).ok();
    let defaults = program
        .as_ref()
        .and_then(|program| options::defaults(program, false).ok());
    let name = program.as_ref().map_or_else(
        || match server.flavour {
            Flavour::MariaDb => "mariadbd".to_owned(),
            Flavour::MySql => "mysqld".to_owned(),
        },
        |program| program.display().to_string(),
    );
    let mut words = vec![name, "--no-defaults".to_owned()];
    if geteuid().is_root() {
        words.push(format!("--user={}", settings.verify.user));
    }
    let told = options::told(manifest, root)?;
    let lacking = told
        .iter()
        .filter(|told| told.variable == "datadir" || differs(told, defaults.as_ref(), &datadir));
    words.extend(lacking.map(Told::as_argument));
    if remote && server.flavour == Flavour::MySql {
        words.push(format!("--innodb-directories={}", root.display()));
    }
    let keeps = ENCRYPTED.iter().filter(|_| !given.is_empty()).chain(&TEXTS);
    for variable in keeps {
        let Some(value) = server.variable(variable) else {
            continue;
        };
        let default = defaults.as_ref().and_then(|defaults| defaults.get(*variable));
        if !default.is_some_and(|default| options::same(default, value)) {
            words.push(format!("--{}={value}", variable.replace('_', "-")));
        }
    }
    words.extend(replica(manifest, root, &datadir));
    if let Some(program) = &program {
        words.extend(server::plugins(program, server, given)?.0.options);
    }
    let socket = datadir.join("glrl-copy.sock");
    let socket = if socket.as_os_str().len() > LONGEST_SOCKET {
        Path::new("/tmp").join(format!("{}.sock", manifest.id))
    } else {
        socket
    };
    words.push(format!("--socket={}", socket.display()));
    words.push(format!("--pid-file={}", datadir.join("glrl-copy.pid").display()));
    words.extend(options::quiet(server).into_iter().map(str::to_owned));
    words.extend(given.iter().cloned());
    Ok(words.iter().map(|word| text::word(word)).collect::<Vec<_>>().join(" "))
}

/// What a copy of a replica needs for a start: its relay logs where the copy has them; where it has none, no word of them.
fn replica(manifest: &Manifest, root: &Path, datadir: &Path) -> Option<String> {
    if manifest.coordinates.replicas.is_empty() {
        return None;
    }
    let relay = manifest.server.variable("relay_log_basename").map(Path::new);
    match relay.and_then(|relay| relay.strip_prefix(&manifest.volume.mount_point).ok()) {
        Some(rest) => Some(format!("--relay-log={}", root.join(rest).display())),
        None => (manifest.server.flavour == Flavour::MariaDb)
            .then(|| format!("--master-info-file={}", datadir.join("glrl-no-replica.info").display())),
    }
}

/// What a server in the old place was told, and this node's option files do not say, as `name=value`; nothing where that is not known.
pub(crate) fn not_told_here(settings: &Settings, manifest: &Manifest) -> Vec<String> {
    let place = &manifest.volume.mount_point;
    let known = || -> Option<Vec<String>> {
        let program = server::find(&settings.verify, &manifest.server).ok()?;
        let here = options::defaults(&program, true).ok()?;
        let datadir = options::datadir(manifest, place).ok()?;
        let told = options::told(manifest, place).ok()?;
        let differing = told.iter().filter(|told| differs(told, Some(&here), &datadir));
        Some(
            differing
                .map(|told| told.as_argument().trim_start_matches('-').to_owned())
                .collect(),
        )
    };
    known().unwrap_or_default()
}

/// Whether a server would not have a value by itself.
fn differs(told: &Told, defaults: Option<&BTreeMap<String, String>>, datadir: &Path) -> bool {
    let name = match told.variable {
        // It has MySQL's datadir asked, and there is none.
        "lower_case_table_names" if told.value == "0" => return false,
        "log_bin_basename" => "log_bin",
        "have_symlink" => "symbolic_links",
        name => name,
    };
    let Some(default) = defaults.and_then(|defaults| defaults.get(name)) else {
        return true;
    };
    let path = |value: &str| datadir.join(value).components().collect::<std::path::PathBuf>();
    let same = match told.variable {
        "log_bin" => default.is_empty(),
        "log_bin_index" => default.is_empty() && Path::new(&told.value).extension().is_some_and(|end| end == "index"),
        _ if told.value.starts_with('/') => path(default) == path(&told.value),
        _ => options::same(default, &told.value),
    };
    !same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_every_word_for_one() {
        for (word, quoted) in [
            ("--datadir=/srv/a", "--datadir=/srv/a"),
            (
                "--innodb-data-file-path=a:12M;b:12M",
                "'--innodb-data-file-path=a:12M;b:12M'",
            ),
            ("--datadir=/srv/it's here", r"'--datadir=/srv/it'\''s here'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(text::word(word), quoted);
        }
    }
}
