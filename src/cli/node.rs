//! The node a command is about: this machine, or a tree of files.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::system::{
    LocalNode,
    state::{self, StateDir},
};

/// Which node.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Node")]
pub(super) struct Node {
    /// Manage the tree of files below DIR instead of this machine: files, directories, links, accounts
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Node {
    /// Opens it.
    pub(super) fn open(&self) -> Result<LocalNode> {
        match &self.root {
            Some(root) => LocalNode::offline(root),
            None => LocalNode::live(),
        }
    }

    /// Where its files are.
    pub(super) fn path(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        match &self.root {
            Some(root) => root.display().to_string(),
            None => {
                nix::unistd::gethostname().map_or_else(|_| "this machine".to_owned(), |name| name.display().to_string())
            }
        }
    }

    /// Its state directory, made if it is not there.
    pub(super) fn state(&self) -> Result<StateDir> {
        StateDir::inside(self.path(), self.state_path())
    }

    /// Its state directory, if there is one: a plan makes none.
    pub(super) fn state_if_any(&self) -> Result<Option<StateDir>> {
        StateDir::if_any(self.path(), self.state_path())
    }

    /// Where it is on the node. In a tree of files it needs no directory that a role may declare: see docs/decisions/0016.
    fn state_path(&self) -> &'static Path {
        Path::new(if self.root.is_some() {
            state::OF_TREE
        } else {
            state::OF_MACHINE
        })
    }
}
