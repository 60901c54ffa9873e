//! The archive, `ID.tar.zst`: tar (GNU format, numeric owners, sparse files as such) → zstd (all cores, checksummed) → age, where there are
//! recipients (`ID.tar.zst.age`) → hashes.
//! Access control lists and extended attributes are PAX records (`attributes`).
//! One process and no pipe, so that an error anywhere is an error of the whole. Entries come sorted by path.

pub(crate) mod ahead;
pub(crate) mod attributes;
pub(crate) mod extents;
pub(crate) mod pack;
pub(crate) mod read;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod unpack;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;
/// tar's block.
const BLOCK: u64 = 512;
