//! The programs of a backup.

use serde::{Deserialize, Serialize};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Program {
    Backup,
    Prune,
    Verify,
    Binlogs,
}
