//! The archive, `ID.tar.zst`: tar (GNU format, numeric owners, sparse files as such) → zstd (all cores, checksummed) → hashes.
//! One process and no pipe, so that an error anywhere is an error of the whole. Entries come sorted by path.

mod ahead;
mod extents;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

pub(super) use ahead::ahead;
pub(super) use pack::{Packed, pack};
pub(super) use unpack::{Owner, unpack};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;
/// tar's block.
const BLOCK: u64 = 512;
