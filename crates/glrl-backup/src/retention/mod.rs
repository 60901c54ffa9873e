//! Which backups are kept, and the deletion of the others. `policy` decides, a pure function with reasons; `prune` does it,
//! unless there is `doubt`.

pub(crate) mod doubt;
pub(crate) mod policy;
pub(crate) mod prune;
