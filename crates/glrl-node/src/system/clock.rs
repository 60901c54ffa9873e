//! The one source of wall time.

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks for the time")]
pub fn now() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// RFC 3339, seconds, UTC: `2026-11-24T18:20:25Z`.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, in the node's time zone (localtime(5)).
pub fn local() -> Zoned {
    now().to_zoned(zone())
}

/// The node's time zone.
pub fn zone() -> TimeZone {
    TimeZone::system()
}
