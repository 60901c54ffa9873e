//! Where verdicts are kept, and which of them are believed. A verdict is given on another machine than the one that makes backups, which
//! has the target read-only, so there are three places, and the youngest verdict holds:
//!
//! - `verify/ID.json` in the state directory of the node that verified;
//! - `ID.verified.json` beside the manifest, where the target can be written (a database's own node);
//! - `ID.json` in the directory `verify.verdicts`, which that node writes and the others read.
//!
//! What is read is somebody else's: it is short, a regular file, on this backup by its id and by the hash of its archive, in agreement with
//! itself, and from the time between the backup and now. Anything else is no verdict.

#[cfg(test)]
pub(crate) mod tests;

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use glrl_node::system::{clock, state::StateDir};
use nix::{errno::Errno, fcntl::OFlag};

use crate::{
    model::{
        error::Result,
        id::{BackupId, CLOCKS},
        layout::{MANIFEST, VERDICT, path_of},
        manifest::Manifest,
        verdict::{Grade, Verdict},
    },
    settings::Settings,
    store::catalogue,
    volume::mounts,
};

/// Bytes of the longest verdict that is read; one with every check is about 2 KiB.
const LONGEST: u64 = 64 << 10;

/// The last verdict on a backup.
pub(crate) fn on(settings: &Settings, manifest: &Manifest) -> Option<Verdict> {
    last(settings, &manifest.id, &manifest.archive.digests.blake3)
}

fn last(settings: &Settings, id: &BackupId, archive: &str) -> Option<Verdict> {
    let shared = settings
        .verify
        .verdicts
        .as_ref()
        .map(|shared| path_of(shared, id, MANIFEST));
    [
        path_of(&directory(settings), id, MANIFEST),
        path_of(&settings.target.directory, id, VERDICT),
    ]
    .into_iter()
    .chain(shared)
    .filter_map(
        |path| match read(&path).and_then(|verdict| check(verdict, id, archive)) {
            Ok(verdict) => Some(verdict),
            Err(error) if is(&error, Errno::ENOENT) => None,
            Err(error) => {
                tracing::warn!("the verdict {} does not count: {error:#}", path.display());
                None
            }
        },
    )
    .max_by_key(|verdict| verdict.at)
}

fn read(path: &Path) -> anyhow::Result<Verdict> {
    // Neither a link nor a pipe: who can write here is not trusted with either.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        bail!("it is not a regular file");
    }
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        bail!("it is longer than {LONGEST} bytes");
    }
    serde_json::from_slice(&text).context("it is not a verdict")
}

fn check(verdict: Verdict, id: &BackupId, archive: &str) -> anyhow::Result<Verdict> {
    if verdict.id.as_ref() != Some(id) {
        bail!("it is on another backup");
    }
    if verdict.archive.as_deref() != Some(archive) {
        bail!("it is on another archive than the one that the manifest names");
    }
    if !verdict.is_consistent() {
        bail!("its word is not what its checks say");
    }
    let now = clock::now();
    if verdict.at.duration_since(now).as_secs() > CLOCKS.as_secs().cast_signed() {
        bail!("it is of {}, which is still to come", verdict.at);
    }
    if id.at().duration_since(verdict.at).as_secs() > CLOCKS.as_secs().cast_signed() {
        bail!("it is of {}, before the backup was made", verdict.at);
    }
    Ok(verdict)
}

/// Writes a verdict to this node's state, and wherever others look for it, as far as that can be written. Returns warnings. A verdict that
/// says something stays when a later verification could not be made: one called corrupt is not a candidate for a restore again for that.
pub(crate) fn keep(settings: &Settings, verdict: &Verdict) -> Result<Vec<String>> {
    let Some(id) = &verdict.id else { return Ok(Vec::new()) };
    let earlier = verdict.archive.as_ref().and_then(|archive| last(settings, id, archive));
    let says = |earlier: Verdict| earlier.restores() || earlier.verdict == Grade::Corrupt;
    if verdict.verdict == Grade::Unverified && earlier.is_some_and(says) {
        return Ok(Vec::new());
    }
    let text = serde_json::to_vec_pretty(verdict).context("writing the verdict")?;
    StateDir::open(&directory(settings))?.write(&format!("{id}{MANIFEST}"), &text)?;
    let mut warnings = Vec::new();
    let beside =
        StateDir::open(&settings.target.directory).and_then(|target| target.write(&format!("{id}{VERDICT}"), &text));
    // A read-only target is what it should be where backups are verified.
    if let Err(error) = beside
        && ![Errno::EROFS, Errno::EACCES, Errno::EPERM]
            .iter()
            .any(|errno| is(&error, *errno))
    {
        warnings.push(format!("the verdict is not beside the backup: {error:#}"));
    }
    // On the database's own node it is where it is wanted, and this directory is only read.
    if !verdict.on_database_node
        && let Some(shared) = &settings.verify.verdicts
        && let Err(error) = share(settings, shared, id, &text)
    {
        warnings.push(format!(
            "the verdict is not where the node that makes backups looks for it: {error:#}"
        ));
    }
    tidy(settings);
    Ok(warnings)
}

/// Writes a verdict to the shared directory, never to what is in its place when it is not mounted.
fn share(settings: &Settings, shared: &Path, id: &BackupId, text: &[u8]) -> anyhow::Result<()> {
    if !shared.is_dir() {
        bail!("{} is not a directory", shared.display());
    }
    let at = shared
        .canonicalize()
        .with_context(|| format!("looking for {}", shared.display()))?;
    if settings.target.mounted && !mounts::all()?.iter().any(|mount| mount.target == at) {
        bail!("{} is not mounted", shared.display());
    }
    StateDir::open(shared)?.write(&format!("{id}{MANIFEST}"), text)
}

/// Removes what is known of a backup that is gone, as far as this node may.
pub(crate) fn forget(settings: &Settings, id: &BackupId) {
    for directory in directories(settings) {
        let _ = fs::remove_file(path_of(&directory, id, MANIFEST));
    }
}

/// The directories that hold verdicts and nothing else.
fn directories(settings: &Settings) -> Vec<PathBuf> {
    let shared = settings.verify.verdicts.as_ref().map(|path| path.to_path_buf());
    std::iter::once(directory(settings)).chain(shared).collect()
}

/// Removes this instance's verdicts on backups that are gone. Where no backup is seen at all, nothing is: the target may be away.
fn tidy(settings: &Settings) {
    let there = match catalogue::ids(&settings.target.directory, Some(&settings.instance)) {
        Ok(there) if !there.is_empty() => there,
        _ => return,
    };
    for directory in directories(settings) {
        for gone in catalogue::ids(&directory, Some(&settings.instance)).unwrap_or_default() {
            if !there.contains(&gone) {
                let _ = fs::remove_file(path_of(&directory, &gone, MANIFEST));
            }
        }
    }
}

/// Whether this is what the kernel said, somewhere in the chain.
fn is(error: &anyhow::Error, wanted: Errno) -> bool {
    error.chain().any(|cause| {
        let number = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let errno = cause.downcast_ref::<Errno>().copied().or(number.map(Errno::from_raw));
        errno == Some(wanted)
    })
}

/// Where a node keeps its verdicts, one file a backup.
pub(crate) fn directory(settings: &Settings) -> PathBuf {
    settings.state_directory.join("verify")
}
