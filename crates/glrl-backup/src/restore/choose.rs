//! Which backup is restored, when none is named: the newest, unless it is known to be no good.

use crate::{
    model::{
        error::{Error, Kind, OfKind, Result},
        gtid::Stands,
        id::BackupId,
        manifest::Manifest,
        verdict::Grade,
    },
    restore::{plan::stands, until::Until},
    settings::Settings,
    store::{catalogue, target, verdicts, whose::Whose},
};

/// The manifest of the backup that is meant, and what there is to be said about it. One that is named is taken, whatever is known of it:
/// it may be the last one, and every hash is checked again.
pub(crate) fn choose(
    settings: &Settings,
    id: Option<&BackupId>,
    until: Option<&Until>,
) -> Result<(Manifest, Option<String>)> {
    let directory = &settings.target.directory;
    let named = id.is_some();
    let id = match id {
        Some(id) => {
            catalogue::check_exists(directory, id)?;
            id.clone()
        }
        None => newest(settings, until)?,
    };
    let manifest = catalogue::manifest(directory, &id).of_kind(Kind::Corrupt)?;
    let known = verdicts::on(settings, &manifest).map(|verdict| verdict.verdict);
    let warning = match known {
        Some(Grade::Corrupt) if !named => return Err(corrupt(settings, &id)?),
        Some(Grade::Corrupt) => Some(format!("a verification has found {id} to be corrupt")),
        Some(Grade::Ok | Grade::Stale) => None,
        Some(Grade::Unverified) | None => Some(format!("{id} was never verified: its hashes are checked, no more")),
    };
    Ok((manifest, warning))
}

/// The newest backup, of those that are older than the moment that is wanted.
fn newest(settings: &Settings, until: Option<&Until>) -> Result<BackupId> {
    let directory = &settings.target.directory;
    let whose = Whose::look(settings)?;
    whose.check_meant()?;
    let ids = &whose.own;
    let Some(last) = whose.newest() else {
        target::check_there(&settings.target)?;
        return Err(Error::new(
            Kind::Stale,
            format!("there is no backup of {} in {directory}", settings.instance),
        ));
    };
    let Some(until) = until else { return Ok(last.clone()) };
    for id in ids.iter().rev() {
        // One whose manifest cannot be read is no candidate.
        let Ok(manifest) = catalogue::manifest(directory, id) else {
            continue;
        };
        let older = match until {
            Until::End => true,
            // Where it is not said, the moment that was frozen lies before the end of the run.
            Until::Time(time) => manifest.lock.at.unwrap_or(manifest.ended) <= *time,
            Until::Gtid(_) => matches!(stands(&manifest, until), Ok(Some(Stands::Before | Stands::There))),
        };
        if older {
            return Ok(id.clone());
        }
    }
    Err(Error::new(
        Kind::Stale,
        format!(
            "no backup of {} in {directory} is older than {until}: the oldest is {}",
            settings.instance, ids[0]
        ),
    ))
}

/// Refuses the newest backup that may be meant, and names the one to take, which is an older one.
fn corrupt(settings: &Settings, id: &BackupId) -> Result<Error> {
    let ids = Whose::look(settings)?.own;
    let restores = |id: &BackupId| {
        let manifest = catalogue::manifest(&settings.target.directory, id).ok()?;
        Some(verdicts::on(settings, &manifest)?.restores())
    };
    let older = ids.into_iter().rev().skip_while(|other| other != id);
    let good = older.skip(1).find(|id| restores(id) == Some(true));
    let instead = good.map_or_else(
        || "none of the older ones was verified: name one with --backup".to_owned(),
        |good| format!("the newest that restores is {good}: name one with --backup"),
    );
    Ok(Error::new(
        Kind::Corrupt,
        format!("a verification has found the newest backup, {id}, to be corrupt; {instead}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_target_that_is_not_mounted_is_not_one_without_backups() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = fixtures::settings(directory.path());
        assert_eq!(newest(&settings, None).unwrap_err().kind, Kind::Stale);
        settings.target.mounted = true;
        let error = newest(&settings, None).unwrap_err();
        assert_eq!(error.kind, Kind::Target);
        assert!(error.to_string().contains("is not mounted"), "{error}");
        // A copy of them elsewhere is as good as they are.
        let id = fixtures::backup(&settings, 1).id;
        assert_eq!(newest(&settings, None).unwrap(), id);
    }
}
