//! The list of an archive's files, `ID.files.zst` (`.age`): one JSON object a line, so that a manifest stays small and a list can be grepped.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    encryption::{Key, Recipient, seal, unseal},
    hash::Hashing,
    manifest::Manifest,
};

/// A regular file in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its path, relative to the volume's root.
    pub(super) path: String,
    /// Its length, holes counted.
    pub(super) size: u64,
    /// BLAKE3 of its contents, holes being zeros.
    pub(super) blake3: String,
}

/// Files by path.
pub(super) type List = BTreeMap<String, Entry>;

/// Writes the list, for these recipients alone, if there are any.
pub(super) fn write(entries: &[Entry], to: impl Write, recipients: &[Recipient]) -> Result<()> {
    let doing = "writing the list of files";
    let mut encoder = zstd::Encoder::new(seal(to, recipients).context(doing)?, 3).context(doing)?;
    for entry in entries {
        serde_json::to_writer(&mut encoder, entry).context(doing)?;
        encoder.write_all(b"\n").context(doing)?;
    }
    let sealing = encoder.finish().context(doing)?;
    sealing.finish().context(doing)?.flush().context(doing)
}

/// The list of a backup's files, which is what its manifest says.
pub(super) fn load(directory: &Path, manifest: &Manifest, key: Option<&Key>) -> Result<List> {
    let bytes = bytes(directory, manifest)?;
    let from =
        unseal(bytes.as_slice(), key).with_context(|| format!("reading {}", manifest.list_in(directory).display()))?;
    read(from, manifest.files.count)
}

/// The list as it lies there, which is what the manifest says.
pub(super) fn bytes(directory: &Path, manifest: &Manifest) -> Result<Vec<u8>> {
    let path = manifest.list_in(directory);
    let doing = || format!("reading {}", path.display());
    let bytes = fs::read(&path).with_context(doing)?;
    let mut hashing = Hashing::new(bytes.as_slice());
    io::copy(&mut hashing, &mut io::sink()).with_context(doing)?;
    let digests = hashing.finish().1;
    if let Some(how) = digests.differs(&manifest.files.list) {
        return Err(anyhow::Error::msg(how)).with_context(doing);
    }
    Ok(bytes)
}

/// Reads a list of so many entries, by path.
pub(super) fn read(from: impl Read, count: u64) -> Result<List> {
    const LONGEST: u64 = 16 << 10;
    let doing = "reading the list of files";
    let decoder = zstd::Decoder::new(from).context(doing)?;
    let mut entries = List::new();
    // A list may not be longer than its manifest says, whatever it unpacks to.
    for line in BufReader::new(decoder.take(count.saturating_mul(LONGEST))).lines() {
        let entry: Entry = serde_json::from_str(&line.context(doing)?).context(doing)?;
        if entries.insert(entry.path.clone(), entry).is_some() {
            bail!("the list of files holds a path twice");
        }
    }
    if entries.len() as u64 != count {
        bail!(
            "the list of files holds {} files, the manifest says {count}",
            entries.len()
        );
    }
    Ok(entries)
}
