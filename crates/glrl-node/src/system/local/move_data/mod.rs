//! Copies what a directory holds onto a filesystem that is about to be mounted over it. Whatever happens meanwhile, the directory shows a
//! whole set of files: the old ones until the mount, which is one system call, and the new ones from then on.
//!
//! The new filesystem is mounted where nobody else sees it, and a file in its root, the marker, says how far the copy has come. A copy with
//! a marker that is found by the next run is thrown away and made anew, unless somebody has written to it since it was whole.

mod compare;
mod marker;
mod staging;

use std::{collections::HashSet, os::unix::fs::MetadataExt, path::Path, thread, time::Duration};

use anyhow::{Context, Result, bail};

use self::{marker::Marker, staging::Staging};
use super::{mounts, tree::Tree, units};
use crate::{
    system::{Active, Amount, MARKER, MoveData, Refused, UnitVerb, clock, programs::Program},
    value::{AbsPath, UnitName},
};

/// Copying takes as long as the data is large.
const COPY: Duration = Duration::from_hours(24 * 7);

/// Stops, copies, writes to disk, and compares. When it fails the units run as before.
pub(super) fn copy(moved: &MoveData) -> Result<()> {
    // A mount namespace is a thread's own.
    thread::scope(|scope| match scope.spawn(|| copy_apart(moved)).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
    .with_context(|| format!("moving what is in {} onto {}", moved.from, moved.device))
}

/// Starts again what ran before, and removes the marker: the copy is in its place.
pub(super) fn finish(tree: &Tree, path: &AbsPath, start: &[UnitName]) -> Result<()> {
    let marker = path.join(MARKER);
    let mut units = start.to_vec();
    if let Some(found) = Marker::read(tree, &marker)? {
        units.extend(found.units.into_iter().filter(|unit| !start.contains(unit)));
    }
    for unit in &units {
        if !runs(unit)? {
            units::execute(unit, UnitVerb::Start)?;
        }
    }
    if tree.entry(&marker)?.is_some() {
        tree.remove(&marker)?;
    }
    Ok(())
}

fn copy_apart(moved: &MoveData) -> Result<()> {
    let staging = Staging::mount(moved)?;
    let tree = Tree::open(staging.path())?;
    let marker = Path::new("/").join(MARKER);
    let earlier = Marker::read(&tree, &marker)?;
    // What a run that was killed has stopped is started by the one that ends well, or fails.
    let mut units = earlier
        .as_ref()
        .map(|earlier| earlier.units.clone())
        .unwrap_or_default();
    for unit in &moved.stop {
        if !units.contains(unit) && runs(unit)? {
            units.push(unit.clone());
        }
    }
    let result = (|| {
        clear(moved, &staging, earlier.as_ref())?;
        must_have_room(moved, &staging)?;
        must_be_unused(moved, "run again when it is over, or name its unit in `stop`")?;
        let write = |copied| Marker::new(moved, &units, copied).write(&tree, &marker);
        write(None)?;
        for unit in &moved.stop {
            if runs(unit)? {
                units::execute(unit, UnitVerb::Stop)?;
            }
        }
        nobody_has(moved, &HashSet::new(), "stop it, and run again")?;
        Program::new("cp")
            .args([
                "--recursive",
                "--no-dereference",
                "--one-file-system",
                "--no-target-directory",
            ])
            .args(["--preserve=mode,ownership,timestamps,links,xattr", "--"])
            .args([&*moved.from, staging.path()])
            .timeout(COPY)
            .confined(end_with_this_thread)
            .stdout()?;
        staging.sync()?;
        compare::same(&moved.from, staging.path())?;
        nobody_has(moved, &HashSet::new(), "stop it, and run again")?;
        write(Some(clock::now()))
    })();
    if result.is_err() {
        for unit in &units {
            if let Err(error) = runs(unit).and_then(|runs| {
                if runs {
                    Ok(())
                } else {
                    units::execute(unit, UnitVerb::Start)
                }
            }) {
                tracing::warn!("starting {unit} again: {error:#}");
            }
        }
    }
    // Its descriptor keeps the filesystem busy.
    drop(tree);
    result.and(staging.unmount())
}

/// Runs in the child between fork(2) and execve(2): a copy that goes on after glrl was killed would be in the next run's way.
fn end_with_this_thread() -> std::io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

fn runs(unit: &UnitName) -> Result<bool> {
    let state = units::Units::default().get(unit)?;
    Ok(state.is_some_and(|unit| matches!(unit.active, Active::Active | Active::Changing)))
}

/// Makes sure that the filesystem holds nothing, and throws away what a move that was cut short has left.
fn clear(moved: &MoveData, staging: &Staging, earlier: Option<&Marker>) -> Result<()> {
    let names = names(staging.path())?;
    let Some(first) = names.first() else { return Ok(()) };
    let Some(earlier) = earlier else {
        return Err(Refused::because(
            format!(
                "{} is to get what is in {}, and is not empty: it holds {}",
                moved.device,
                moved.from,
                first.display()
            ),
            format!(
                "see what is there (mount {} /mnt), and move it away or declare another device",
                moved.device
            ),
        ));
    };
    if earlier.from != moved.from {
        bail!(
            "{} has a copy of {}, not of {}: declare another device",
            moved.device,
            earlier.from,
            moved.from
        );
    }
    if let Some(copied) = earlier.copied
        && let Some(path) = compare::written_since(staging.path(), copied)?
    {
        return Err(Refused::because(
            format!(
                "{} has a copy of {} that has been written to since it was made ({}), and so may the original: nobody can tell which is right",
                moved.device,
                moved.from,
                path.display()
            ),
            format!(
                "compare them (mount {} /mnt): to keep the copy, mount it by hand over {}; to have it made anew, remove all that is in it but {MARKER}",
                moved.device, moved.from
            ),
        ));
    }
    for name in names {
        remove(&staging.path().join(name))?;
    }
    Ok(())
}

/// What is in the root of a filesystem, but what mkfs and a move put there.
fn names(root: &Path) -> Result<Vec<std::ffi::OsString>> {
    let mut names = compare::names(root)?;
    names.retain(|name| !compare::is_own(name) && name != compare::LOST_FOUND);
    Ok(names)
}

/// Removes a part of a copy: its marker says that it is glrl's own, which nobody has written to.
fn remove(path: &Path) -> Result<()> {
    let doing = || format!("removing {} of a copy that was not finished", path.display());
    if path.symlink_metadata().with_context(doing)?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
    .with_context(doing)
}

fn must_have_room(moved: &MoveData, staging: &Staging) -> Result<()> {
    let amount = amount(&moved.from)?;
    // Directories and extents take their blocks too.
    let wanted = amount.bytes + amount.bytes / 50 + amount.entries * 1024;
    let room = staging.room()?;
    if room.bytes >= wanted && room.entries >= amount.entries {
        return Ok(());
    }
    Err(Refused::because(
        format!(
            "{} holds {} in {} files, and {} has room for {} in {}",
            moved.from,
            amount.size(),
            amount.entries,
            moved.device,
            room.size(),
            room.entries
        ),
        "give it a larger volume or disk and run again; nothing was stopped",
    ))
}

/// An error if somebody else than what is stopped has files open there.
fn must_be_unused(moved: &MoveData, then: &str) -> Result<()> {
    let mut stopped = HashSet::new();
    for unit in &moved.stop {
        // A unit may be known by an alias; the kernel has it by its own name.
        stopped.insert(units::own_name(unit)?);
    }
    nobody_has(moved, &stopped, then)
}

fn nobody_has(moved: &MoveData, stopped: &HashSet<String>, then: &str) -> Result<()> {
    let all = mounts::occupants(&moved.from);
    let others: Vec<String> = all
        .iter()
        .filter(|one| !one.unit.as_ref().is_some_and(|unit| stopped.contains(unit)))
        .take(5)
        .map(ToString::to_string)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Refused::because(
        format!("{} is not moved while it is in use: {}", moved.from, others.join("; ")),
        then,
    ))
}

/// What a directory of this machine holds, as it is on the disk.
pub(super) fn amount(directory: &Path) -> Result<Amount> {
    let mut amount = Amount::default();
    let mut seen = HashSet::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(directory) = ahead.pop() {
        for name in compare::names(&directory)? {
            let path = directory.join(name);
            // What is deleted meanwhile is not there to be moved.
            let Ok(stat) = path.symlink_metadata() else { continue };
            amount.entries += 1;
            if stat.nlink() < 2 || stat.is_dir() || seen.insert((stat.dev(), stat.ino())) {
                amount.bytes += stat.blocks() * 512;
            }
            if stat.is_dir() {
                ahead.push(path);
            }
        }
    }
    Ok(amount)
}
