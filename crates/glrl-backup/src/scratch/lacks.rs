//! What a throw-away server lacks that the real one had: plugins with engines, with compressions, with keys; keys themselves. It says
//! nothing about the data, and must be told from damage, for servers call both by the same words: MariaDB without a key says "Data
//! structure corruption", and of a broken page under a key that it has, "Table is encrypted but decrypt failed".

use std::{collections::BTreeSet, path::Path};

use glrl_node::value::text::word;
use serde_json::json;

use crate::{
    model::{
        error::Result,
        server::{Flavour, Plugin, Server},
    },
    server::session::Session,
    settings::VerifySettings,
};

/// How MySQL says, in a warning, that a key is not the one by which its redo log was written; the error behind that is called corruption.
const ENCRYPTION_OF_LOG: &str = "encryption information in the redo log";

/// How servers say that something is not here that was at the original. In lower case.
const NOT_HERE: [&str; 19] = [
    "unknown storage engine",
    "feature is disabled; you need",
    "encryption key is not found",
    "redo log encryption key version",
    "initialization of encryption failed",
    "encryption plugin is not available",
    "find master key",
    "keyring is not loaded",
    "keyring is loaded",
    "check keyring fail",
    ENCRYPTION_OF_LOG,
    "components from manifest file",
    "provider plugin is not loaded",
    "which is not currently loaded",
    "unknown collation",
    "unknown character set",
    "unknown variable",
    "unknown option",
    "can't open shared library",
];

/// What is known to be lacking.
#[derive(Debug, Default)]
pub(crate) struct Lacks {
    /// Options were given, and by them keys: that a table cannot be decrypted is then no excuse by itself.
    keys_given: bool,
    /// Tables, `schema/table`, whose keys the server does not have.
    tables: BTreeSet<String>,
    /// The same as their files are called.
    files: BTreeSet<String>,
}

impl Lacks {
    /// Before a server is asked.
    pub(crate) fn unknown(settings: &VerifySettings) -> Self {
        Self {
            keys_given: !settings.server_options.is_empty(),
            ..Self::default()
        }
    }

    /// Asks a server for the keys that it does not have for the tables that it has opened.
    pub(crate) fn ask(&mut self, flavour: Flavour, session: &mut Session) -> Result<()> {
        // MySQL names the missing key for each table. 4294967295 is ENCRYPTION_KEY_VERSION_INVALID.
        if flavour == Flavour::MariaDb {
            let plain =
                |part: &str| format!("CONVERT(CONVERT(CONVERT({part} USING binary) USING filename) USING utf8mb4)");
            let (schema, table) = (
                "SUBSTRING_INDEX(NAME, '/', 1)",
                "SUBSTRING_INDEX(SUBSTRING_INDEX(NAME, '/', -1), '#', 1)",
            );
            let rows = session.rows(&format!(
                "SELECT NAME AS file, CONCAT({}, '/', {}) AS name FROM information_schema.INNODB_TABLESPACES_ENCRYPTION \
                 WHERE CURRENT_KEY_VERSION = 4294967295",
                plain(schema),
                plain(table)
            ))?;
            for mut row in rows {
                self.tables.extend(row.remove("name").flatten());
                self.files.extend(row.remove("file").flatten());
            }
        }
        Ok(())
    }

    /// Adds the tables whose pages are whole and cannot be decrypted, as the log says: the keys that were given are others.
    pub(crate) fn read(&mut self, log: &str) {
        let file = |line: &str| {
            let name = line.split_once("./")?.1.split_once(".ibd")?.0;
            Some(name.to_owned())
        };
        let of = |words: &str| -> BTreeSet<String> {
            log.lines()
                .filter(|line| line.contains(words))
                .filter_map(file)
                .collect()
        };
        for name in of("decrypt failed").difference(&of("looks corrupted")) {
            self.tables.insert(plain(name.split('#').next().unwrap_or_default()));
            self.files.insert(name.clone());
        }
    }

    /// Whether what a server says of a table, or a program of a file, is about what is not here, and not about the data.
    pub(crate) fn excuse(&self, table: &str, said: &str) -> bool {
        if self.tables.contains(&table.replacen('.', "/", 1)) {
            return true;
        }
        // What a table is called says nothing about what is wrong with it.
        let names = table
            .split(['.', '/'])
            .filter(|name| !name.is_empty() && self.excuses(name));
        let but_names = names.fold(said.to_owned(), |said, name| said.replace(name, "…"));
        self.excuses(&but_names)
    }

