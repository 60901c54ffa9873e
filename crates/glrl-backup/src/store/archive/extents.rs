//! Which parts of a file hold data: `SEEK_DATA` and `SEEK_HOLE` of lseek(2). InnoDB punches holes into compressed pages.

use std::{fs::File, io, os::unix::fs::MetadataExt};

use nix::{
    errno::Errno,
    unistd::{Whence, lseek64},
};
use tar::{GnuExtSparseHeader, Header};

/// A part of a file that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The parts that hold data, in order; `None` for a file without holes.
pub(crate) fn of(file: &File) -> io::Result<Option<Vec<Extent>>> {
    let meta = file.metadata()?;
    let size = meta.size();
    // st_blocks counts units of 512 bytes, whatever the filesystem's block is (stat(2)).
    if size == 0 || meta.blocks() * 512 >= size {
        return Ok(None);
    }
    let seek = |offset: u64, whence| -> io::Result<Option<u64>> {
        match lseek64(file, offset.cast_signed(), whence) {
            Ok(found) => Ok(Some(found.cast_unsigned())),
            Err(Errno::ENXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    };
    let mut extents = Vec::new();
    let mut at = 0;
    while let Some(offset) = seek(at, Whence::SeekData)?.filter(|offset| *offset < size) {
        let end = seek(offset, Whence::SeekHole)?.unwrap_or(size).min(size);
        if end <= offset {
            return Err(io::Error::other("the file changed while it was read"));
        }
        extents.push(Extent {
            offset,
            length: end - offset,
        });
        at = end;
    }
    let whole = extents.first().is_some_and(|extent| extent.length == size);
    Ok((!whole).then_some(extents))
}

/// Makes `header` that of a sparse file; returns the blocks that follow it. Like GNU tar, it ends the map with an empty extent at
/// the file's end ("Old GNU Format", GNU tar manual).
pub(crate) fn describe(header: &mut Header, extents: &[Extent], size: u64) -> io::Result<Vec<GnuExtSparseHeader>> {
    let end = Extent {
        offset: size,
        length: 0,
    };
    let mut map = extents.iter().chain([&end]).copied().peekable();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(extents.iter().map(|extent| extent.length).sum());
    let gnu = header
        .as_gnu_mut()
        .ok_or_else(|| io::Error::other("the header is not a GNU one"))?;
    gnu.set_real_size(size);
    for slot in &mut gnu.sparse {
        if let Some(extent) = map.next() {
            slot.set_offset(extent.offset);
            slot.set_length(extent.length);
        }
    }
    gnu.set_is_extended(map.peek().is_some());
    let mut more = Vec::new();
    while map.peek().is_some() {
        let mut block = GnuExtSparseHeader::new();
        for slot in block.sparse_mut() {
            if let Some(extent) = map.next() {
                slot.set_offset(extent.offset);
                slot.set_length(extent.length);
            }
        }
        block.set_is_extended(map.peek().is_some());
        more.push(block);
    }
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn holes_are_found() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 << 20).unwrap();
        assert_eq!(of(&file).unwrap(), Some(Vec::new()));
        file.write_all_at(&[1; 4096], 1 << 20).unwrap();
        let extents = of(&file).unwrap().unwrap();
        assert_eq!(extents.len(), 1);
        assert!(extents[0].offset <= 1 << 20 && extents[0].length >= 4096 && extents[0].length < 1 << 20);
    }

    #[test]
    fn a_full_file_is_not_sparse() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![1; 100_000], 0).unwrap();
        assert_eq!(of(&file).unwrap(), None);
    }
}
