//! The archive, `ID.tar.zst`: tar (GNU format, numeric owners, sparse files as such) → zstd (all cores, checksummed) → age, where there are
//! recipients (`ID.tar.zst.age`) → hashes.
//! Access control lists and extended attributes are PAX records (`attributes`).
//! One process and no pipe, so that an error anywhere is an error of the whole. Entries come sorted by path.

mod ahead;
mod attributes;
mod extents;
mod pack;
mod read;
#[cfg(test)]
mod tests;
mod unpack;

pub(super) use attributes::{Attributes, Owners};
pub(super) use pack::{Packed, pack};
pub(super) use read::{hash, read};
pub(super) use unpack::{Owner, stays};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;
/// tar's block.
const BLOCK: u64 = 512;
