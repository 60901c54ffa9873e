//! One look for an operator, and for monitoring: what is the newest backup, does it restore, how did the last run go.

#[cfg(test)]
pub(crate) mod tests;

use std::{path::Path, sync::mpsc::channel, time::Duration};

use anyhow::anyhow;
use glrl_node::system::clock;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    binlogs::gap::Gap,
    model::{
        error::{Kind, Result},
        id::Instance,
        verdict::Grade,
    },
    operate::notify::outbox,
    settings::Settings,
    state::history::{Attempt, History, Records},
    store::{
        catalogue::age_and_limit,
        list::{Listed, list},
        target,
        whose::Whose,
    },
    volume::lvm,
};

/// How long the target may take to answer. One that is mounted hard from a server that is gone never does (nfs(5)).
const PATIENCE: Duration = Duration::from_secs(20);

/// The one word, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All is well.
    Ok,
    /// The last run failed, or has left something behind, or a verification could not be made, or binary logs are not being archived.
    Failed,
    /// There is no backup that is young enough, or none that is known to restore.
    Stale,
    /// The newest backup does not restore, or one is not whole.
    Corrupt,
    /// The target does not answer, or is not the one that is meant: nothing is known.
    Target,
}

impl Health {
    /// It, as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Stale => "stale",
            Self::Corrupt => "corrupt",
            Self::Target => "target",
        }
    }

    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => Kind::Failed.exit_code(),
            Self::Stale => Kind::Stale.exit_code(),
            Self::Corrupt => Kind::Corrupt.exit_code(),
            Self::Target => Kind::Target.exit_code(),
        }
    }
}

/// How this instance's backups are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The one word: the worst of the problems.
    pub health: Health,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Whose backups.
    pub instance: Instance,
    /// When this was found.
    pub at: Timestamp,
    /// How many there are that are whole; `None` where the target cannot be reached.
    pub backups: Option<usize>,
    /// The newest that is whole.
    pub newest: Option<Listed>,
    /// The newest of them that is known to restore.
    pub newest_verified: Option<Listed>,
    /// How the last runs went.
    pub history: History,
    /// Snapshots that runs which died have left; the next run removes them.
    pub snapshots: Vec<String>,
    /// Bytes free on the target.
    pub free_bytes: Option<u64>,
    /// Notifications that could not be delivered yet.
    pub notifications_waiting: usize,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub health: Health,
    /// What it is.
    pub message: String,
}

/// Looks, and changes nothing.
pub fn status(settings: &Settings) -> Result<Status> {
    let history = Records::glance(settings, "backup")?;
    let binlogs = Records::glance(settings, "binlogs")?.last;
    let gap = Gap::read(settings);
    let seen = within(PATIENCE, settings, look);
    let snapshots = lvm::leftovers();
    Ok(judge(
        settings,
        clock::now(),
        history,
        (binlogs.as_ref(), gap),
        seen,
        snapshots,
    ))
}

/// What the target holds of this instance, whose that is, and how much is free.
type Seen = anyhow::Result<(Vec<Listed>, Whose, u64)>;

/// Looks, but no longer than this.
fn within(patience: Duration, settings: &Settings, look: impl FnOnce(&Settings) -> Seen + Send + 'static) -> Seen {
    let (tell, told) = channel();
    let settings = settings.clone();
    let directory = settings.target.directory.clone();
    // Left behind where it hangs; the process's end ends it too.
    std::thread::spawn(move || drop(tell.send(look(&settings))));
    told.recv_timeout(patience)
        .unwrap_or_else(|_| Err(anyhow!("{directory} does not answer within {} s", patience.as_secs())))
}

fn look(settings: &Settings) -> Seen {
    target::check_there(&settings.target)?;
    let directory: &Path = &settings.target.directory;
    let mut backups = list(settings)?;
    backups.retain(|backup| backup.id.instance() == &settings.instance);
    Ok((backups, Whose::look(settings)?, target::free(directory)?))
}

