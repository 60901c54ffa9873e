//! The directory that backups go to, often on NFS: checked before it is used, and written so that a name is never more than what
//! stands behind it. Sources: fsync(2), rename(2), nfs(5); RFC 1813, 3.3.14, on renames that are sent twice.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use anyhow::Context;
use glrl_node::system::Mount;
use nix::sys::statvfs::statvfs;

use crate::{
    model::{
        error::{Error, Kind, OfKind, Result},
        id::{BackupId, Instance},
        layout::{ARCHIVE, BUT_MANIFEST, MANIFEST, SEALED_ARCHIVE, path_of},
    },
    settings::TargetSettings,
    state::made::Made,
    store::partial::{self, Left, Writer, is_of},
    volume::mounts,
};

/// Checks that the directory is the one that is meant.
pub(crate) fn check_there(settings: &TargetSettings) -> Result<()> {
    check_mount(settings)?;
    let directory = &settings.directory;
    if !directory.is_dir() {
        return Err(Error::new(
            Kind::Target,
            format!("the target {directory} is not a directory"),
        ));
    }
    Ok(())
}

/// Bytes free for this process.
pub(crate) fn free(directory: &Path) -> anyhow::Result<u64> {
    let status = statvfs(directory).with_context(|| format!("asking how much room {} has", directory.display()))?;
    Ok(status.blocks_available() * status.fragment_size())
}

/// Checks that what must be mounted is, and that the directory is on it.
pub(crate) fn check_mount(settings: &TargetSettings) -> Result<()> {
    let Some(mount_point) = settings.required_mount() else {
        return Ok(());
    };
    let mounts = mounts::all()?;
    let wrong = match mounts.iter().rfind(|mount| mount.target == **mount_point) {
        Some(mount) => soft(mount),
        None => Some(format!(
            "{mount_point} is not mounted: what is written there would fill this node's own disk"
        )),
    };
    let wrong = wrong.or_else(|| beside(&settings.directory, mount_point));
    wrong.map_or(Ok(()), |message| Err(Error::new(Kind::Target, message)))
}

/// What is wrong where the directory is not below what is mounted for it: what is written there goes elsewhere.
fn beside(directory: &Path, mount_point: &Path) -> Option<String> {
    let real = directory.canonicalize().ok()?;
    (!real.starts_with(mount_point.canonicalize().ok()?)).then(|| {
        format!(
            "the target {} is not below {}, which must be mounted for it (target.mount_point)",
            directory.display(),
            mount_point.display()
        )
    })
}

/// What is wrong with an NFS mount that gives up: writes are lost, and nobody is told.
fn soft(mount: &Mount) -> Option<String> {
    let option = mount
        .options
        .iter()
        .find(|option| matches!(option.as_str(), "soft" | "softerr"))?;
    mount.fs_type.starts_with("nfs").then(|| {
        format!(
            "{} is mounted with '{option}', with which a write can be lost unnoticed: mount it hard (nfs(5))",
            mount.target.display()
        )
    })
}

/// What was found of runs that did not end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaped {
    /// What was removed.
    pub(crate) removed: Vec<String>,
    /// What was left alone, and why, where somebody should know.
    pub(crate) left: Vec<String>,
}

/// Removes what runs of this instance on this node have left unfinished, of those backups too that it is recorded to have `made` before the
/// machine went down. The caller holds the run lock: they are dead. A file without
/// `.partial` is one of theirs only if one with it, of the same backup, stands beside it, and no manifest does.
pub(crate) fn reap(directory: &Path, instance: &Instance, writer: &Writer, made: Option<&Made>) -> Result<Reaped> {
    let mut reaped = Reaped::default();
    for name in names(directory)? {
        let Some((whole, owner)) = partial::parse(&name) else {
            continue;
        };
        let Some(id) = backup_of(whole).filter(|id| id.instance() == instance) else {
            continue;
        };
        let begun = made.is_some_and(|made| made.has(&id));
        match writer.judge(&directory.join(&name), owner.as_ref(), begun) {
            Left::Ours => reaped
                .removed
                .extend(clear(directory, &id.to_string(), &BUT_MANIFEST, name)?),
            Left::Doubtful(why) => reaped.left.push(why),
            Left::Alone => {}
        }
    }
    Ok(reaped)
}

/// Removes a file with `.partial` and, unless a manifest or a record makes them whole, the others whose names begin alike.
pub(crate) fn clear(directory: &Path, stem: &str, suffixes: &[&str], partial: String) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    if !directory.join(format!("{stem}{MANIFEST}")).exists() {
        for suffix in suffixes {
            let name = format!("{stem}{suffix}");
            if directory.join(&name).exists() {
                remove(&directory.join(&name))?;
                removed.push(name);
            }
        }
    }
    // Last: it is what tells whose the others are.
    remove(&directory.join(&partial))?;
    removed.push(partial);
    Ok(removed)
}

