//! Whose the backups of an instance are. Two servers may have one instance by mistake: hosts of two sites with the same first label, a machine
//! and its copy. Neither may get, delete or judge what is the other's; so this is asked wherever "the newest backup" is meant, and there is no
//! second rule.
//!
//! A backup is of the server that this node makes backups of if its manifest names the same host, machine and server (`Maker`), and this node's
//! own record does not say otherwise (`state::made`). On a node that makes none, that is the server of the backup which was written last. Another
//! server that makes backups at the same time is a *rival*. One whose place was taken is none: it has made none since.
//!
//! Decision 24 has the reasons.

#[cfg(test)]
pub(crate) mod tests;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    model::{
        error::{Error, Kind, Result},
        id::{BackupId, Instance},
        layout::{MANIFEST, path_of},
        maker::Maker,
    },
    settings::Settings,
    state::made::Made,
    store::catalogue,
};

/// Another server that has made no backup for so long makes none any more.
pub(crate) const LATELY: Duration = Duration::from_hours(30 * 24);

/// A backup of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) id: BackupId,
    pub(crate) maker: Maker,
    /// That server has made no backup lately: it makes none any more.
    pub(crate) gone: bool,
}

/// The backups of an instance, by whose they are.
#[derive(Debug, Default)]
pub(crate) struct Whose {
    /// Those of the server that is meant, the oldest first. One whose manifest cannot be read is among them, unless this node's record says that
    /// it has not made it.
    pub(crate) own: Vec<BackupId>,
    /// Those of other servers, the oldest first.
    pub(crate) others: Vec<Other>,
    /// The server that is meant; `None` where there is no backup.
    pub(crate) maker: Option<Maker>,
    /// Whether this node makes backups of it.
    pub(crate) made_here: bool,
    /// The newest backup of a rival.
    rival: Option<Other>,
}

/// A backup, as it was found.
struct Found {
    id: BackupId,
    maker: Option<Maker>,
    written: SystemTime,
}

impl Whose {
    /// Looks at the instance's backups.
    pub(crate) fn look(settings: &Settings) -> Result<Self> {
        let directory = &settings.target.directory;
        let found = catalogue::ids(directory, Some(&settings.instance))?
            .into_iter()
            .map(|id| {
                let manifest = catalogue::manifest(directory, &id).ok();
                Found {
                    written: written(directory, &id),
                    maker: manifest.as_ref().map(Maker::of),
                    id,
                }
            });
        Ok(Self::divide(found.collect(), Made::read(settings).as_ref()))
    }

    /// Divides backups, which are in the order of their ids.
    fn divide(found: Vec<Found>, made: Option<&Made>) -> Self {
        // By the clock of the target: that of a node may be wrong.
        let mut by_time: Vec<&Found> = found.iter().filter(|found| found.maker.is_some()).collect();
        by_time.sort_by_key(|found| (found.written, &found.id));
        let newest_made = by_time
            .iter()
            .rfind(|found| made.is_some_and(|made| made.has(&found.id)));
        let maker = match (newest_made, made) {
            (Some(newest), _) => newest.maker.clone(),
            (None, Some(_)) => Some(Maker::here(None)),
            (None, None) => by_time.last().and_then(|last| last.maker.clone()),
        };
        let is_own = |found: &Found| {
            let may_be = match (&found.maker, &maker) {
                (Some(its), Some(meant)) => its.may_be(meant),
                _ => true,
            };
            may_be && !made.is_some_and(|made| made.lacks(&found.id))
        };
        let lately = by_time.last().map(|last| last.written.checked_sub(LATELY));
        let lately = lately.flatten().unwrap_or(SystemTime::UNIX_EPOCH);
        let late: Vec<_> = by_time
            .iter()
            .copied()
            .filter(|found| found.written >= lately)
            .collect();
        let other = |found: &Found| {
            let maker = found.maker.clone().unwrap_or_default();
            let is_theirs = |one: &&&Found| !is_own(one) && one.maker.as_ref().is_some_and(|its| its.may_be(&maker));
            let gone = late.iter().find(is_theirs).is_none();
            let id = found.id.clone();
            Other { id, maker, gone }
        };
        // A new machine in the place of an old one is in doubt once: behind its second backup the old one has none.
        let rival = late.iter().enumerate().rfind(|(index, found)| {
            let before = if made.is_some() { &by_time } else { &late };
            let before = before.iter().take_while(|one| !std::ptr::eq(**one, **found));
            let last_but_one = index + 2 == late.len() && late.last().is_some_and(|last| is_own(last));
            !is_own(found) && (last_but_one || before.into_iter().any(|one| is_own(one)))
        });
        Self {
            own: found
                .iter()
                .filter(|found| is_own(found))
                .map(|found| found.id.clone())
                .collect(),
            others: found.iter().filter(|found| !is_own(found)).map(other).collect(),
            rival: rival.map(|(_, found)| other(found)),
            made_here: made.is_some(),
            maker,
        }
    }

