//! passwd(5) and group(5), read once.

use anyhow::Result;

use super::tree::Tree;
use crate::system::{Group, User};

/// All users and groups.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

impl Accounts {
    pub(super) fn read(_tree: &Tree) -> Result<Self> {
        Ok(Self::default())
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}
