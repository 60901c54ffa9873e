//! A list that lies beside an archive: one JSON object a line, compressed, and encrypted where the archive is. So a manifest stays small,
//! and a list can be grepped.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    encryption::{Recipient, seal},
    hash::{Digests, Hashing},
};

/// No line may be longer, in bytes.
const LONGEST: u64 = 16 << 10;

/// Writes a list, for these recipients alone, if there are any.
pub(super) fn write<T: Serialize>(entries: &[T], what: &str, to: impl Write, recipients: &[Recipient]) -> Result<()> {
    let doing = || format!("writing the list of {what}");
    let mut encoder = zstd::Encoder::new(seal(to, recipients).with_context(doing)?, 3).with_context(doing)?;
    for entry in entries {
        serde_json::to_writer(&mut encoder, entry).with_context(doing)?;
        encoder.write_all(b"\n").with_context(doing)?;
    }
    let sealing = encoder.finish().with_context(doing)?;
    sealing.finish().with_context(doing)?.flush().with_context(doing)
}

/// The bytes of a list as it lies there, which have these hashes.
pub(super) fn bytes(path: &Path, digests: &Digests) -> Result<Vec<u8>> {
    let doing = || format!("reading {}", path.display());
    let bytes = fs::read(path).with_context(doing)?;
    let mut hashing = Hashing::new(bytes.as_slice());
    io::copy(&mut hashing, &mut io::sink()).with_context(doing)?;
    if let Some(how) = hashing.finish().1.differs(digests) {
        return Err(anyhow::Error::msg(how)).with_context(doing);
    }
    Ok(bytes)
}

/// Reads a list of so many entries.
pub(super) fn read<T: DeserializeOwned>(from: impl Read, what: &str, count: u64) -> Result<Vec<T>> {
    let doing = || format!("reading the list of {what}");
    let decoder = zstd::Decoder::new(from).with_context(doing)?;
    let mut entries = Vec::new();
    // A list may not be longer than its manifest says, whatever it unpacks to.
    for line in BufReader::new(decoder.take(count.saturating_mul(LONGEST))).lines() {
        entries.push(serde_json::from_str(&line.with_context(doing)?).with_context(doing)?);
    }
    if entries.len() as u64 != count {
        bail!(
            "the list of {what} holds {} entries, the manifest says {count}",
            entries.len()
        );
    }
    Ok(entries)
}
