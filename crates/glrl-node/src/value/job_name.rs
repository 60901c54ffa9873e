//! Names of cron jobs.

use std::{fmt, ops::Deref, str::FromStr};

use super::string_value;

/// A job's name, which is also the name of its file in `/etc/cron.d`: cron passes over files whose names hold anything else
/// (cron(8), run-parts(8)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(String);

impl FromStr for JobName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !text.is_empty() && text.len() <= 128 && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is not a job's name: use letters, digits, _ and -, as cron does for the files in /etc/cron.d"
        ))
    }
}

impl Deref for JobName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(
    JobName,
    "A cron job's name.",
    "^[A-Za-z0-9_-]{1,128}$",
    ["nightly-backup"]
);
