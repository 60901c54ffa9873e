//! A run as others see it: recorded, supervised, told of, looked at.

pub(crate) mod job;
pub(crate) mod notify;
pub(crate) mod status;
pub(crate) mod supervise;
