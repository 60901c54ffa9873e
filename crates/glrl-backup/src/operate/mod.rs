pub(crate) mod job;
pub(crate) mod notify;
pub(crate) mod status;
pub(crate) mod supervise;
