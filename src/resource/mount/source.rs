//! What is declared, what is mounted and what fstab names: whether it is the same thing.

use std::path::Path;

use anyhow::{Context, Result};

use super::Mount;
use crate::{
    system::{BlockDevice, Contents, Mount as Live, Refused},
    value::{DevicePath, MountSource},
};

impl Mount {
    /// Whether this is the declared thing.
    pub(super) fn is_mine(&self, live: &Live, block: Option<&BlockDevice>, origin: Option<&Live>) -> bool {
        match (&self.device, block) {
            (MountSource::Directory(_), _) => origin.is_some_and(|origin| self.shows(live, origin)),
            // Part of a filesystem is another thing than the whole; only btrfs has parts that are mounted by themselves.
            (MountSource::Device { device, .. }, Some(block)) => {
                live.is_of(device, block) && (live.root == Path::new("/") || live.fs_type == "btrfs")
            }
            (MountSource::Device { device, .. }, None) => Path::new(&live.source) == &**device,
            (MountSource::Network(source), _) => live.source.trim_end_matches('/') == source.trim_end_matches('/'),
            (MountSource::Named(source), _) => live.source == *source,
        }
    }

    /// What fstab is to name. A name that the kernel may give to another disk at the next boot gives way to the UUID.
    pub(super) fn fstab_source(&self, block: Option<&BlockDevice>) -> String {
        let uuid = block.and_then(|block| match &block.contents {
            Contents::Known(signature) => signature.uuid.as_deref(),
            _ => None,
        });
        match (self.device().is_some_and(DevicePath::is_unstable), uuid) {
            (true, Some(uuid)) => format!("UUID={uuid}"),
            _ => self.device.to_string(),
        }
    }

    /// Whether a source that fstab has stands for the declared device.
    pub(super) fn is_same_source(&self, found: &str, block: Option<&BlockDevice>) -> bool {
        let wanted = self.fstab_source(block);
        if found == wanted || self.bound().is_some_and(|directory| Path::new(found) == &**directory) {
            return true;
        }
        let Some(Contents::Known(signature)) = block.map(|block| &block.contents) else {
            return false;
        };
        match found.split_once('=') {
            Some(("UUID", uuid)) => signature.uuid.as_deref() == Some(uuid.trim_matches('"')),
            Some(("LABEL", label)) => signature.label.as_deref() == Some(label.trim_matches('"')),
            _ => false,
        }
    }

    /// The type, declared or found; an error where what is on the device is no filesystem.
    pub(super) fn fs_type(&self, block: Option<&BlockDevice>) -> Result<String> {
        let Some(device) = self.device() else {
            let usual = if self.bound().is_some() { "none" } else { "nfs" };
            return Ok(self.r#type.clone().unwrap_or_else(|| usual.to_owned()));
        };
        let block = block.with_context(|| format!("there is no device {device}"))?;
        let found = match &block.contents {
            Contents::Empty => {
                return Err(Refused::because(
                    format!("{device} is empty, so there is nothing to mount"),
                    format!("declare what it is to carry, filesystem:{device}"),
                ));
            }
            Contents::Unsure { why } => {
                return Err(Refused::because(
                    format!("{device} is not mounted, because nobody can tell what is on it: {why}"),
                    format!("look at it (blkid -p {device}; wipefs {device}; dmesg)"),
                ));
            }
            Contents::Known(signature) => signature,
        };
        if found.what.contains("_member") || NO_FILESYSTEMS.contains(&found.what.as_str()) {
            return Err(Refused::because(
                format!("{device} carries {found}, which cannot be mounted"),
                "declare the device that carries the filesystem",
            ));
        }
        match &self.r#type {
            Some(wanted) if *wanted != found.what && wanted != "auto" => Err(Refused::because(
                format!("{device} carries {found}, not the declared {wanted}"),
                "declare what is there, or another device",
            )),
            _ => Ok(found.what.clone()),
        }
    }
}

/// What is mounted, as findmnt(8) shows it: `/dev/sdb[/sub]` where it is a part of a filesystem.
pub(super) fn shown(live: &Live) -> String {
    if live.root == Path::new("/") {
        live.source.clone()
    } else {
        format!("{}[{}]", live.source, live.root.display())
    }
}

/// What blkid finds that is no filesystem.
const NO_FILESYSTEMS: [&str; 8] = [
    "swap",
    "crypto_LUKS",
    "gpt",
    "dos",
    "PMBR",
    "DM_snapshot_cow",
    "jbd",
    "bcache",
];