    /// Whether a complaint in the log is about a table whose keys are not here.
    pub(crate) fn excuse_line(&self, line: &str) -> bool {
        let names = |table: &String| line.contains(&format!("`{}`", table.replacen('/', "`.`", 1)));
        let is_of = |file: &String| line.contains(&format!("./{file}.ibd"));
        self.tables.iter().any(names) || self.files.iter().any(is_of) || not_here(line).is_some()
    }

    fn excuses(&self, said: &str) -> bool {
        not_here(said).is_some() || (!self.keys_given && of_keys(said))
    }

    /// The line of a log, of all of it, by which a server that has ended says what it lacks.
    pub(crate) fn found_in<'a>(&self, log: &'a str) -> Option<&'a str> {
        let error = |line: &&str| line.contains("[ERROR]") || line.to_lowercase().contains(ENCRYPTION_OF_LOG);
        let lines = || log.lines().filter(error);
        let clear = lines().find(|line| not_here(&without_paths(line)).is_some());
        clear.or_else(|| lines().find(|line| !self.keys_given && of_keys(&without_paths(line))))
    }
}

/// A name from that of its file, in which `@0020` is a blank.
fn plain(file: &str) -> String {
    let mut parts = file.split('@');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..4).and_then(|code| u32::from_str_radix(code, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => name.extend([character.to_string().as_str(), &part[4..]]),
            None => name.extend(["@", part]),
        }
    }
    name
}

fn not_here(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    // A throw-away server without InnoDB has failed for a reason that is said elsewhere.
    let innodb = said.contains("storage engine: innodb");
    NOT_HERE.into_iter().find(|words| said.contains(words) && !innodb)
}

/// Whether something is said of encryption at all.
fn of_keys(said: &str) -> bool {
    let said = said.to_lowercase();
    ["encrypt", "decrypt", "keyring"].iter().any(|word| said.contains(word))
}

