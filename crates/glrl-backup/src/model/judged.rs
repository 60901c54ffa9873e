//! What becomes of a backup by the policy.

use serde::Serialize;

use crate::model::id::BackupId;

/// What becomes of a backup, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The backup.
    pub id: BackupId,
    /// Whether it stays.
    pub keep: bool,
    /// The rules that want it; or, of one that goes, why none does.
    pub reasons: Vec<String>,
}
