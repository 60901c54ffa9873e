//! The programs as cron runs them: what they do is recorded and told to others, and after a good backup the policy for keeping them is
//! carried out. None of that makes a good backup a failed one.

use std::path::Path;

use crate::{
    binlogs::{self, Archived},
    make::run_on,
    model::{
        error::{Error, Kind, Result},
        id::BackupId,
        interrupt::Interrupt,
        manifest::Manifest,
        program::Program,
        step::{Report, Step},
        verdict::Verdict,
    },
    operate::notify::{self, event::Event},
    retention::prune::{Pruned, prune as prune_backups},
    settings::Settings,
    state::history::{Attempt, Records},
    verify::verify as verify_backup,
    volume::{Volume, lvm::LvmVolume},
};

/// How a volume is found.
pub(crate) type Find<'a> = dyn Fn(&Path) -> Result<Box<dyn Volume>> + 'a;

/// Makes a backup of the server that the settings name.
pub fn run(settings: &Settings, interrupt: &Interrupt, report: &mut dyn FnMut(Step)) -> Result<Manifest> {
    let volume = |datadir: &Path| Ok(Box::new(LvmVolume::holding(datadir, settings)?) as Box<dyn Volume>);
    back_up(settings, &volume, interrupt, report)
}

/// As `run`, on a volume of any kind.
pub(crate) fn back_up(
    settings: &Settings,
    volume: &Find<'_>,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<Manifest> {
    let mut job = Job::begin(settings, Program::Backup, report);
    let result = run_on(settings, volume, interrupt, &mut |step| {
        // From here on it is alone.
        if let Step::Began { id, .. } = &step {
            job.note(Some(id), report);
        }
        report(step);
    });
    job.end(&result, Event::backed_up, report);
    if result.is_ok() && !settings.keep.is_empty() {
        let mut but_what_stays = |step: Step| {
            if !matches!(&step, Step::Judged { judged, .. } if judged.keep) {
                report(step);
            }
        };
        // Whatever is wrong with that, the next run tries again.
        if let Err(error) = prune(settings, false, interrupt, &mut but_what_stays) {
            let message = format!("old backups were not deleted: {error:#}");
            report(Step::Warning { message });
        }
    } else {
        measure(settings, report);
    }
    result
}

