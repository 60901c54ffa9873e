//! An archived binary log: two files in the directory `mysql-INSTANCE.binlogs` of the target, `NAME` being `binlog.000042-20261101T031500Z`,
//! the log's name and when it was begun, so that a log that has the name of an older one after RESET MASTER stands beside it:
//!
//! - `NAME.zst`, or `NAME.zst.age` where it is encrypted: the log;
//! - `NAME.json`: what it is. It is written last and is the commit record.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use petgraph::{algo::toposort, graph::DiGraph};

use crate::{
    model::{
        binlog::{Entry, RECORD, SCHEMA, log},
        digests::Digests,
        encryption::Encryption,
        error::{self, Kind, OfKind},
        id::Instance,
        maker::Maker,
    },
    settings::{Settings, encryption::EncryptionSettings},
    store::encryption::stream::unseal,
};

/// Where an instance's logs are.
pub(crate) fn directory(settings: &Settings) -> PathBuf {
    of_instance(&settings.target.directory, &settings.instance)
}

fn of_instance(target: &Path, instance: &Instance) -> PathBuf {
    target.join(format!("mysql-{instance}.binlogs"))
}

/// All entries of a directory, by when their logs were begun; none where it is not there.
pub(crate) fn all(directory: &Path) -> Result<Vec<Entry>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let doing = || format!("listing {}", directory.display());
    let mut entries = Vec::new();
    for file in fs::read_dir(directory).with_context(doing)? {
        let name = file.with_context(doing)?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(RECORD)) {
            entries.push(read(directory, name)?);
        }
    }
    entries.sort_by(|a, b| (a.begun, &a.name).cmp(&(b.begun, &b.name)));
    if let Some(entry) = circle(&entries) {
        bail!(
            "{} says that it goes on from itself, over others: it was changed, and so are others maybe",
            directory.join(format!("{}{RECORD}", entry.name)).display()
        );
    }
    Ok(entries)
}

/// One of logs that go on from each other in a circle: who follows them comes to no end. Those that may be one log, archived twice, are taken
/// for one, as they are followed.
pub(crate) fn circle(entries: &[Entry]) -> Option<&Entry> {
    let log = |entry: &'_ Entry| {
        let of_text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (first, last) = (of_text(&entry.first), of_text(&entry.last));
        (
            entry.file.clone(),
            entry.begun,
            entry.ended,
            entry.log.bytes,
            entry.transactions,
            first,
            last,
        )
    };
    let named: HashMap<&str, &Entry> = entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let (mut logs, mut nodes) = (DiGraph::new(), HashMap::new());
    for entry in entries {
        nodes.entry(log(entry)).or_insert_with(|| logs.add_node(entry));
    }
    for entry in entries {
        if let Some(previous) = entry.previous.as_deref().and_then(|name| named.get(name)) {
            logs.add_edge(nodes[&log(previous)], nodes[&log(entry)], ());
        }
    }
    toposort(&logs, None).err().map(|circle| logs[circle.node_id()])
}

fn read(directory: &Path, name: &str) -> Result<Entry> {
    let path = directory.join(format!("{name}{RECORD}"));
    let doing = || format!("reading {}", path.display());
    let entry: Entry = serde_json::from_slice(&fs::read(&path).with_context(doing)?).with_context(doing)?;
    if entry.schema != SCHEMA {
        bail!(
            "{} has format {}, this glrl reads {SCHEMA}",
            path.display(),
            entry.schema
        );
    }
    // The names become paths.
    if entry.name != name || !plain(&entry.file) {
        bail!("{} is the record of another log", path.display());
    }
    Ok(entry)
}

/// Whether a text is a file's name and no path.
pub(crate) fn plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

impl Entry {
    /// Returns whose log it is.
    pub(crate) fn maker(&self) -> Maker {
        Maker {
            host: self.host.clone(),
            machine: self.machine.clone(),
            uuid: self.server.clone(),
            datadir: self.datadir.clone(),
        }
    }

    /// Whether it is a log of this server.
    pub(crate) fn is_of(&self, maker: &Maker) -> bool {
        self.maker().may_be(maker)
    }

    /// Returns whether both are of one log. An encrypted one is archived once more where the key of its tail is lost: then all else that its record
    /// says has to tell.
    pub(crate) fn is_same_log(&self, other: &Self) -> bool {
        let tells = |entry: &Self| (entry.begun, entry.ended, entry.log.bytes, entry.transactions);
        let may_be = self.encryption.is_some() || other.encryption.is_some();
        self.file == other.file
            && tells(self) == tells(other)
            && (&self.first, &self.last) == (&other.first, &other.last)
            && self.maker().may_be(&other.maker())
            && (self.tail == other.tail || may_be)
    }

    /// What a record may say of a log's contents. What is encrypted has age's own codes in place of hashes.
    pub(crate) fn content(found: Digests, encryption: Option<&Encryption>) -> Digests {
        if encryption.is_some() { found.length() } else { found }
    }

    /// Where the log is.
    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}{}", self.name, log(self.encryption.is_some())))
    }

    /// Opens the log, decrypted and decompressed. Its hash is to be compared with `log` when it has been read.
    pub(crate) fn open(&self, directory: &Path, settings: &EncryptionSettings) -> error::Result<impl Read + use<>> {
        let path = self.path(directory);
        let doing = || format!("reading {}", path.display());
        let key = settings.key(self.encryption.as_ref());
        let key = key.map_err(|error| error.context(doing()))?;
        let file = File::open(&path).with_context(doing).of_kind(Kind::Target)?;
        let file = unseal(BufReader::with_capacity(1 << 20, file), key.as_ref());
        let file = file.with_context(doing).of_kind(Kind::Corrupt)?;
        Ok(zstd::Decoder::new(file).with_context(doing)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn logs_that_go_on_in_a_circle_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(place.path());
        let first = fixtures::log(&settings, "binlog.000001", 3, None);
        let second = fixtures::log(&settings, "binlog.000002", 2, Some(&first));
        let logs = directory(&settings);
        assert_eq!(all(&logs).unwrap().len(), 2);
        fixtures::log(&settings, "binlog.000001", 3, Some(&second));
        let error = all(&logs).unwrap_err().to_string();
        assert!(error.contains("goes on from itself"), "{error}");
    }
}
