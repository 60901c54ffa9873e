//! Talking to MariaDB and MySQL: what a server is, what it has, where its data lie, and how it is held still.

pub(crate) mod freeze;
pub(crate) mod identity;
pub(crate) mod option_files;
pub(crate) mod placement;
pub(crate) mod session;
pub(crate) mod survey;
