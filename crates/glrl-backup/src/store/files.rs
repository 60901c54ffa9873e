//! The list of an archive's files, `ID.files.zst` (`.age`): see `lines`.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    model::{manifest::Manifest, recipient::Recipient},
    store::{
        encryption::{key::Key, stream::unseal},
        lines,
    },
};

/// What is listed.
const WHAT: &str = "files";

/// A regular file in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its path, relative to the volume's root.
    pub(crate) path: String,
    /// Its length, holes counted.
    pub(crate) size: u64,
    /// BLAKE3 of its contents, holes being zeros.
    pub(crate) blake3: String,
}

/// Files by path.
pub(crate) type List = BTreeMap<String, Entry>;

/// Writes the list, for these recipients alone, if there are any.
pub(crate) fn write(entries: &[Entry], to: impl Write, recipients: &[Recipient]) -> Result<()> {
    lines::write(entries, WHAT, to, recipients)
}

/// The list of a backup's files, which is what its manifest says.
pub(crate) fn load(directory: &Path, manifest: &Manifest, key: Option<&Key>) -> Result<List> {
    let bytes = bytes(directory, manifest)?;
    let from =
        unseal(bytes.as_slice(), key).with_context(|| format!("reading {}", manifest.list_in(directory).display()))?;
    read(from, manifest.files.count)
}

/// The list as it lies there, which is what the manifest says.
pub(crate) fn bytes(directory: &Path, manifest: &Manifest) -> Result<Vec<u8>> {
    lines::bytes(&manifest.list_in(directory), &manifest.files.list)
}

/// Reads a list of so many entries, by path.
pub(crate) fn read(from: impl Read, count: u64) -> Result<List> {
    let mut list = List::new();
    for entry in lines::read::<Entry>(from, WHAT, count)? {
        if list.insert(entry.path.clone(), entry).is_some() {
            bail!("the list of files holds a path twice");
        }
    }
    Ok(list)
}
