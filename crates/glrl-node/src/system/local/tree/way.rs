//! A way down a tree of any depth, by directories that are held.

use std::os::fd::OwnedFd;

use anyhow::{Result, bail};
use nix::{
    fcntl::{self, OFlag},
    sys::stat,
};

use super::identity;
use crate::system::Identity;

/// How many directories on the way down are held open.
const HELD: usize = 8;

/// A way down. The directories above the lowest few are found again by `..`, and recognised.
pub(super) struct Way<T>(Vec<Level<T>>);

struct Level<T> {
    directory: Option<OwnedFd>,
    identity: Identity,
    at: T,
}

impl<T> Way<T> {
    /// Begins in a directory.
    pub(super) fn from(directory: OwnedFd, at: T) -> nix::Result<Self> {
        let mut way = Self(Vec::new());
        let is = identity(&stat::fstat(&directory)?);
        way.down(directory, is, at);
        Ok(way)
    }

    /// Goes into a directory of the lowest one.
    pub(super) fn down(&mut self, directory: OwnedFd, identity: Identity, at: T) {
        self.0.push(Level {
            directory: Some(directory),
            identity,
            at,
        });
        if let Some(far) = self.0.len().checked_sub(HELD + 1) {
            self.0[far].directory = None;
        }
    }

    /// The lowest directory.
    pub(super) fn here(&mut self) -> Option<(&OwnedFd, Identity, &mut T)> {
        let level = self.0.last_mut()?;
        Some((level.directory.as_ref()?, level.identity, &mut level.at))
    }

    /// Leaves the lowest directory.
    pub(super) fn up(&mut self) -> Result<Option<T>> {
        let Some(left) = self.0.pop() else { return Ok(None) };
        if let (Some(level), Some(directory)) = (self.0.last_mut(), &left.directory)
            && level.directory.is_none()
        {
            let above = open_above(directory)?;
            if identity(&stat::fstat(&above)?) != level.identity {
                bail!("a directory was moved away while it was looked into: run again");
            }
            level.directory = Some(above);
        }
        Ok(Some(left.at))
    }
}

/// Opens the directory above, wherever this one is by now.
pub(super) fn open_above(directory: &OwnedFd) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    fcntl::openat(directory, "..", flags, stat::Mode::empty())
}
