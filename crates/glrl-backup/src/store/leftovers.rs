//! What earlier runs of this node have left unfinished on the target.

use crate::{
    model::{error::Result, step::Step},
    settings::Settings,
    state::made::Made,
    store::{partial::Writer, target},
};

/// Removes what earlier runs of this node have left unfinished, and says what may be another's. The caller holds the run lock.
pub(crate) fn remove(settings: &Settings, writer: &Writer, report: &mut dyn FnMut(Step)) -> Result<()> {
    let made = Made::read(settings);
    let reaped = target::reap(&settings.target.directory, &settings.instance, writer, made.as_ref())?;
    for what in reaped.removed {
        report(Step::Removed { what });
    }
    for message in reaped.left {
        report(Step::Warning { message });
    }
    Ok(())
}
