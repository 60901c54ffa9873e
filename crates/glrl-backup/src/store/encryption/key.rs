//! The secret key: a file as age-keygen(1) writes it, which is its owner's alone.

use std::path::Path;

use age::x25519;
use anyhow::{Context, Result, bail};
use glrl_node::value::secret;

use crate::{model::recipient::Recipient, settings::login_file};

/// Secret keys, of which any may be the one.
pub(crate) struct Key(Vec<x25519::Identity>);

impl Key {
    /// Reads a file of them. What is in it is shown nowhere.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let doing = || format!("reading {}", path.display());
        let text = login_file::private(path, "it holds a secret key")?;
        if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE") {
            bail!(
                "{} is encrypted itself, by a passphrase: nobody is there to type it; decrypt it with age -d for as long as it is needed",
                path.display()
            );
        }
        let mut identities = Vec::new();
        for (number, line) in lines(&text) {
            secret::register(line);
            let Ok(identity) = line.parse() else {
                bail!(
                    "{}, line {number}, is not a secret key: it is AGE-SECRET-KEY-1 and more, as age-keygen writes it",
                    path.display()
                );
            };
            identities.push(identity);
        }
        (!identities.is_empty())
            .then_some(Self(identities))
            .context("there is no secret key in it")
            .with_context(doing)
    }

    /// The public keys that belong to them.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = Recipient> {
        self.0.iter().map(Recipient::of)
    }

    pub(crate) fn identities(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}

/// The lines of age's files, with their numbers: neither comments nor empty.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
