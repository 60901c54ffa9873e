//! Options that an operator gives to the server on a copy.

use crate::model::server::{Use, VARIABLES};

/// Options that shut a throw-away server off, or that it is given by glrl's own settings.
const OWN: [&str; 37] = [
    "bind-address",
    "bootstrap",
    "chroot",
    "console",
    "core-file",
    "daemonize",
    "defaults-extra-file",
    "defaults-file",
    "defaults-group-suffix",
    "event-scheduler",
    "gdb",
    "general-log",
    "grant-tables",
    "help",
    "init-connect",
    "init-file",
    "initialize",
    "initialize-insecure",
    "innodb-buffer-pool-size",
    "innodb-force-recovery",
    "log-error",
    "master-info-file",
    "mysqlx",
    "networking",
    "no-defaults",
    "performance-schema",
    "persisted-globals-load",
    "pid-file",
    "port",
    "print-defaults",
    "relay-log-info-file",
    "replica-start",
    "secure-file-priv",
    "slave-start",
    "socket",
    "tmpdir",
    "user",
];

/// What is wrong with an option that the settings give to the throw-away server.
pub(crate) fn wrong(option: &str) -> Option<String> {
    let Some(rest) = option
        .strip_prefix("--")
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    else {
        return Some(format!("'{option}' is no option of a server: write --NAME=VALUE"));
    };
    let name = name_of(option);
    let places = VARIABLES
        .iter()
        .filter(|(_, purpose)| matches!(purpose, Use::Place | Use::Format));
    let by_manifest = places
        .map(|(name, _)| name.replace('_', "-"))
        .chain(["log-bin".to_owned()]);
    let own = OWN.iter().map(|name| (*name).to_owned()).chain(by_manifest);
    // A server takes the beginning of a name for the name.
    let set = own.filter(|own| own.starts_with(&name)).min_by_key(String::len)?;
    Some(format!(
        "--{} is set by glrl itself (--{set})",
        rest.split('=').next().unwrap_or(rest)
    ))
}

/// An option's name, as its server understands it.
pub(crate) fn name_of(option: &str) -> String {
    let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
    let mut name = name.to_lowercase().replace('_', "-");
    for prefix in ["loose-", "skip-", "disable-", "enable-", "maximum-", "autoset-"] {
        if let Some(rest) = name.strip_prefix(prefix) {
            name = rest.to_owned();
        }
    }
    name
}
