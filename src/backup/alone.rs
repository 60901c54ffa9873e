//! One run at a time.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
};

use anyhow::Context;
use jiff::Timestamp;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{
    config::Settings,
    error::{Error, Kind, Result},
};

/// Takes the lock of this instance's backups, or verifications, until it is dropped or the process ends. It is on a local disk, never on the target: flock(2) over NFS is another lock, which can hang.
pub(super) fn alone(settings: &Settings, what: &str) -> Result<Flock<File>> {
    let directory = &settings.run_directory;
    let path = directory.join(format!("{what}-{}.lock", settings.instance));
    let doing = || format!("taking the run lock {}", path.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(doing)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(doing)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut held) => {
            held.set_len(0).with_context(doing)?;
            write!(held, "process {}, since {}", std::process::id(), Timestamp::now()).with_context(doing)?;
            Ok(held)
        }
        Err((_, Errno::EWOULDBLOCK)) => {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            Err(Error::new(
                Kind::Busy,
                format!("another {what} of {} is under way: {owner}", settings.instance),
            ))
        }
        Err((_, errno)) => Err(anyhow::Error::from(errno).context(doing()).into()),
    }
}
