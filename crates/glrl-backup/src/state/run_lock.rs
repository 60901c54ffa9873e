//! One run at a time. The lock is on a local disk, never on the target: flock(2) over NFS is another lock, which can hang.

use std::time::Duration;

use glrl_node::system::state::{Locked, RunLock, StateDir};

use crate::{
    model::error::{Error, Kind, Result},
    settings::Settings,
};

/// Takes the lock of this instance's backups, or verifications, until it is dropped or the process ends.
pub(crate) fn take(settings: &Settings, what: &str) -> Result<RunLock> {
    let state = StateDir::open(&settings.state_directory.join(what).join(settings.instance.as_str()))?;
    state
        .lock(Duration::ZERO, |_| ())
        .map_err(|error| match error.downcast::<Locked>() {
            Ok(Locked { owner }) => Error::new(
                Kind::Busy,
                format!("another {what} of {} is under way: {owner}", settings.instance),
            ),
            Err(error) => error.into(),
        })
}
