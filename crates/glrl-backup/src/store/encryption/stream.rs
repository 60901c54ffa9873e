//! Bytes encrypted or decrypted on their way, by age (age-encryption.org/v1), or left as they are. age's stream is in pieces of 64 KiB, each
//! with its own authentication code, so that nothing of a damaged piece comes out, and a cut end is noticed.

use std::io::{self, Read, Write};

use age::{
    DecryptError, Decryptor, EncryptError, Encryptor,
    stream::{StreamReader, StreamWriter},
};

use crate::{model::recipient::Recipient, store::encryption::key::Key};

/// Where bytes go that are to be encrypted, if there is anybody to encrypt them to.
pub(crate) enum Sealing<W: Write> {
    /// They stay as they are.
    Clear(W),
    /// They are encrypted on their way.
    Age(StreamWriter<W>),
}

/// Encrypts to all of these; to nobody, where there are none.
pub(crate) fn seal<W: Write>(to: W, recipients: &[Recipient]) -> io::Result<Sealing<W>> {
    match Encryptor::with_recipients(recipients.iter().map(Recipient::key)) {
        Ok(encryptor) => encryptor.wrap_output(to).map(Sealing::Age),
        Err(EncryptError::MissingRecipients) => Ok(Sealing::Clear(to)),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl<W: Write> Sealing<W> {
    /// Writes what is left. Without this the last piece is missing.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Clear(to) => Ok(to),
            Self::Age(to) => to.finish(),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(to) => to.write(buffer),
            Self::Age(to) => to.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(to) => to.flush(),
            Self::Age(to) => to.flush(),
        }
    }
}

/// Where bytes come from.
pub(crate) enum Unsealed<R> {
    /// They were not encrypted.
    Clear(R),
    /// They are decrypted on their way.
    Age(StreamReader<R>),
}

/// Decrypts with this key; without one the bytes are as they are.
pub(crate) fn unseal<R: Read>(from: R, key: Option<&Key>) -> io::Result<Unsealed<R>> {
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
