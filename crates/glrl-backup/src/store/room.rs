//! Whether the target can take another backup.

use anyhow::Context;
use nix::unistd::{AccessFlags, access};

use crate::{
    model::{
        error::{Error, Kind, OfKind, Result},
        manifest::Manifest,
    },
    settings::Settings,
    store::{
        catalogue,
        target::{check_there, free},
        whose::Whose,
    },
};

/// Checks that the directory is the one that is meant, and has room for another backup of this instance. Returns what the last one says.
pub(crate) fn check(settings: &Settings) -> Result<Option<Manifest>> {
    check_there(&settings.target)?;
    let directory = &settings.target.directory;
    access(&**directory, AccessFlags::W_OK)
        .with_context(|| format!("the target {directory} cannot be written"))
        .of_kind(Kind::Target)?;
    let own = Whose::look(settings)?.own;
    let Some(last) = own.iter().rev().find_map(|id| catalogue::manifest(directory, id).ok()) else {
        return Ok(None);
    };
    let room = free(directory).of_kind(Kind::Target)?;
    let wanted = last.archive.digests.bytes.saturating_mul(11) / 10;
    if room < wanted {
        return Err(Error::new(
            Kind::Target,
            format!(
                "the target {directory} has {} MiB left, and the last backup, with a tenth for growth, takes {} MiB",
                room >> 20,
                wanted >> 20
            ),
        ));
    }
    Ok(Some(last))
}
