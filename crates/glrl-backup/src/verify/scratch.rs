//! Where an archive is unpacked for a verification: a directory of its own, with the volume's root as `volume` in it, removed when done.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use nix::unistd::User;

use crate::{
    model::{id::Instance, manifest::Manifest, owner::Owner},
    scratch::server::end_servers_in,
    settings::VerifySettings,
    store::target,
};

/// Room for what a server makes anew: its temporary tablespace, a binary log.
const MARGIN: u64 = 256 << 20;

/// Why an archive cannot be unpacked here. It says nothing about the backup.
#[derive(Debug)]
pub(crate) struct Unfit(pub(crate) String);

impl From<anyhow::Error> for Unfit {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

#[derive(Debug)]
pub(crate) struct Scratch {
    directory: PathBuf,
    volume: PathBuf,
    owner: Owner,
    removed: bool,
}

impl Scratch {
    /// Makes the directory, where there is room for the data. What an earlier verification of the instance has left is removed: the
    /// caller holds the lock of this instance's verifications.
    pub(crate) fn new(settings: &VerifySettings, manifest: &Manifest) -> Result<Self, Unfit> {
        let doing = || format!("making the scratch directory below {}", settings.scratch);
        let user = User::from_name(&settings.user).with_context(doing)?.ok_or_else(|| {
            Unfit(format!(
                "there is no user {} here, as whom the server would run",
                settings.user
            ))
        })?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.scratch)
            .with_context(doing)?;
        let below = settings.scratch.canonicalize().with_context(doing)?;
        if below.starts_with(&manifest.volume.mount_point) {
            return Err(Unfit(format!(
                "{} is where the data would be mounted: set another scratch directory",
                below.display()
            )));
        }
        // Short: a socket's path may have 107 bytes.
        let directory = below.join(manifest.id.instance().as_str());
        if directory.exists() {
            end_servers_in(&directory.join("volume").join(&manifest.volume.datadir));
            fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
        }
        let wanted = manifest.files.stored.saturating_add(MARGIN);
        let room = target::free(&below)?;
        if room < wanted {
            return Err(Unfit(format!(
                "{} has {} MiB left, unpacking takes {} MiB",
                below.display(),
                room >> 20,
                wanted >> 20
            )));
        }
        let owner = Owner {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        };
        let volume = directory.join("volume");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .with_context(doing)?;
        let scratch = Self {
            directory,
            volume,
            owner,
            removed: false,
        };
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&scratch.volume)
            .and_then(|()| std::os::unix::fs::lchown(&scratch.volume, Some(owner.uid), Some(owner.gid)))
            .with_context(doing)?;
        Ok(scratch)
    }

    /// Where the volume's root directory is unpacked to, and for whom.
    pub(crate) fn destination(&self) -> (&Path, Owner) {
        (&self.volume, self.owner)
    }

    pub(crate) fn remove(&mut self) -> anyhow::Result<()> {
        self.removed = true;
        fs::remove_dir_all(&self.directory).with_context(|| format!("removing {}", self.directory.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.removed {
            let _ = self.remove();
        }
    }
}

/// Removes what a verification of the instance has left that was killed, its server ended. Says what it was. The caller holds the lock of
/// this instance's verifications.
pub(crate) fn clear(settings: &VerifySettings, instance: &Instance) -> anyhow::Result<Option<String>> {
    let directory = settings.scratch.join(instance.as_str());
    if !directory.exists() {
        return Ok(None);
    }
    fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    Ok(Some(directory.display().to_string()))
}
