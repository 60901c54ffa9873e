//! What this node remembers of its runs: the run lock, their record, the backups that it has made.

pub(crate) mod history;
pub(crate) mod made;
pub(crate) mod run_lock;
