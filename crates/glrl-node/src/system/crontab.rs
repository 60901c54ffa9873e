//! Where cron keeps the users' tables (crontab(1), Debian).

use std::path::{Path, PathBuf};

use super::Meta;
use crate::value::{Mode, Owner};

/// The directory of all tables; it comes with the package `cron`.
pub const DIRECTORY: &str = "/var/spool/cron/crontabs";

/// A user's table.
pub fn path(user: &str) -> PathBuf {
    Path::new(DIRECTORY).join(user)
}

/// Whose a table has to be: cron passes over one that another owns or may write.
pub fn meta(user: &str) -> Meta {
    Meta {
        mode: Some(Mode::of(0o600)),
        owner: Some(Owner::Name(user.to_owned())),
        group: Some(Owner::Name("crontab".to_owned())),
    }
}
