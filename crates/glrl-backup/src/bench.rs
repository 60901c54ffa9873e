//! For `benches/backup.rs` alone: the archiver and the unpacker by themselves, and a backup of a server on a machine without LVM.
//! What is measured there is the code that backs up and verifies a node; only the snapshot is a copy.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow, ensure};
use glrl_node::system::programs::Program;

use crate::{
    model::{
        digests::Digests,
        encryption::Encryption,
        error::Result,
        id::BackupId,
        interrupt::Interrupt,
        manifest::{self, Manifest},
        owner::Owner,
        server::Server,
        step::Step,
    },
    operate::job::back_up,
    server::{freeze::freeze, session::Session},
    settings::{ArchiveSettings, Settings, encryption::EncryptionSettings},
    store::{
        archive::{self, attributes::Owners},
        files::{Entry, List},
    },
    volume::{Snapshot, Volume},
};

/// An archive that was made.
#[derive(Debug)]
pub struct Archived {
    list: List,
    encryption: Option<Encryption>,
    digests: Digests,
}

/// Archives a directory as a backup does.
pub fn pack(
    root: &Path,
    to: &mut File,
    settings: &ArchiveSettings,
    encryption: &EncryptionSettings,
) -> Anyhow<Archived> {
    let interrupt = Interrupt::default();
    let recipients = encryption.recipients()?;
    let packed = archive::pack::pack(
        root,
        |_| false,
        to,
        settings,
        &recipients,
        &interrupt,
        &mut |_, _, _| Ok(()),
    )?;
    let by_path = |file: Entry| (file.path.clone(), file);
    Ok(Archived {
        list: packed.files.into_iter().map(by_path).collect(),
        encryption: Encryption::to(&recipients),
        digests: packed.digests,
    })
}

/// Unpacks it as a verification does, every hash checked on the way; with `None` it is only read.
pub fn unpack(archive: &Path, archived: &Archived, into: Option<&Path>, encryption: &EncryptionSettings) -> Anyhow<()> {
    let key = encryption.key(archived.encryption.as_ref())?;
    let owner = Owner {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
    };
    let raw = File::open(archive).context("opening the archive")?;
    let (digests, found) = archive::read::read(
        (raw, key.as_ref()),
        0,
        Path::new("/var/lib/mysql"),
        &archived.list,
        into.map(|into| (into, Owners::new(owner, None, Path::new("")))),
        &Interrupt::default(),
        &mut |_| (),
    )?;
    ensure!(found.wrong.is_empty(), "{:?}", found.wrong);
    ensure!(digests == archived.digests, "the archive has changed");
    Ok(())
}

/// Backs up the server that the settings name: the whole run, its snapshot a copy of the datadir's files.
pub fn run(settings: &Settings, report: &mut dyn FnMut(Step)) -> Anyhow<Manifest> {
    let volume =
        |datadir: &Path| Ok(Box::new(Directory(datadir.canonicalize().context("the datadir")?)) as Box<dyn Volume>);
    Ok(back_up(settings, &volume, &Interrupt::default(), report)?)
}

/// Holds the server still while `sleep` runs for so many seconds, as a backup does while lvcreate runs. How long it was held, in
/// milliseconds.
pub fn hold(settings: &Settings, seconds: &str) -> Anyhow<f64> {
    let mut session = Session::open(&settings.server)?;
    let server = Server::of(&mut session)?;
    let mut snapshot = StandIn {
        program: Program::new("sleep").args([seconds]),
        to: PathBuf::new(),
    };
    let interrupt = Interrupt::default();
    let frozen = freeze(session, &server, &settings.lock, &mut snapshot, &interrupt, &mut |_| {})?;
    Ok(frozen.lock.hold_ms)
}

struct Directory(PathBuf);

impl Volume for Directory {
    fn mount_point(&self) -> &Path {
        &self.0
    }

    fn record(&self, datadir: PathBuf) -> manifest::Volume {
        manifest::Volume {
            group: String::new(),
            name: String::new(),
            mount_point: self.0.clone(),
            datadir,
            filesystem: "directory".to_owned(),
        }
    }

    fn holds(&self, path: &Path) -> Result<bool> {
        let path = path.canonicalize().context("looking for links")?;
        Ok(path.starts_with(&self.0))
    }

    fn reap(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn prepare(&self, id: &BackupId, _used: Option<u64>) -> Result<Box<dyn Snapshot>> {
        let to = self.0.with_file_name(format!("snapshot-{id}"));
        let program = Program::new("cp").args(["-a"]).args([&self.0, &to]);
        Ok(Box::new(StandIn { program, to }))
    }
}

/// A program that is run where a node runs lvcreate.
struct StandIn {
    program: Program,
    /// What it makes.
    to: PathBuf,
}

impl Snapshot for StandIn {
    fn take(&mut self) -> Result<()> {
        self.program
            .clone()
            .stdout()
            .context("taking what stands for a snapshot")?;
        Ok(())
    }

    fn open(&mut self) -> Result<PathBuf> {
        Ok(self.to.clone())
    }

    fn fill(&self) -> Result<f64> {
        Ok(0.0)
    }

    fn grow(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn record(&self) -> manifest::Snapshot {
        manifest::Snapshot {
            name: "copy".to_owned(),
            bytes: 0,
            fill_percent: 0.0,
        }
    }

    fn remove(&mut self) -> Result<()> {
        fs::remove_dir_all(&self.to).context("removing the copy")?;
        Ok(())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.to);
    }
}
