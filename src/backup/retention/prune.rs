//! Deletes what the policy does not keep. A kill at any point leaves complete backups, and leftovers that the next run removes
//! (`target::delete`).

use super::{
    Judged,
    policy::{Candidate, State, judge},
};
use crate::{
    backup::{
        alone::alone,
        config::Settings,
        error::Result,
        interrupt::Interrupt,
        list::{Listed, list},
        step::Step,
        target, verdicts,
        verify::{Verdict, Word},
    },
    system::clock,
};

/// Judges this instance's backups and deletes those that no rule keeps, the oldest first. Returns all of them, the oldest first.
pub(in crate::backup) fn prune(
    settings: &Settings,
    dry_run: bool,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Vec<Judged>> {
    let directory = &settings.target.directory;
    let _alone = if dry_run {
        None
    } else {
        Some(alone(settings, "backup")?)
    };
    target::check_there(&settings.target)?;
    if !dry_run {
        for what in target::reap(directory, &settings.instance)? {
            report(Step::Removed { what });
        }
    }
    let of_this = |backup: &Listed| backup.id.instance() == &settings.instance;
    let backups: Vec<_> = list(settings)?.into_iter().filter(of_this).map(candidate).collect();
    let judged = judge(&settings.keep, &clock::zone(), &backups);
    for judged in &judged {
        if !judged.keep && !dry_run {
            interrupt.check()?;
            target::delete(directory, &judged.id)?;
            verdicts::forget(settings, &judged.id);
        }
        report(Step::Judged {
            dry_run,
            judged: judged.clone(),
        });
    }
    Ok(judged)
}

fn candidate(backup: Listed) -> Candidate {
    let state = match (backup.broken, &backup.verdict) {
        (Some(why), _) => State::Broken(why),
        (None, Some(Verdict { verdict, .. })) if *verdict == Word::Corrupt => State::Corrupt,
        (None, Some(verdict)) if verdict.restores() => State::Verified,
        (None, _) => State::Complete,
    };
    Candidate { id: backup.id, state }
}

#[cfg(test)]
mod tests;
