//! Users and groups as a probe sees them.

/// A line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// uid; `None` for a user that is planned and whose number useradd(8) will choose.
    pub uid: Option<u32>,
    /// Primary group's gid, `None` likewise.
    pub gid: Option<u32>,
    /// Full name, the GECOS field.
    pub comment: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Supplementary groups, sorted by name.
    pub groups: Vec<String>,
}

/// A line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// gid; `None` for a group that is planned and whose number groupadd(8) will choose.
    pub gid: Option<u32>,
    /// Members, as in the file.
    pub members: Vec<String>,
}
