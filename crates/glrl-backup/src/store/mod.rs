//! What lies on the target, how it gets there, and whose it is.

pub(crate) mod archive;
pub(crate) mod behind;
pub(crate) mod binlog;
pub(crate) mod catalogue;
pub(crate) mod draft;
pub(crate) mod encryption;
pub(crate) mod files;
pub(crate) mod hash;
pub(crate) mod leftovers;
pub(crate) mod lines;
pub(crate) mod list;
pub(crate) mod partial;
pub(crate) mod room;
pub(crate) mod tables;
pub(crate) mod target;
pub(crate) mod verdicts;
pub(crate) mod wait_for_mount;
pub(crate) mod whose;
pub(crate) mod writer;