/// Deletes a backup. First its manifest loses its name, in one step: from then on it is no backup, and what is left of it is what a run
/// has left unfinished, which the next one of this node removes if this one is killed.
pub(crate) fn delete(directory: &Path, id: &BackupId, writer: &Writer) -> Result<()> {
    let partial = writer.partial(&format!("{id}{MANIFEST}"));
    rename(&path_of(directory, id, MANIFEST), &directory.join(&partial)).of_kind(Kind::Target)?;
    sync(directory)?;
    clear(directory, &id.to_string(), &BUT_MANIFEST, partial).map(drop)
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .with_context(|| format!("making the names in {} durable", directory.display()))
        .of_kind(Kind::Target)
}

/// The backup that a file belongs to by its name.
fn backup_of(name: &str) -> Option<BackupId> {
    BUT_MANIFEST
        .iter()
        .chain([&MANIFEST])
        .find_map(|suffix| name.strip_suffix(suffix)?.parse().ok())
}

/// Returns the backups that have lost their manifest: an archive has its name without one only while a run gives all files their names, or
/// takes them away, and then something partial of the backup stands beside it.
pub(crate) fn without_manifest(directory: &Path, found: &[String]) -> Result<Vec<BackupId>> {
    let of = |names: &[String]| -> Vec<BackupId> {
        let archives = names.iter().filter_map(|name| {
            let stem = [ARCHIVE, SEALED_ARCHIVE]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            stem?.parse().ok()
        });
        let is_alone = |id: &BackupId| {
            let (manifest, stem) = (format!("{id}{MANIFEST}"), id.to_string());
            !names
                .iter()
                .any(|name| *name == manifest || (partial::parse(name).is_some() && is_of(name, &stem)))
        };
        archives.filter(is_alone).collect()
    };
    let mut lost = of(found);
    if !lost.is_empty() {
        // A name that changes while a directory is listed may be in no place of the list.
        let again = of(&names(directory)?);
        lost.retain(|id| again.contains(id));
    }
    Ok(lost)
}

pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<_>>>()
        })
        .with_context(|| format!("listing {}", directory.display()))
        .of_kind(Kind::Target)?
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Renames. Over NFS an answer may be lost and the request repeated, so that what has been done is reported as failed.
pub(crate) fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    let before = fs::metadata(from).with_context(|| format!("looking at {}", from.display()))?;
    let Err(error) = fs::rename(from, to) else {
        return Ok(());
    };
    match fs::metadata(to) {
        Ok(after) if after.ino() == before.ino() && after.len() == before.len() => Ok(()),
        _ => Err(error).with_context(|| format!("renaming {} to {}", from.display(), to.display())),
    }
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path)
        .with_context(|| format!("removing {}", path.display()))
        .of_kind(Kind::Target)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::mount::{MsFlags, mount};

    use super::*;
    use crate::{
        model::layout::{FILES, TABLES, VERDICT},
        scratch::isolation::View,
        settings::Settings,
        store::catalogue,
        store::draft::{Draft, tests::write_all},
        store::room::check,
    };

    fn writer() -> Writer {
        Writer::this(&Settings::default())
    }

    fn id() -> BackupId {
        "mysql-main-20261101T031500Z".parse().unwrap()
    }

    #[test]
    fn only_leavings_of_the_same_instance_and_node_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let other = Settings {
            state_directory: "/srv/other".parse().unwrap(),
            ..Settings::default()
        };
        let (this, theirs) = (writer(), Writer::this(&other));
        let mine = [
            this.partial("mysql-main-20261101T031500Z.json"),
            "mysql-main-20261101T031500Z.tar.zst".to_owned(),
            this.partial("mysql-main-20261102T031500Z.tar.zst"),
            this.partial("mysql-main-20261104T031500Z.files.zst.age"),
            "mysql-main-20261104T031500Z.tables.zst.age".to_owned(),
            "mysql-main-20261104T031500Z.tar.zst.age".to_owned(),
            this.partial("mysql-main-20261105T041500Z.tables.zst"),
            // Of a version before, and old.
            "mysql-main-20261106T031500Z.tar.zst.partial".to_owned(),
            "mysql-main-20261106T031500Z.tables.zst.partial".to_owned(),
        ];
        let others = [
            "mysql-main-20261103T031500Z.tar.zst".to_owned(),
            "mysql-main-20261105T031500Z.tar.zst.age".to_owned(),
            this.partial("mysql-other-20261101T031500Z.tar.zst"),
            this.partial("mysql-main-2-20261101T031500Z.tar.zst"),
            "letter.partial".to_owned(),
            // Another machine, which is ending its backup, and one that has only begun.
            theirs.partial("mysql-main-20261107T031500Z.json"),
            "mysql-main-20261107T031500Z.tar.zst".to_owned(),
            theirs.partial("mysql-main-20261108T031500Z.tar.zst"),
            "mysql-main-20261109T031500Z.tar.zst.partial".to_owned(),
        ];
        for name in mine.iter().chain(&others) {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        for name in &mine[7..] {
            let old = File::options().append(true).open(directory.path().join(name)).unwrap();
            old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(25))
                .unwrap();
        }
        let reaped = reap(directory.path(), &"main".parse().unwrap(), &this, None).unwrap();
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(reaped.removed), sorted(mine.to_vec()));
        assert!(
            reaped.left.len() == 1 && reaped.left[0].contains("20261109T031500Z.tar.zst.partial was left alone"),
            "{:?}",
            reaped.left
        );
        for name in others {
            assert!(directory.path().join(&name).exists(), "{name}");
        }
    }

    /// Killed after any step of it, a deletion leaves a backup or what the next run removes.
    #[test]
    fn a_deletion_that_is_cut_short_is_ended_by_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let whole = || {
            let mut draft = Draft::new(directory.path(), &id().to_string(), &writer()).unwrap();
            write_all(&mut draft);
            draft.commit().unwrap();
            fs::write(path_of(directory.path(), &id(), VERDICT), "x").unwrap();
        };
        whole();
        delete(directory.path(), &id(), &writer()).unwrap();
        assert_eq!(names(directory.path()).unwrap(), Vec::<String>::new());
        for steps in 1..=5 {
            whole();
            let path = |suffix| path_of(directory.path(), &id(), suffix);
            let partial = directory.path().join(writer().partial(&format!("{}{MANIFEST}", id())));
            fs::rename(path(MANIFEST), partial).unwrap();
            for suffix in [ARCHIVE, FILES, TABLES, VERDICT].iter().take(steps - 1) {
                fs::remove_file(path(suffix)).unwrap();
            }
            assert!(catalogue::ids(directory.path(), None).unwrap().is_empty());
            let reaped = reap(directory.path(), id().instance(), &writer(), None).unwrap();
            assert_eq!((reaped.removed.len(), reaped.left.len()), (6 - steps, 0));
            assert_eq!(names(directory.path()).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_directory_of_the_root_disk_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.target.directory = directory.path().to_str().unwrap().parse().unwrap();
        let error = check(&settings).unwrap_err();
        assert_eq!(error.kind, Kind::Target);
        assert!(error.to_string().contains("not mounted"), "{error}");
    }

    /// `/proc` is always mounted, and says nothing about where a backup goes that is written beside it.
    #[test]
    fn what_is_mounted_elsewhere_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = TargetSettings {
            directory: directory.path().to_str().unwrap().parse().unwrap(),
            mount_point: Some("/proc".parse().unwrap()),
            ..TargetSettings::default()
        };
        let error = check_mount(&settings).unwrap_err();
        assert_eq!(error.kind, Kind::Target);
        assert!(error.to_string().contains("is not below /proc"), "{error}");
        // By a link it may be.
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/proc/self", &link).unwrap();
        settings.directory = link.to_str().unwrap().parse().unwrap();
        check_mount(&settings).unwrap();
    }

    #[test]
    fn a_target_that_cannot_be_written_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.target.directory = directory.path().to_str().unwrap().parse().unwrap();
        settings.target.mounted = false;
        let checked = || check(&settings);
        checked().unwrap();
        let error = if nix::unistd::geteuid().is_root() {
            // Root may write to what nobody may, unless it is mounted for reading only.
            let view = View {
                volume: directory.path(),
                place: directory.path(),
                original: directory.path(),
            };
            view.run(|| {
                let (none, flags) = (
                    None::<&str>,
                    MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY,
                );
                mount(none, directory.path(), none, flags, none)?;
                Ok(checked())
            })
            .unwrap()
        } else {
            fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o500)).unwrap();
            checked()
        }
        .unwrap_err();
        assert_eq!(error.kind, Kind::Target);
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }

    #[test]
    fn a_soft_nfs_mount_is_refused() {
        let mount = |fs_type: &str, option: &str| Mount {
            source: "host:/backup".to_owned(),
            device: "0:1".to_owned(),
            root: "/".into(),
            target: "/backup".into(),
            fs_type: fs_type.to_owned(),
            options: vec!["rw".to_owned(), option.to_owned()],
        };
        assert!(soft(&mount("nfs4", "soft")).is_some());
        assert!(soft(&mount("nfs", "softerr")).is_some());
        assert!(soft(&mount("nfs4", "hard")).is_none());
        assert!(soft(&mount("nfs4", "softreval")).is_none());
        assert!(soft(&mount("ext4", "soft")).is_none());
    }
}
