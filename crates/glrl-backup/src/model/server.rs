//! What a server is: flavour, version, and the variables that say where its files lie and how they are to be read.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::model::error::Result;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// MariaDB.
    MariaDb,
    /// MySQL, and what is built from it without being MariaDB.
    MySql,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

/// `10.11.19`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// The version at the beginning of `10.11.19-MariaDB-0+deb12u1-log`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text
            .split(|c: char| c != '.' && !c.is_ascii_digit())
            .next()?
            .split('.')
            .map(str::parse);
        Some(Self(parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
    }

    /// Whether both are of one release series, within which a server reads the other's files.
    pub fn same_series(self, other: Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("'{text}' is not a server's version"))
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

/// What a variable is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A directory or file that must be in the volume; a server on the data is told it again.
    Place,
    /// A server on the data must have it the same.
    Format,
    /// The same, and manifests of older versions lack it: `verify.server_options` may give it.
    Detail,
    /// For the reader of the manifest.
    Record,
}

/// The variables that a manifest holds. A server that lacks one does not need it.
pub(crate) const VARIABLES: &[(&str, Use)] = &[
    ("datadir", Use::Place),
    ("innodb_data_home_dir", Use::Place),
    ("innodb_log_group_home_dir", Use::Place),
    ("innodb_undo_directory", Use::Place),
    ("innodb_doublewrite_dir", Use::Place),
    ("aria_log_dir_path", Use::Place),
    ("log_bin_basename", Use::Place),
    ("log_bin_index", Use::Place),
    ("innodb_data_file_path", Use::Format),
    ("innodb_page_size", Use::Format),
    ("innodb_log_file_size", Use::Format),
    ("innodb_redo_log_capacity", Use::Format),
    ("innodb_undo_tablespaces", Use::Format),
    ("lower_case_table_names", Use::Format),
    ("server_id", Use::Format),
    ("gtid_mode", Use::Format),
    ("enforce_gtid_consistency", Use::Format),
    ("gtid_domain_id", Use::Format),
    ("default_storage_engine", Use::Format),
    ("partial_revokes", Use::Format),
    ("innodb_checksum_algorithm", Use::Detail),
    ("innodb_log_files_in_group", Use::Detail),
    ("aria_block_size", Use::Detail),
    ("ft_min_word_len", Use::Detail),
    ("ft_max_word_len", Use::Detail),
    ("plugin_maturity", Use::Detail),
    ("file_key_management_encryption_algorithm", Use::Detail),
    ("file_key_management_digest", Use::Detail),
    ("file_key_management_use_pbkdf2", Use::Detail),
    ("log_bin", Use::Record),
    ("binlog_encryption", Use::Record),
    ("encrypt_binlog", Use::Record),
    ("relay_log_basename", Use::Record),
    ("relay_log_index", Use::Record),
    ("relay_log_info_file", Use::Record),
    ("have_symlink", Use::Record),
    ("character_sets_dir", Use::Record),
    ("innodb_compression_algorithm", Use::Record),
    ("innodb_encrypt_tables", Use::Record),
    ("innodb_encrypt_log", Use::Record),
    ("aria_encrypt_tables", Use::Record),
    ("default_table_encryption", Use::Record),
    ("innodb_redo_log_encrypt", Use::Record),
    ("innodb_undo_log_encrypt", Use::Record),
    ("file_key_management_filename", Use::Record),
    ("keyring_file_data", Use::Record),
    ("pid_file", Use::Record),
    ("socket", Use::Record),
    ("innodb_directories", Use::Record),
    ("innodb_flush_log_at_trx_commit", Use::Record),
    ("sync_binlog", Use::Record),
    ("binlog_format", Use::Record),
    ("character_set_server", Use::Record),
    ("collation_server", Use::Record),
];

/// The kind of MySQL's keyring components, which are no plugins: files beside the server's program and beside its libraries say what is loaded.
pub(crate) const COMPONENT: &str = "KEYRING COMPONENT";
/// The file of a component's keys: what no variable of a server says.
pub(crate) const COMPONENT_FILE: &str = "keyring_component_data_file";

/// A plugin that a server has loaded from a library, or the component that has its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name: `ARCHIVE`.
    pub name: String,
    /// Its library in the plugin directory: `ha_archive.so`.
    pub library: String,
    /// What it is to the server: `STORAGE ENGINE`, `ENCRYPTION`, `KEYRING COMPONENT`.
    pub kind: String,
}

impl Plugin {
    /// Whether it holds, or fetches, keys.
    pub(crate) fn has_keys(&self) -> bool {
        matches!(self.kind.as_str(), "ENCRYPTION" | "KEYRING" | COMPONENT)
    }

    /// Whether it is loaded by files, and by no option.
    pub(crate) fn is_component(&self) -> bool {
        self.kind == COMPONENT
    }
}

/// A server, as its manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// MariaDB or MySQL.
    pub flavour: Flavour,
    /// Three numbers.
    pub version: Version,
    /// The server's own words: `10.11.19-MariaDB-0+deb12u1-log`.
    pub version_text: String,
    /// MySQL's `server_uuid`, MariaDB's `server_uid`.
    pub uuid: Option<String>,
    /// Plugins loaded from libraries: a server without them may not read all tables.
    pub plugins: Vec<String>,
    /// The same with their libraries; empty in manifests of versions that did not say.
    #[serde(default)]
    pub libraries: Vec<Plugin>,
    /// Variables by name: see `VARIABLES`.
    pub variables: BTreeMap<String, String>,
}

impl Server {
    /// A variable's value; `None` where the server has none, or an empty one.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Where the keys of its keyring component are.
    pub(crate) fn component_file(&self) -> Option<&str> {
        self.variable(COMPONENT_FILE)
    }

    /// Whether it writes a binary log.
    pub fn logs(&self) -> bool {
        matches!(self.variable("log_bin"), Some("ON" | "1"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.flavour, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_say() {
        for (text, version) in [
            ("10.11.19-MariaDB-0+deb12u1-log", Version(10, 11, 19)),
            ("8.0.36-0ubuntu0.22.04.1", Version(8, 0, 36)),
            ("9.7.0", Version(9, 7, 0)),
        ] {
            assert_eq!(Version::parse(text), Some(version));
        }
        assert_eq!(Version::parse("MariaDB"), None);
        assert!(Version(10, 11, 3).same_series(Version(10, 11, 19)));
        assert!(!Version(10, 6, 3).same_series(Version(10, 11, 3)));
    }
}
