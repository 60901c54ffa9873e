//! The list of what a server had, beside its archive: `ID.tables.zst` (`.age`), see `lines`.

use std::{io::Write, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    model::{
        inventory::{Inventory, Item},
        manifest::Manifest,
        recipient::Recipient,
    },
    store::{
        encryption::{key::Key, stream::unseal},
        lines,
    },
};

/// What is listed.
const WHAT: &str = "tables";

impl Inventory {
    /// Writes it, for these recipients alone, if there are any.
    pub(crate) fn write(&self, to: impl Write, recipients: &[Recipient]) -> Result<()> {
        lines::write(&self.items, WHAT, to, recipients)
    }

    /// That of a backup; `None` where it has none. It is what the manifest says.
    pub(crate) fn load(directory: &Path, manifest: &Manifest, key: Option<&Key>) -> Result<Option<Self>> {
        let Some(tables) = &manifest.tables else {
            return Ok(None);
        };
        let path = manifest.tables_in(directory);
        let bytes = lines::bytes(&path, &tables.list)?;
        let from = unseal(bytes.as_slice(), key).with_context(|| format!("reading {}", path.display()))?;
        let items = lines::read::<Item>(from, WHAT, tables.count)?;
        let mut keys: Vec<_> = items.iter().map(Item::key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|two| two[0] == two[1]) {
            bail!("the list of {WHAT} holds a name twice");
        }
        Ok(Some(Self {
            items,
            complete: tables.complete,
        }))
    }
}
