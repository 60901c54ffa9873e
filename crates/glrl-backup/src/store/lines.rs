//! A list that lies beside an archive: one JSON object a line, compressed, and encrypted where the archive is. So a manifest stays small,
//! and a list can be grepped.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    model::{digests::Digests, recipient::Recipient},
    store::{encryption::stream::seal, hash::Hashing},
};

/// No line may be longer, in bytes: the longest path there is, each character of it escaped, takes 24 KiB.
const LONGEST: u64 = 32 << 10;

/// Writes a list, for these recipients alone, if there are any.
pub(crate) fn write<T: Serialize>(entries: &[T], what: &str, to: impl Write, recipients: &[Recipient]) -> Result<()> {
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
pub(crate) fn bytes(path: &Path, digests: &Digests) -> Result<Vec<u8>> {
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
pub(crate) fn read<T: DeserializeOwned>(from: impl Read, what: &str, count: u64) -> Result<Vec<T>> {
    let doing = || format!("reading the list of {what}");
    let mut lines = BufReader::new(zstd::Decoder::new(from).with_context(doing)?);
    let mut entries = Vec::new();
    let mut line = Vec::new();
    // Neither a line nor the list may be longer than it can be, whatever it unpacks to: it lies where others can write.
    while entries.len() as u64 <= count {
        line.clear();
        if lines
            .by_ref()
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .with_context(doing)?
            == 0
        {
            break;
        }
        entries.push(serde_json::from_slice(&line).with_context(doing)?);
    }
    match entries.len() as u64 {
        found if found > count => {
            bail!("the list of {what} holds more than the {count} entries that the manifest says")
        }
        found if found < count => bail!("the list of {what} holds {found} entries, the manifest says {count}"),
        _ => {}
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {

    #[test]
    fn a_list_is_no_longer_than_its_manifest_says_and_no_line_is_longer_than_a_line() {
        let read = |text: &str, count| {
            let list = zstd::encode_all(text.as_bytes(), 1).unwrap();
            crate::store::lines::read::<String>(list.as_slice(), "files", count).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(read("\"a\"\n\"b\"\n", 2).unwrap(), ["a", "b"]);
        assert!(
            read("\"a\"\n", 2)
                .unwrap_err()
                .contains("holds 1 entries, the manifest says 2")
        );
        // What is behind is not read.
        assert!(
            read("\"a\"\n\"b\"\n{", 1)
                .unwrap_err()
                .contains("more than the 1 entries")
        );
        let long = format!("\"{}\"\n", "x".repeat(1 << 20));
        assert!(
            read(&long, u64::MAX)
                .unwrap_err()
                .contains("EOF while parsing a string")
        );
    }
}
