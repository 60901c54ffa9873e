//! The archive, `ID.tar.zst`: tar (GNU format, numeric owners, sparse files as such) → zstd (all cores, checksummed) → age, where there are
//! recipients (`ID.tar.zst.age`) → hashes.
//! One process and no pipe, so that an error anywhere is an error of the whole. Entries come sorted by path.

mod ahead;
mod extents;
mod pack;
mod read;
#[cfg(test)]
mod tests;
mod unpack;

pub(super) use pack::{Packed, pack};
pub(super) use read::{hash, read};
pub(super) use unpack::{Owner, stays};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;
/// tar's block.
const BLOCK: u64 = 512;
