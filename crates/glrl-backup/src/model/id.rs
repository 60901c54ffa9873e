//! Names of instances and of backups.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Names one database server among those that share a target: letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(String);

impl Instance {
    /// The node's host name up to its first dot: the instance that is meant when none is named.
    pub fn of_host() -> Self {
        let name = nix::unistd::gethostname().unwrap_or_default();
        let name = name.to_string_lossy();
        name.split('.')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or_else(|_| Self("mysql".to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if text.is_empty() || text.len() > 64 || text.starts_with(['.', '-']) || !text.bytes().all(allowed) {
            return Err(format!(
                "'{text}' is not an instance's name: write letters, digits, '.', '_' and '-', at most 64"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a backup, and with it the run that made it: `mysql-INSTANCE-20261101T031500Z`. Ids of one instance sort by age.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId {
    instance: Instance,
    at: Timestamp,
}

/// How far the clocks of two nodes may be apart.
pub(crate) const CLOCKS: Duration = Duration::from_mins(10);

const PREFIX: &str = "mysql-";
const TIME: &str = "%Y%m%dT%H%M%SZ";

impl BackupId {
    /// The id of a backup of this instance that began then.
    pub fn new(instance: &Instance, at: Timestamp) -> Self {
        let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
        Self {
            instance: instance.clone(),
            at: whole,
        }
    }

    /// Whose backup it is.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// When it began, in whole seconds.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether it is of a time that is still to come: a clock was wrong when it was made, or is wrong now.
    pub(crate) fn is_to_come(&self, now: Timestamp) -> bool {
        self.at.duration_since(now).as_secs() > CLOCKS.as_secs().cast_signed()
    }

    /// The time alone, as it stands in the id.
    pub(crate) fn time(&self) -> String {
        self.at.strftime(TIME).to_string()
    }
}

impl FromStr for BackupId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a backup: it is named mysql-INSTANCE-20261101T031500Z");
        let (instance, time) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.rsplit_once('-'))
            .ok_or_else(wrong)?;
        let at = DateTime::strptime(TIME, time)
            .and_then(|civil| TimeZone::UTC.to_timestamp(civil))
            .map_err(|_| wrong())?;
        let id = Self {
            instance: instance.parse()?,
            at,
        };
        // One spelling for one backup: strptime(3) takes shorter numbers too.
        if id.time() == time { Ok(id) } else { Err(wrong()) }
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.instance, self.time())
    }
}

/// Serde by the one spelling that `FromStr` and `Display` have.
macro_rules! as_string {
    ($($type:ty),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}
as_string!(Instance, BackupId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        for text in ["mysql-main-20261101T031500Z", "mysql-db-1.example-20240229T235959Z"] {
            assert_eq!(text.parse::<BackupId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "mysql-main",
            "mysql--20261101T031500Z",
            "mysql-main-20261301T031500Z",
            "mysql-main-2026111T031500Z",
            "mysql-../x-20261101T031500Z",
            "mysql-main-20261101T031500Z.json",
        ] {
            assert!(text.parse::<BackupId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_of_an_instance_sort_by_age() {
        let older: BackupId = "mysql-a-20261101T031500Z".parse().unwrap();
        let younger: BackupId = "mysql-a-20261101T031501Z".parse().unwrap();
        assert!(older < younger);
    }
}