/// Deletes the backups that the policy does not keep, and the archived binary logs that are of no use then; or says which it would.
pub fn prune(
    settings: &Settings,
    dry_run: bool,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Pruned> {
    let result = prune_backups(settings, dry_run, interrupt, report);
    if dry_run {
        return result;
    }
    match &result {
        Ok(pruned) if pruned.is_empty() => {}
        Ok(pruned) => notify::tell(settings, &Event::pruned(&settings.instance, pruned), report),
        Err(error) => notify::tell(
            settings,
            &Event::fail(Program::Prune, &settings.instance, None, error),
            report,
        ),
    }
    measure(settings, report);
    result
}

/// Verifies a backup, the newest of this instance unless one is named.
pub fn verify(
    settings: &Settings,
    id: Option<&BackupId>,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Verdict> {
    let settings = &settings.of_backup(id);
    let mut job = Job::begin(settings, Program::Verify, report);
    let result = verify_backup(settings, id, interrupt, &mut |step| {
        if let Step::Verifying { id } = &step {
            job.note(Some(id), report);
        }
        report(step);
    });
    if let Ok(verdict) = &result {
        job.attempt.verdict = Some(verdict.verdict);
        job.attempt.exit_code = Some(verdict.exit_code());
        job.attempt.error = verdict.why();
    }
    job.end(&result, |verdict| Event::verified(&settings.instance, verdict), report);
    measure(settings, report);
    result
}

/// Archives the server's binary logs. That is done every few minutes: others are told when it begins to fail, and when it does not any more. A
/// gap in the logs is a failure of the run that finds it, and a warning from then on.
pub fn archive_binlogs(settings: &Settings, interrupt: &Interrupt, report: &mut dyn FnMut(Step)) -> Result<Archived> {
    let attempt = Attempt::begin();
    let result = binlogs::archive(settings, interrupt, &mut |step| report(step));
    binlogs_ended(settings, attempt, result, report)
}

/// Records how an archive of binary logs ended, and tells others where that is news. Returns how it ended: with a gap that is new, it failed.
pub(crate) fn binlogs_ended(
    settings: &Settings,
    attempt: Attempt,
    result: Result<Archived>,
    report: &mut Report<'_>,
) -> Result<Archived> {
    if matches!(&result, Err(Error { kind: Kind::Busy, .. })) {
        return result;
    }
    let (gone, found) = match &result {
        Ok(archived) => (archived.gap_is_gone, archived.gap_is_new),
        Err(_) => (false, false),
    };
    let result = result.and_then(|archived| match &archived.gap {
        Some(message) if archived.gap_is_new => Err(Error::new(Kind::Failed, message.clone())),
        Some(message) => {
            let message = message.clone();
            report(Step::Warning { message });
            Ok(archived)
        }
        None => Ok(archived),
    });
    let records = warn(Records::open(settings, "binlogs"), report);
    let failed_before = records
        .as_ref()
        .is_some_and(|records| records.read().failures_in_a_row > 0);
    if let Some(records) = records {
        warn(records.end(attempt.ended(&result)), report);
    }
    match &result {
        Ok(archived) if archived.gap.is_none() && (failed_before || gone) => {
            notify::tell(settings, &Event::archived(&settings.instance, archived), report);
        }
        Err(error) if !failed_before || found => {
            let event = Event::fail(Program::Binlogs, &settings.instance, None, error);
            notify::tell(settings, &event, report);
        }
        _ => {}
    }
    measure(settings, report);
    result
}

/// A run, as others see it.
struct Job<'a> {
    settings: &'a Settings,
    program: Program,
    attempt: Attempt,
    /// Where runs are recorded; where that cannot be had, they are not.
    records: Option<Records>,
    /// Whether its begin is recorded.
    noted: bool,
}

impl<'a> Job<'a> {
    fn begin(settings: &'a Settings, program: Program, report: &mut Report<'_>) -> Self {
        notify::tell(settings, &Event::start(program, &settings.instance), report);
        let what = match program {
            Program::Verify => "verify",
            Program::Backup | Program::Prune | Program::Binlogs => "backup",
        };
        Self {
            settings,
            program,
            attempt: Attempt::begin(),
            records: warn(Records::open(settings, what), report),
            noted: false,
        }
    }

    /// Notes which backup it is about, where it is about one. It is alone from here on: one before it that has no end was killed.
    fn note(&mut self, id: Option<&BackupId>, report: &mut Report<'_>) {
        self.noted = true;
        self.attempt.id = id.cloned();
        let records = self.records.as_ref();
        let killed = records.and_then(|records| warn(records.begin(&self.attempt), report)?);
        if let Some(killed) = killed {
            let event = Event::killed(self.program, &self.settings.instance, &killed);
            notify::tell(self.settings, &event, report);
        }
    }

    fn end<T>(mut self, result: &Result<T>, success: impl FnOnce(&T) -> Event, report: &mut Report<'_>) {
        let id = self.attempt.id.clone();
        // The record is that of the run that is under way.
        if !matches!(result, Err(Error { kind: Kind::Busy, .. })) {
            if !self.noted {
                self.note(None, report);
            }
            if let Some(records) = self.records {
                warn(records.end(self.attempt.ended(result)), report);
            }
        }
        let event = match result {
            Ok(value) => success(value),
            Err(error) => Event::fail(self.program, &self.settings.instance, id, error),
        };
        notify::tell(self.settings, &event, report);
    }
}

/// Writes the metrics.
fn measure(settings: &Settings, report: &mut Report<'_>) {
    warn(notify::metrics::write(settings), report);
}

/// Says what went wrong beside the work itself.
fn warn<T>(result: anyhow::Result<T>, report: &mut Report<'_>) -> Option<T> {
    result
        .map_err(|error| {
            let message = format!("{error:#}");
            report(Step::Warning { message });
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures;

    #[test]
    fn a_run_that_was_killed_counts_though_the_next_comes_to_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = fixtures::settings(directory.path());
        let nowhere = directory.path().join("no-server");
        settings.server.socket = Some(nowhere.to_str().unwrap().parse().unwrap());
        let killed: Attempt = serde_json::from_value(json!({
            "id": null, "started": "2026-11-01T02:00:00Z", "ended": null, "owner": "", "exit_code": null, "error": null, "verdict": null,
        }))
        .unwrap();
        Records::open(&settings, "backup").unwrap().begin(&killed).unwrap();
        let no_volume = |_: &Path| -> Result<Box<dyn Volume>> { unreachable!() };
        back_up(&settings, &no_volume, &Interrupt::default(), &mut |_| {}).unwrap_err();
        let history = Records::glance(&settings, "backup").unwrap();
        assert_eq!((history.runs, history.failures_in_a_row), (2, 2));
    }
}