/// A server's words without the files that it names, which may be called anything: `file './shop/encrypted_notes.ibd'`.
fn without_paths(said: &str) -> String {
    let is_path = |part: &str| part.contains('/');
    let quoted = |part: &&str| is_path(part) && !part.contains(char::is_whitespace);
    let said: String = said.split('\'').filter(|part| !quoted(part)).collect();
    said.split(' ')
        .filter(|word| !is_path(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// What to do, so that `program` on a copy has all that it lacks; empty where the manifest knows of nothing. `directory` has its plugins.
pub(crate) fn remedy(server: &Server, missing: &[Plugin], program: &Path, directory: &str, given: &[String]) -> String {
    let mut says = Vec::new();
    if !missing.is_empty() {
        let named: Vec<String> = missing
            .iter()
            .map(|plugin| format!("{} ({})", plugin.name, plugin.library))
            .collect();
        says.push(format!(
            "the original has {} from plugins that are not in {directory}: install their packages, or name the directory that has them: \
             --set 'verify.server_options=[\"--plugin-dir=DIRECTORY\"]'",
            named.join(", ")
        ));
    }
    let keys = server.libraries.iter().find(|plugin| plugin.has_keys());
    let given = |option: &str| given.iter().any(|given| given.contains(option));
    let ask = |option: &str, variable: &str| {
        let value = server.variable(variable).unwrap_or("FILE");
        let options = json!([format!("{option}={value}")]);
        format!("give it by --set {}", word(&format!("verify.server_options={options}")))
    };
    match keys {
        Some(plugin) => {
            let what = if plugin.is_component() { "component" } else { "plugin" };
            let how = match plugin.name.as_str() {
                "file_key_management" if !given("key-management") => {
                    ask("--file-key-management-filename", "file_key_management_filename")
                }
                "keyring_file" if !given("keyring") => ask("--keyring-file-data", "keyring_file_data"),
                _ if plugin.is_component() => of_component(server, plugin, program, Path::new(directory)),
                _ => "give it by verify.server_options".to_owned(),
            };
            says.push(format!(
                "the original has its keys from the {what} {} ({}): bring the file with its keys here, readable by the server's account, \
                 and {how}",
                plugin.name, plugin.library
            ));
        }
        None if server.flavour == Flavour::MySql && missing.is_empty() => says.push(
            "the original has its keys from a keyring component: have one with its keys here (mysqld.my beside the server), or give \
             verify.server_options"
                .to_owned(),
        ),
        None => {}
    }
    says.join("; ")
}

/// How a component is told where its keys are: by two files of this machine. Those that are there are not written over.
fn of_component(server: &Server, component: &Plugin, program: &Path, directory: &Path) -> String {
    let mut manifest = program.as_os_str().to_owned();
    manifest.push(".my");
    let manifest = Path::new(&manifest);
    let settings = directory.join(format!("{}.cnf", component.name));
    let (named, configured) = (manifest.display().to_string(), settings.display().to_string());
    if component.name != "component_keyring_file" || manifest.exists() || settings.exists() {
        return format!("have {named} name the component, and {configured} the file, as on the original");
    }
    let write = |what: serde_json::Value, to: &str| format!("echo {} > {}", word(&what.to_string()), word(to));
    format!(
        "name both here: {} && {}",
        write(json!({ "components": format!("file://{}", component.name) }), &named),
        write(
            json!({ "path": server.component_file().unwrap_or("FILE"), "read_only": true }),
            &configured
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MariaDB 10.6 to 11.8 and MySQL 8.0 say at the start, somewhere in their logs.
    #[test]
    fn a_missing_key_is_found_in_all_of_the_log() {
        let last =
            "0 [ERROR] InnoDB: Plugin initialization aborted with error Data structure corruption\n0 [ERROR] Aborting";
        for line in [
            "0 [ERROR] InnoDB: Encryption key is not found for ./s/t.ibd",
            "0 [ERROR] InnoDB: Obtaining redo log encryption key version 1 failed (4294967295). Maybe the key or the required encryption key management plugin was not found.",
            "0 [ERROR] mariadbd: Initialization of encryption failed for ./s/ar.MAD",
            "1 [ERROR] [MY-013063] [InnoDB] Redo log was encrypted, but keyring is not loaded.",
            "1 [ERROR] [MY-012657] [InnoDB] Encryption can't find master key, please check the keyring plugin is loaded.",
            "0 [ERROR] InnoDB: Tablespace './shop/t.ibd' is encrypted, can't decrypt.",
            "0 [ERROR] mariadbd: unknown variable 'key-file=x'",
            "1 [Warning] [MY-012189] [InnoDB] Encryption information in the redo log of space 2 is invalid",
            "0 [ERROR] [MY-013709] [Server] Received an error while processing components from manifest file: Failed to load components from manifest file",
        ] {
            let log = format!("0 [Note] starting\n{line}\n{last}\n");
            assert_eq!(Lacks::default().found_in(&log), Some(line));
        }
        for line in [
            "0 [ERROR] InnoDB: Failed to read page 3 from file './shop/encrypted_notes.ibd': Page read is corrupted.",
            "0 [ERROR] InnoDB: Cannot apply log to [page id: space=5, page number=0] of corrupted file ./keyring/decrypt.ibd",
            "0 [ERROR] Unknown/unsupported storage engine: InnoDB",
        ] {
            assert_eq!(Lacks::default().found_in(&format!("{line}\n{last}\n")), None, "{line}");
        }
    }

    /// What MariaDB 10.6 says of a page that is damaged, and of one under another key.
    #[test]
    fn a_damaged_page_is_told_from_one_under_another_key() {
        let mut lacks = Lacks {
            keys_given: true,
            ..Lacks::default()
        };
        lacks.read(
            "0 [ERROR] InnoDB: Encrypted page [page id: space=5, page number=3] in file ./s/damaged.ibd looks corrupted; key_version=1\n\
             0 [ERROR] InnoDB: Failed to read page 3 from file './s/damaged.ibd': Table is encrypted but decrypt failed.\n\
             0 [ERROR] InnoDB: Failed to read page 3 from file './s/o@0020ther.ibd': Table is encrypted but decrypt failed.\n",
        );
        let compressed = "error Table `s`.`p` is compressed with lz4, which is not currently loaded. Please load the lz4 provider plugin";
        assert!(lacks.excuse("s.p", compressed));
        let said = "Error Table 's.t' doesn't exist in engine";
        assert!(lacks.excuse("s.o ther", said) && !lacks.excuse("s.damaged", said));
        assert!(!lacks.excuse("s.damaged", "Table is encrypted but decrypt failed"));
        assert!(
            lacks.excuse_line("2 [ERROR] InnoDB: Table `s`.`o ther` is corrupted. Please drop the table and recreate.")
        );
        assert!(!lacks.excuse_line("2 [ERROR] InnoDB: File './s/damaged.ibd' is corrupted"));
    }
}
