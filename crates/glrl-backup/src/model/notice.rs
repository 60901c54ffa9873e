//! What others are told of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Event")]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A run begins.
    Start,
    /// It did what it is for.
    Success,
    /// It did not; or a backup does not restore.
    Fail,
    /// No backup is young enough.
    Stale,
}