    /// Returns the newest backup of the server that is meant.
    pub(crate) fn newest(&self) -> Option<&BackupId> {
        catalogue::newest(&self.own)
    }

    /// Returns whose a backup is, where it is another server's.
    pub(crate) fn other(&self, id: &BackupId) -> Option<&Other> {
        self.others.iter().find(|other| other.id == *id)
    }

    /// Returns why it is in doubt which server is meant, and what is to be done, where a rival makes backups under the same instance.
    pub(crate) fn doubt(&self) -> Option<String> {
        let rival = self.rival.as_ref()?;
        let maker = self.maker.as_ref()?;
        let newest = self
            .newest()
            .map_or_else(String::new, |newest| format!(" than {newest}, which is of {maker}"));
        Some(format!(
            "{} is of another server, {},{newest}: if both still make backups, give each an instance of its own, as \
             'instance: {}' in the settings of one of them, or each takes the other's backups for its own",
            rival.id,
            rival.maker,
            own_name(rival.id.instance(), rival.maker.host.as_deref().unwrap_or_default()),
        ))
    }

    /// Returns the newest backup of each server that makes backups, as `ID (UUID on HOST)`, that of the server that is meant first.
    pub(crate) fn newest_of_each(&self) -> Vec<String> {
        let own = self.newest().zip(self.maker.as_ref());
        let mut newest: Vec<(&BackupId, &Maker)> = own.into_iter().collect();
        let is_known = |other: &&Other| !other.gone && other.maker.host.is_some();
        for other in self.others.iter().rev().filter(is_known) {
            let is_there = newest
                .iter()
                .skip(usize::from(own.is_some()))
                .any(|(_, maker)| maker.may_be(&other.maker));
            if !is_there {
                newest.push((&other.id, &other.maker));
            }
        }
        newest.iter().map(|(id, maker)| format!("{id} ({maker})")).collect()
    }

    /// Refuses to take a backup that nobody has named where another server's could be meant.
    pub(crate) fn check_meant(&self) -> Result<()> {
        let nothing_own = self.own.is_empty() && !self.others.is_empty();
        if self.rival.is_none() && !nothing_own {
            return Ok(());
        }
        let why = if nothing_own {
            "none of the backups under this instance is of this node's server"
        } else {
            "the backups under this instance are of several servers"
        };
        let each: Vec<_> = self
            .newest_of_each()
            .iter()
            .map(|newest| format!("--backup {newest}"))
            .collect();
        Err(Error::new(
            Kind::Refused,
            format!("{why}: say which one is meant, with {}", each.join(", or ")),
        ))
    }
}

/// Proposes an instance for a host of its own: its whole name, if that is another.
fn own_name(instance: &Instance, host: &str) -> String {
    let whole = host.parse::<Instance>().ok().filter(|whole| whole != instance);
    whole.map_or_else(|| format!("{instance}-2"), |whole| whole.to_string())
}

/// When a backup was written, by the clock of the target.
fn written(directory: &Path, id: &BackupId) -> SystemTime {
    fs::metadata(path_of(directory, id, MANIFEST))
        .and_then(|file| file.modified())
        .unwrap_or_else(|_| id.at().into())
}
