//! The programs as cron runs them: what they do is recorded, and after a good backup the policy for keeping them is carried out. None of that
//! makes a good backup a failed one.

use std::path::Path;

use super::{
    config::Settings,
    error::{Kind, Result},
    history::{Attempt, Records},
    interrupt::Interrupt,
    lvm::LvmVolume,
    manifest::Manifest,
    name::BackupId,
    retention::prune,
    run::run_on,
    step::{Report, Step},
    verify::{self, Verdict},
    volume::Volume,
};

/// How a volume is found.
pub(super) type Find<'a> = dyn Fn(&Path) -> Result<Box<dyn Volume>> + 'a;

/// Makes a backup of the server that the settings name.
pub fn run(settings: &Settings, interrupt: &Interrupt, report: &mut dyn FnMut(Step)) -> Result<Manifest> {
    let volume = |datadir: &Path| Ok(Box::new(LvmVolume::holding(datadir, settings)?) as Box<dyn Volume>);
    back_up(settings, &volume, interrupt, report)
}

/// As `run`, on a volume of any kind.
pub(super) fn back_up(
    settings: &Settings,
    volume: &Find<'_>,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<Manifest> {
    let records = Records::open(settings, "backup")?;
    let mut attempt = Attempt::begin();
    let result = run_on(settings, volume, interrupt, &mut |step| {
        // From here on it is alone.
        if let Step::Began { id, .. } = &step {
            attempt.id = Some(id.clone());
            warn(records.begin(&attempt), report);
        }
        report(step);
    });
    // The record is that of the run that is under way.
    if !matches!(&result, Err(error) if error.kind == Kind::Busy) {
        warn(records.end(attempt.ended(&result)), report);
    }
    if result.is_ok() && !settings.keep.is_empty() {
        keep(settings, interrupt, report);
    }
    result
}

/// Deletes what need not be kept any more. Whatever is wrong with that is said, and tried again after the next run.
fn keep(settings: &Settings, interrupt: &Interrupt, report: &mut Report<'_>) {
    let pruned = prune(settings, false, interrupt, &mut |step| {
        if !matches!(&step, Step::Judged { judged, .. } if judged.keep) {
            report(step);
        }
    });
    if let Err(error) = pruned {
        let message = format!("old backups were not deleted: {error:#}");
        report(Step::Warning { message });
    }
}

/// Verifies a backup, the newest of this instance unless one is named.
pub fn verify(
    settings: &Settings,
    id: Option<&BackupId>,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Verdict> {
    let records = Records::open(settings, "verify")?;
    let mut attempt = Attempt::begin();
    let result = verify::verify(settings, id, interrupt, &mut |step| {
        if let Step::Verifying { id } = &step {
            attempt.id = Some(id.clone());
            warn(records.begin(&attempt), report);
        }
        report(step);
    });
    if !matches!(&result, Err(error) if error.kind == Kind::Busy) {
        let mut attempt = attempt.ended(&result);
        if let Ok(verdict) = &result {
            attempt.verdict = Some(verdict.verdict);
            attempt.exit_code = Some(verdict.exit_code());
            attempt.error = verdict.why();
        }
        warn(records.end(attempt), report);
    }
    result
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