/// What that means.
fn judge(
    settings: &Settings,
    at: Timestamp,
    history: History,
    (binlogs, gap): (Option<&Attempt>, Option<Gap>),
    seen: Seen,
    snapshots: anyhow::Result<Vec<String>>,
) -> Status {
    let mut problems = Vec::new();
    let mut problem = |health, message: String| problems.push(Problem { health, message });
    if let Some(last) = history.last.as_ref().filter(|last| last.failed()) {
        problem(Health::Failed, format!("the last run failed: {}", last.why()));
    }
    let (mut backups, servers, free_bytes) = match seen {
        Ok((backups, servers, free)) => (backups, servers, Some(free)),
        Err(error) => {
            problem(Health::Target, format!("{error:#}"));
            (Vec::new(), Whose::default(), None)
        }
    };
    if let Some(why) = servers.doubt() {
        problem(Health::Failed, why);
    }
    // What another server has made says nothing about this one.
    backups.retain(|backup| backup.other_server.is_none());
    for (backup, why) in backups
        .iter()
        .filter_map(|backup| Some((backup, backup.broken.as_ref()?)))
    {
        problem(Health::Corrupt, format!("{} is broken: {why}", backup.id));
    }
    let whole: Vec<_> = backups.into_iter().filter(|backup| backup.broken.is_none()).collect();
    let newest = whole.last().cloned();
    if let Some(why) = logs(binlogs, gap, newest.as_ref()) {
        problem(Health::Failed, why);
    }
    let verified = |backup: &&Listed| {
        backup
            .verdict
            .as_ref()
            .is_some_and(crate::model::verdict::Verdict::restores)
    };
    let newest_verified = whole.iter().rfind(verified).cloned();
    let too_old = |backup: &Listed, limit: Duration| {
        let age = Duration::from_secs(at.duration_since(backup.id.at()).as_secs().max(0).unsigned_abs());
        (age > limit).then(|| age_and_limit(age, limit))
    };
    match &newest {
        Some(newest) => {
            if let Some(how) = too_old(newest, settings.verify.max_age) {
                problem(Health::Stale, format!("the newest backup is {how}"));
            }
            match newest.verdict.as_ref().map(|verdict| (verdict.verdict, verdict)) {
                Some((Grade::Corrupt, verdict)) => {
                    let why = verdict.why().unwrap_or_default();
                    problem(Health::Corrupt, format!("the newest backup does not restore: {why}"));
                }
                Some((Grade::Unverified, verdict)) => {
                    let why = verdict.why().unwrap_or_default();
                    problem(
                        Health::Failed,
                        format!("the newest backup could not be verified: {why}"),
                    );
                }
                _ => {}
            }
        }
        None if free_bytes.is_some() => problem(Health::Stale, none(&servers)),
        None => {}
    }
    if let (Some(limit), Some(_)) = (settings.verify.max_proven_age, &newest) {
        match &newest_verified {
            None => problem(Health::Stale, "no backup is known to restore".to_owned()),
            Some(backup) => {
                if let Some(how) = too_old(backup, limit) {
                    problem(
                        Health::Stale,
                        format!("the newest backup that is known to restore is {how}"),
                    );
                }
            }
        }
    }
    let snapshots = match snapshots {
        Ok(snapshots) => snapshots,
        Err(error) => {
            problem(Health::Failed, format!("looking for snapshots: {error:#}"));
            Vec::new()
        }
    };
    for snapshot in &snapshots {
        let message = format!("the snapshot {snapshot} was left by a run that died; the next one removes it");
        problem(Health::Failed, message);
    }
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.health));
    Status {
        health: problems.first().map_or(Health::Ok, |problem| problem.health),
        problems,
        instance: settings.instance.clone(),
        at,
        backups: free_bytes.map(|_| whole.len()),
        newest,
        newest_verified,
        history,
        snapshots,
        free_bytes,
        notifications_waiting: outbox::waiting(settings),
    }
}

/// What is wrong with the archive of binary logs. A gap lasts until there is a younger backup; the run that has found it has failed by it.
fn logs(last: Option<&Attempt>, gap: Option<Gap>, newest: Option<&Listed>) -> Option<String> {
    let found = |gap: &Gap, last: &Attempt| last.error.as_ref() == Some(&gap.message);
    let failed = last.filter(|last| last.failed() && !gap.as_ref().is_some_and(|gap| found(gap, last)));
    let failed = failed.map(|last| format!("binary logs are not being archived: {}", last.why()));
    let gap = gap.filter(|gap| newest.is_some_and(|newest| newest.id == gap.backup));
    let both: Vec<_> = failed.into_iter().chain(gap.map(|gap| gap.message)).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// That there is no backup, and whose there are.
fn none(servers: &Whose) -> String {
    if servers.others.is_empty() {
        return "there is no backup".to_owned();
    }
    let others = servers.newest_of_each().join(", ");
    format!("there is no backup of this node's server; under the same instance are those of others: {others}")
}
