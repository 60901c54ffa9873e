//! What a home starts with.

use std::path::PathBuf;

use super::Bytes;
use crate::value::Mode;

/// Something of /etc/skel.
#[derive(Debug, Clone, PartialEq)]
pub struct Bone {
    /// Relative to the home.
    pub name: PathBuf,
    /// Its mode; a link has none.
    pub mode: Mode,
    /// What it is.
    pub kind: BoneKind,
}

/// What something of /etc/skel is.
#[derive(Debug, Clone, PartialEq)]
pub enum BoneKind {
    /// A directory.
    Directory,
    /// A regular file with these contents.
    File(Bytes),
    /// A link that holds this.
    Link(PathBuf),
}
