//! Which backup is restored, when none is named: the newest, unless it is known to be no good.

use crate::backup::{
    config::Settings,
    error::{Error, Kind, OfKind, Result},
    list,
    manifest::Manifest,
    name::BackupId,
    verify::Word,
};

/// The manifest of the backup that is meant, and what there is to be said about it. One that is named is taken, whatever is known of it:
/// it may be the last one, and every hash is checked again.
pub(super) fn choose(settings: &Settings, id: Option<&BackupId>) -> Result<(Manifest, Option<String>)> {
    let directory = &settings.target.directory;
    let named = id.is_some();
    let id = match id {
        Some(id) => id.clone(),
        None => list::ids(directory, Some(&settings.instance))?.pop().ok_or_else(|| {
            Error::new(
                Kind::Stale,
                format!("there is no backup of {} in {directory}", settings.instance),
            )
        })?,
    };
    let known = list::verdict(settings, &id).map(|verdict| verdict.verdict);
    let warning = match known {
        Some(Word::Corrupt) if !named => return Err(corrupt(settings, &id)?),
        Some(Word::Corrupt) => Some(format!("a verification has found {id} to be corrupt")),
        Some(Word::Ok | Word::Stale) => None,
        Some(Word::Unverified) | None => Some(format!("{id} was never verified: its hashes are checked, no more")),
    };
    Ok((list::manifest(directory, &id).of_kind(Kind::Corrupt)?, warning))
}

/// Refuses the newest backup, and names the one to take.
fn corrupt(settings: &Settings, id: &BackupId) -> Result<Error> {
    let ids = list::ids(&settings.target.directory, Some(&settings.instance))?;
    let good = ids.into_iter().rev().find(|id| {
        list::verdict(settings, id).is_some_and(|verdict| matches!(verdict.verdict, Word::Ok | Word::Stale))
    });
    let instead = good.map_or_else(
        || "none of the others was verified: name one with --backup".to_owned(),
        |good| format!("the newest that restores is {good}: name one with --backup"),
    );
    Ok(Error::new(
        Kind::Corrupt,
        format!("a verification has found the newest backup, {id}, to be corrupt; {instead}"),
    ))
}
