//! Whether something is to be there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `state` of most kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Presence {
    /// It is there, as declared.
    #[default]
    Present,
    /// It is not there.
    Absent,
}
