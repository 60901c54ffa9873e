//! Times in what the backup programs write: numbers of milliseconds, to the microsecond, below a name that ends in `_ms`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// A time as it is written.
pub(crate) fn of(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// For `serde(with = …)`.
pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(of(*time))
}

/// For `serde(with = …)`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(deserializer)? / 1e3).map_err(D::Error::custom)
}
