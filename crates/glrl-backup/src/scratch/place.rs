//! Where a server on a copy runs.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow};
use glrl_node::system::programs::Program;

use crate::{
    model::{manifest::Manifest, owner::Owner},
    scratch::{
        account::Account,
        isolation::{View, as_account},
    },
};

pub(crate) const SOCKET: &str = "glrl-verify.sock";

pub(crate) const PID: &str = "glrl-verify.pid";

pub(crate) const LOG: &str = "glrl-verify.log";

/// What the server writes beside the data, in the volume: temporary files, and what it would keep of a replica.
pub(crate) const TEMPORARY: &str = ".glrl-server";

/// Where the data is, where a server sees it, and whom it belongs to.
#[derive(Debug)]
pub(crate) struct Place {
    /// The volume's root directory.
    pub(crate) volume: PathBuf,
    /// The datadir in it.
    pub(crate) datadir: PathBuf,
    /// Where the server sees the volume.
    pub(crate) seen: PathBuf,
    pub(crate) owner: Owner,
    /// The account to log in with; without one the server knows no accounts, and takes whoever reaches its socket.
    pub(crate) account: Option<Account>,
}

impl Place {
    /// A copy that is seen where its original was.
    pub(crate) fn of_original(manifest: &Manifest, volume: &Path, owner: Owner) -> Self {
        Self {
            volume: volume.to_owned(),
            datadir: volume.join(&manifest.volume.datadir),
            seen: manifest.volume.mount_point.clone(),
            owner,
            account: None,
        }
    }

    pub(crate) fn view<'a>(&'a self, manifest: &'a Manifest) -> View<'a> {
        View {
            volume: &self.volume,
            place: &self.seen,
            original: &manifest.volume.mount_point,
        }
    }

    /// A program that runs as the owner, its temporary files where the server's are.
    pub(crate) fn program(&self, program: &Path) -> Program {
        as_account(self.owner, program).env("TMPDIR", self.seen.join(TEMPORARY).to_string_lossy())
    }

    pub(crate) fn prepare(&self) -> Anyhow<()> {
        self.tidy();
        let temporary = self.volume.join(TEMPORARY);
        let (uid, gid) = (Some(self.owner.uid), Some(self.owner.gid));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .and_then(|()| std::os::unix::fs::lchown(&temporary, uid, gid))
            .with_context(|| format!("making {}", temporary.display()))
    }

    /// The socket of a server that runs here.
    pub(crate) fn socket(&self) -> PathBuf {
        self.datadir.join(SOCKET)
    }

    /// Removes what a server that has run here has left and no server needs.
    pub(crate) fn tidy(&self) {
        for name in [SOCKET, PID, LOG] {
            let _ = fs::remove_file(self.datadir.join(name));
        }
        let temporary = self.volume.join(TEMPORARY);
        let _ = fs::remove_dir_all(&temporary).or_else(|_| fs::remove_file(&temporary));
    }
}
