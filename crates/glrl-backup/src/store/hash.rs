//! Bytes counted and hashed on their way: BLAKE3, because it is fast, and SHA-256, because `sha256sum -c` is everywhere.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use crate::model::digests::Digests;

/// A reader or writer that hashes what passes.
pub(crate) struct Hashing<T> {
    inner: T,
    bytes: u64,
    blake3: blake3::Hasher,
    sha256: Sha256,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            bytes: 0,
            blake3: blake3::Hasher::new(),
            sha256: Sha256::new(),
        }
    }

    pub(crate) fn finish(self) -> (T, Digests) {
        let digests = Digests {
            bytes: self.bytes,
            blake3: self.blake3.finalize().to_string(),
            sha256: hex(&self.sha256.finalize()),
        };
        (self.inner, digests)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.blake3.update(bytes);
        self.sha256.update(bytes);
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.pass(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pass(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standards() {
        let mut hashing = Hashing::new(Vec::new());
        hashing.write_all(b"abc").unwrap();
        let (_, digests) = hashing.finish();
        // FIPS 180-4's own example, and the BLAKE3 team's test vector for "abc".
        assert_eq!(
            digests.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            digests.blake3,
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        );
        assert_eq!(digests.bytes, 3);
    }
}
