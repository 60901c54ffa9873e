//! Deletes what the policy does not keep, and the archived binary logs that are of no use then. A kill at any point leaves complete
//! backups, and leftovers that the next run removes (`target::delete`).

#[cfg(test)]
pub(crate) mod tests;

use glrl_node::{system::clock, value::text::count};

use crate::{
    binlogs::keep,
    model::{
        error::{Error, Kind, Result},
        interrupt::Interrupt,
        judged::Judged,
        manifest::Manifest,
        step::Step,
        verdict::{Grade, Verdict},
    },
    retention::{
        doubt::doubt,
        policy::{Candidate, State, judge},
    },
    settings::Settings,
    state::run_lock,
    store::{
        leftovers,
        list::{Listed, list},
        partial::Writer,
        target, verdicts,
        wait_for_mount::wait_for_mount,
        whose::Whose,
    },
};

/// What a run has done; a dry run, what it would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// All backups of this instance, the oldest first.
    pub judged: Vec<Judged>,
    /// The archived binary logs that go.
    pub logs: Vec<String>,
}

impl Pruned {
    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        self.kept() == self.judged.len() && self.logs.is_empty()
    }

    /// How many backups stay.
    pub fn kept(&self) -> usize {
        self.judged.iter().filter(|judged| judged.keep).count()
    }

    /// What goes: `3 backups, 40 binary logs`.
    pub fn gone(&self) -> String {
        let backups = count(self.judged.len() - self.kept(), "backup");
        match self.logs.len() {
            0 => backups,
            logs => format!("{backups}, {}", count(logs, "binary log")),
        }
    }
}

/// Judges this instance's backups and deletes those that no rule keeps, the oldest first; then the binary logs that none of the others needs.
pub(crate) fn prune(
    settings: &Settings,
    dry_run: bool,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Pruned> {
    let directory = &settings.target.directory;
    let _alone = if dry_run {
        None
    } else {
        let alone = run_lock::take(settings, "backup")?;
        wait_for_mount(&settings.target, interrupt, report)?;
        Some(alone)
    };
    target::check_there(&settings.target)?;
    let writer = Writer::this(settings);
    if !dry_run {
        leftovers::remove(settings, &writer, report)?;
    }
    let of_this = |backup: &Listed| backup.id.instance() == &settings.instance;
    let backups: Vec<_> = list(settings)?.into_iter().filter(of_this).collect();
    let whose = Whose::look(settings)?;
    if !settings.keep.is_empty()
        && let Some(why) = doubt(settings, &backups, &whose)
    {
        return Err(Error::new(Kind::Refused, format!("nothing is deleted: {why}")));
    }
    // Those of a server that is gone are judged with those of the one that took its place.
    let theirs = |backup: &Listed| whose.other(&backup.id).filter(|other| !other.gone);
    let (others, backups): (Vec<_>, Vec<_>) = backups.into_iter().partition(|backup| theirs(backup).is_some());
    let candidates: Vec<_> = backups.iter().map(candidate).collect();
    let mut judged = judge(&settings.keep, &clock::zone(), &candidates);
    judged.extend(others.iter().filter_map(|backup| {
        let maker = &theirs(backup)?.maker;
        Some(Judged {
            id: backup.id.clone(),
            keep: true,
            reasons: vec![format!(
                "of another server, {maker}, left alone while that makes backups"
            )],
        })
    }));
    judged.sort_by(|one, other| one.id.cmp(&other.id));
    for judged in &judged {
        if !judged.keep && !dry_run {
            interrupt.check()?;
            target::delete(directory, &judged.id, &writer)?;
            verdicts::forget(settings, &judged.id);
        }
        report(Step::Judged {
            dry_run,
            judged: judged.clone(),
        });
    }
    interrupt.check()?;
    let kept = |backup: &Listed| judged.iter().any(|judged| judged.keep && judged.id == backup.id);
    let kept: Vec<_> = backups.into_iter().filter(kept).collect();
    let unreadable = kept.iter().find(|backup| backup.manifest.is_none());
    let logs = if settings.keep.is_empty() {
        Vec::new()
    } else if let Some(Listed { id, .. }) = unreadable {
        let message = format!("archived binary logs were left alone: which of them {id} needs cannot be read");
        report(Step::Warning { message });
        Vec::new()
    } else {
        let kept: Vec<_> = kept.into_iter().filter_map(Listed::complete).collect();
        useless_logs(settings, &kept, dry_run, report)?
    };
    Ok(Pruned { judged, logs })
}

fn useless_logs(
    settings: &Settings,
    kept: &[Manifest],
    dry_run: bool,
    report: &mut dyn FnMut(Step),
) -> Result<Vec<String>> {
    let logs = match keep::reap(settings, kept, dry_run) {
        // They are being archived just now. The next run finds what is of no use.
        Err(error) if error.kind == Kind::Busy => {
            let message = format!("archived binary logs were left alone: {error:#}");
            report(Step::Warning { message });
            return Ok(Vec::new());
        }
        logs => logs?,
    };
    for name in logs.iter().cloned() {
        report(Step::UselessLog { dry_run, name });
    }
    Ok(logs)
}

fn candidate(backup: &Listed) -> Candidate {
    let state = match (backup.broken.clone(), &backup.verdict) {
        (Some(why), _) => State::Broken(why),
        (None, Some(Verdict { verdict, .. })) if *verdict == Grade::Corrupt => State::Corrupt,
        (None, Some(verdict)) if verdict.restores() => State::Verified,
        (None, _) => State::Complete,
    };
    Candidate {
        id: backup.id.clone(),
        state,
    }
}
