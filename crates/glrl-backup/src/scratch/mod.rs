//! A server that is started on a copy. It cannot reach the original.

pub(crate) mod account;
pub(crate) mod isolation;
pub(crate) mod lacks;
pub(crate) mod options;
pub(crate) mod place;
pub(crate) mod server;
