//! Bytes encrypted or decrypted on their way, by age (age-encryption.org/v1), or left as they are. age's stream is in pieces of 64 KiB, each
//! with its own authentication code, so that nothing of a damaged piece comes out, and a cut end is noticed.

use std::io::{self, Read, Write};

use age::{
    DecryptError, Decryptor, EncryptError, Encryptor,
    stream::{StreamReader, StreamWriter},
};

use super::{Key, Recipient};

/// Where bytes go that are to be encrypted, if there is anybody to encrypt them to.
pub(in crate::backup) struct Sealing<W: Write> {
    to: To<W>,
    bytes: u64,
}

enum To<W: Write> {
    Clear(W),
    Age(StreamWriter<W>),
}

/// Encrypts to all of these; to nobody, where there are none.
pub(in crate::backup) fn seal<W: Write>(to: W, recipients: &[Recipient]) -> io::Result<Sealing<W>> {
    let to = match Encryptor::with_recipients(recipients.iter().map(Recipient::key)) {
        Ok(encryptor) => To::Age(encryptor.wrap_output(to)?),
        Err(EncryptError::MissingRecipients) => To::Clear(to),
        Err(error) => return Err(io::Error::other(error)),
    };
    Ok(Sealing { to, bytes: 0 })
}

impl<W: Write> Sealing<W> {
    /// Bytes that have gone in so far. What comes out is longer by 1/4096.
    pub(in crate::backup) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes what is left. Without this the last piece is missing.
    pub(in crate::backup) fn finish(self) -> io::Result<W> {
        match self.to {
            To::Clear(to) => Ok(to),
            To::Age(to) => to.finish(),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = match &mut self.to {
            To::Clear(to) => to.write(buffer),
            To::Age(to) => to.write(buffer),
        }?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Clear(to) => to.flush(),
            To::Age(to) => to.flush(),
        }
    }
}

/// Where bytes come from.
pub(in crate::backup) enum Unsealed<R> {
    /// They were not encrypted.
    Clear(R),
    /// They are decrypted on their way.
    Age(StreamReader<R>),
}

/// Decrypts with this key; without one the bytes are as they are.
pub(in crate::backup) fn unseal<R: Read>(from: R, key: Option<&Key>) -> io::Result<Unsealed<R>> {
    let Some(key) = key else {
        return Ok(Unsealed::Clear(from));
    };
    Decryptor::new(from)
        .and_then(|decryptor| decryptor.decrypt(key.identities()))
        .map(Unsealed::Age)
        .map_err(|error| match error {
            DecryptError::Io(error) => error,
            DecryptError::NoMatchingKeys => damaged("it is encrypted to other keys than its manifest says"),
            _ => damaged("its header is not what age wrote"),
        })
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}

impl<R: Read> Read for Unsealed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(from) => from.read(buffer),
            Self::Age(from) => from.read(buffer),
        }
    }
}
