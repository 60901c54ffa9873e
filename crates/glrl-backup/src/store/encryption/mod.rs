//! Encrypted backups: whoever makes them has public keys alone, and only who has a secret key can verify or restore them.
//!
//! What is encrypted is what tells about the data: the archive, the list of its files, and archived binary logs. Their names end in `.age`
//! then. The manifest is not, so that backups can be listed, kept and deleted without a key; it says to whom they are encrypted, and its
//! hashes are of the bytes on the target, so that they can be compared without one too. `docs/decisions/0021-encryption.md` says why.

pub(crate) mod key;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::fs;

use anyhow::Context;
use glrl_node::value::AbsPath;

use crate::{
    model::{
        encryption::Encryption,
        error::{Error, Kind, OfKind, Result},
        recipient::Recipient,
    },
    settings::{Settings, encryption::EncryptionSettings},
    store::encryption::key::{Key, lines},
};

impl EncryptionSettings {
    /// Whether backups are to be encrypted.
    fn is_wanted(&self) -> bool {
        !self.recipients.is_empty() || self.recipients_file.is_some()
    }

    /// All recipients, each once; none where backups are not encrypted. A file without any is an error: it was not meant so.
    pub(crate) fn recipients(&self) -> Result<Vec<Recipient>> {
        let mut all = self.recipients.clone();
        if let Some(path) = &self.recipients_file {
            all.extend(
                of_file(path)
                    .with_context(|| format!("reading {path}"))
                    .of_kind(Kind::Settings)?,
            );
        }
        let mut once: Vec<Recipient> = Vec::new();
        for recipient in all {
            if !once.contains(&recipient) {
                once.push(recipient);
            }
        }
        Ok(once)
    }

    /// The key of what is encrypted like this; `None` for what is not. An error says which key is missing.
    pub(crate) fn key(&self, encryption: Option<&Encryption>) -> Result<Option<Key>> {
        let Some(encryption) = encryption else { return Ok(None) };
        let to = said(&encryption.recipients);
        let Some(path) = &self.identity_file else {
            let message = format!(
                "it is encrypted to {to}, and there is no secret key: name the file that holds it (encryption.identity_file, --identity FILE)"
            );
            return Err(Error::new(Kind::Settings, message));
        };
        let key = Key::read(path).of_kind(Kind::Settings)?;
        let fits = |recipient: &Recipient| encryption.recipients.contains(recipient);
        if !key.recipients().any(|recipient| fits(&recipient)) {
            let own: Vec<_> = key.recipients().collect();
            let message = format!(
                "it is encrypted to {to}, and {path} holds the secret key of {}",
                said(&own)
            );
            return Err(Error::new(Kind::Settings, message));
        }
        Ok(Some(key))
    }
}

impl Settings {
    /// Refuses to verify what cannot be read here.
    pub fn check_encryption(&self) -> Result<()> {
        if self.verify.after_backup && self.encryption.is_wanted() && self.encryption.identity_file.is_none() {
            return Err(Error::new(
                Kind::Settings,
                "verify.after_backup asks for a verification here, and backups are encrypted to keys whose secret part is not here: \
                 set verify.after_backup to false and verify on another machine (role verify), or give encryption.identity_file",
            ));
        }
        Ok(())
    }
}

fn of_file(path: &AbsPath) -> anyhow::Result<Vec<Recipient>> {
    let text = fs::read_to_string(path)?;
    let mut recipients = Vec::new();
    for (number, line) in lines(&text) {
        let recipient = line.parse().map_err(anyhow::Error::msg);
        recipients.push(recipient.with_context(|| format!("line {number}"))?);
    }
    anyhow::ensure!(!recipients.is_empty(), "there is no recipient in it");
    Ok(recipients)
}

fn said(recipients: &[Recipient]) -> String {
    let texts: Vec<String> = recipients.iter().map(Recipient::to_string).collect();
    texts.join(", ")
}
