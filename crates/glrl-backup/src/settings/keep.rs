//! `keep`: which backups stay.

use std::fmt;

use glrl_node::value::Duration;
use schemars::JsonSchema;
use serde::Deserialize;

/// `keep`: which backups stay, as restic means it ("Removing backup snapshots" of its manual). A backup that one of the rules wants
/// is kept; of a day, a week or a month that is the newest. Nothing set deletes nothing. Nothing is deleted either while the newest backup's own
/// time is not the target's, or another server makes backups under the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of the last so many days that have one, in the node's time zone.
    pub daily: u32,
    /// The same of weeks, which begin on Monday (ISO 8601).
    pub weekly: u32,
    /// The same of months.
    pub monthly: u32,
    /// All that are younger than this, counted from the newest backup: when backups stop, nothing grows old by itself.
    pub within: Option<Duration>,
}

impl Keep {
    /// Whether nothing is asked for, so that nothing is deleted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Keep {
    /// `last 7, daily 14, within 2d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            ("last", self.last),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let mut rules: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
        rules.extend(self.within.map(|time| format!("within {time}")));
        f.write_str(&rules.join(", "))
    }
}
