//! Files, directories and links as a probe sees them.

use std::{path::PathBuf, sync::Arc};

use crate::value::{Mode, Owner};

/// A file's contents, shared.
pub type Bytes = Arc<[u8]>;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A file, a directory, a link, or something else.
    pub file_type: FileType,
    /// Permission bits; of a link they mean nothing.
    pub mode: Mode,
    /// The owner: a uid, unless it is a user that the plan has yet to create.
    pub owner: Owner,
    /// The group: a gid, unless it is a group that the plan has yet to create.
    pub group: Owner,
}

/// The kinds of things that stand at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileType {
    /// A regular file and its size in bytes.
    File {
        /// Bytes; 0 for a file that is made later and whose contents are not known.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link and what it holds.
    Link {
        /// The text of the link, as it is.
        target: PathBuf,
    },
    /// A device, socket or fifo.
    Other,
}

/// Ownership and permission to set; what is `None` stays as it is, and is root, root (or the group of a setgid directory) and
/// the kind's usual mode on something new.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Meta {
    /// Permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Owner>,
}
