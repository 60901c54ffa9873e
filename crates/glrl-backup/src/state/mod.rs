pub(crate) mod history;
pub(crate) mod made;
pub(crate) mod run_lock;
