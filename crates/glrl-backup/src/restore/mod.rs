//! Restoring: a backup is read, every hash in it checked on the way, and stands as files where they are wanted: in a directory, or on the
//! volume of a server that is stopped.
//!
//! Until all of it is there and on disk it lies in a directory of its own, and the place is root's alone (`staging.rs`): whatever ends a
//! restore, there is never a half datadir that a server would start on.

pub(crate) mod choose;
pub(crate) mod command;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod invokers;
pub(crate) mod moment;
pub(crate) mod plan;
pub(crate) mod relocate;
pub(crate) mod replay;
pub(crate) mod staging;
pub(crate) mod stopped;
pub(crate) mod until;
pub(crate) mod ways;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use glrl_node::value::text::count;
use nix::unistd::{User, getegid, geteuid};
use serde::Serialize;

use crate::{
    model::{
        error::{Error, Kind, OfKind, Result},
        id::BackupId,
        interrupt::Interrupt,
        manifest::{Manifest, Volume},
        milliseconds,
        owner::Owner,
        server::Flavour,
        step::{Report, Step},
    },
    restore::{relocate::Relocation, replay::Replayed, staging::Staging, until::Until},
    settings::Settings,
    store::{
        archive::{
            self,
            attributes::{Attributes, Owners},
        },
        catalogue,
        encryption::key::Key,
        files,
        wait_for_mount::wait_for_mount,
    },
    volume::mounts,
    volume::mounts::may_be_covered,
};

/// Room for what a server makes anew when it starts: its temporary tablespace, a binary log.
const MARGIN: u64 = 256 << 20;

/// Where a backup is restored to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A directory, empty or new, which becomes what the volume's root was.
    Directory(PathBuf),
    /// The volume of the stopped server, mounted where it was when the backup was made.
    InPlace,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The backup; the newest of the instance, unless said otherwise.
    pub id: Option<BackupId>,
    /// Where it goes.
    pub to: Destination,
    /// A later moment, to which archived binary logs are replayed. Without a backup named, the newest before it is taken.
    pub until: Option<Until>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restored {
    /// The backup.
    pub id: BackupId,
    /// The volume's root directory.
    pub to: PathBuf,
    /// The datadir in it.
    pub datadir: PathBuf,
    /// Regular files.
    pub files: u64,
    /// Their bytes, holes counted.
    pub bytes: u64,
    /// The moment it shows: the GTID, where the server writes them.
    pub gtid: Option<String>,
    /// What was replayed behind the backup.
    pub replayed: Option<Replayed>,
    /// How long it took, to the last byte on disk.
    #[serde(rename = "took_ms", serialize_with = "milliseconds::serialize")]
    pub took: Duration,
    /// What is to be done now.
    pub next: String,
}

/// Restores a backup.
pub fn restore(
    settings: &Settings,
    request: &Request,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Restored> {
    let began = Instant::now();
    let settings = &settings.of_backup(request.id.as_ref());
    wait_for_mount(&settings.target, interrupt, report)?;
    let (manifest, warning) = choose::choose(settings, request.id.as_ref(), request.until.as_ref())?;
    let root = match &request.to {
        Destination::Directory(directory) => {
            let root =
                std::path::absolute(directory).with_context(|| format!("looking for {}", directory.display()))?;
            stopped::unused(&root)?;
            root
        }
        Destination::InPlace => in_place(settings, &manifest)?,
    };
    let owner = owner(settings, &request.to)?;
    if request.until.is_some() && !geteuid().is_root() {
        let message = "binary logs are replayed by a server in namespaces of its own, which takes root";
        return Err(Error::new(Kind::Refused, message));
    }
    let key = settings.encryption.key(manifest.encryption.as_ref());
    let key = key.map_err(|error| error.context(format!("restoring {}", manifest.id)))?;
    report(Step::Restoring {
        id: manifest.id.clone(),
        to: root.clone(),
    });
    for message in warning.into_iter().chain(owner.warning) {
        report(Step::Warning { message });
    }
    catalogue::check_length(&settings.target.directory, &manifest).of_kind(Kind::Corrupt)?;
    let list = files::load(&settings.target.directory, &manifest, key.as_ref()).of_kind(Kind::Corrupt)?;
    let relocation = Relocation {
        settings,
        manifest: &manifest,
        root: &root,
        owner: owner.owner,
        interrupt,
    };
    let moves = root != manifest.volume.mount_point;
    if moves {
        relocation.check(&list)?;
    }
    let (staging, removed) = Staging::new(&root, &manifest.id, &manifest.volume.datadir, owner.owner)?;
    if let Some(what) = removed {
        report(Step::Removed { what });
    }
    staging.check_room(manifest.files.stored.saturating_add(MARGIN))?;
    let root_attributes = unpack(
        settings,
        &manifest,
        (key.as_ref(), &list),
        &staging,
        owner.owner,
        interrupt,
        report,
    )?;
    let mut gtid = manifest.coordinates.gtid.clone();
    let mut replayed = None;
    if let Some(until) = &request.until {
        let volume = staging.volume();
        let done = replay::replay(settings, &manifest, until, volume, owner.owner, interrupt, report)?;
        (replayed, gtid) = (Some(done.0), done.1);
    }
    let remote = moves && relocation.relocate(staging.volume(), &list)?;
    if let Some(message) = shared_keys(&manifest).filter(|_| moves) {
        report(Step::Warning { message });
    }
    interrupt.check()?;
    report(Step::Syncing);
    // The target is read, and a local disk may take its time.
    interrupt.end_supervision();
    let (attributes, owners) = root_attributes;
    staging.finish(&attributes, &owners)?;
    let datadir = root.join(&manifest.volume.datadir);
    Ok(Restored {
        next: next(settings, &manifest, &request.to, &root, remote)?,
        id: manifest.id,
        to: root,
        datadir,
        files: manifest.files.count,
        bytes: manifest.files.bytes,
        gtid,
        replayed,
        took: began.elapsed(),
    })
}

/// Reads the archive into the staging directory. Returns what the volume's root directory had, and whose it shall be.
fn unpack(
    settings: &Settings,
    manifest: &Manifest,
    (key, list): (Option<&Key>, &files::List),
    staging: &Staging,
    owner: Owner,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<(Attributes, Owners)> {
    let path = manifest.archive_in(&settings.target.directory);
    let doing = || format!("reading {}", path.display());
    let archive = File::open(&path).with_context(doing).of_kind(Kind::Target)?;
    let owners = Owners::of(manifest, owner);
    let into = Some((staging.volume(), owners.clone()));
    let (digests, found) = archive::read::read(
        (archive, key),
        manifest.files.bytes,
        &manifest.volume.mount_point,
        list,
        into,
        interrupt,
        report,
    )?;
    let wrong = digests
        .differs(&manifest.archive.digests)
        .into_iter()
        .chain(found.wrong)
        .collect::<Vec<_>>();
    if let Some(first) = wrong.first() {
        let more = wrong.len() - 1;
        let more = if more > 0 {
            format!("; {more} more")
        } else {
            String::new()
        };
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "{} is damaged, and nothing of it was kept: {first}{more}",
                path.display()
            ),
        ));
    }
    for message in found.warnings {
        report(Step::Warning { message });
    }
    if let [first, ..] = &manifest.files.without_privileges[..] {
        let number = count(manifest.files.without_privileges.len(), "file");
        let message = format!(
            "{number} had setuid or setgid bits, or capabilities, which are not restored, among them {first}: set them by hand where they are \
             wanted"
        );
        report(Step::Warning { message });
    }
    let root = found.root.unwrap_or_else(|| Attributes::plain(owner, 0o700));
    Ok((root, found.owners.unwrap_or(owners)))
}

/// The volume of the backup's server, which must be mounted, and the server stopped.
fn in_place(settings: &Settings, manifest: &Manifest) -> Result<PathBuf> {
    let place = &manifest.volume.mount_point;
    // A manifest may be hostile, and this is root.
    may_be_covered(place).of_kind(Kind::Refused)?;
    let mounted = mounts::all()?.iter().any(|mount| mount.target == *place);
    if !manifest.volume.group.is_empty() && !mounted {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "the data was on the volume {}/{} at {place}, where nothing is mounted: mount the volume there first, or restore with --to",
                manifest.volume.group,
                manifest.volume.name,
                place = place.display(),
            ),
        ));
    }
    stopped::check(settings, place, &place.join(&manifest.volume.datadir))?;
    Ok(place.clone())
}

struct Owned {
    owner: Owner,
    warning: Option<String>,
}

/// Whom the files shall belong to: the server's account.
fn owner(settings: &Settings, to: &Destination) -> Result<Owned> {
    let name = &settings.verify.user;
    let own = Owner {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
    };
    let user = User::from_name(name).with_context(|| format!("looking for the user {name}"))?;
    match (user, to) {
        (Some(user), _) if geteuid().is_root() => Ok(Owned {
            owner: Owner {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            },
            warning: None,
        }),
        (_, Destination::InPlace) => Err(Error::new(
            Kind::Refused,
            format!(
                "a server's volume is restored as root, for the server's account {name}: install the server, and do it as root"
            ),
        )),
        (_, Destination::Directory(_)) => Ok(Owned {
            owner: own,
            warning: Some(format!(
                "the files will belong to whom runs this: a server needs them to be its own account's, {name}"
            )),
        }),
    }
}

/// What is to be known where the keys of a copy are in a file that its original writes, too. Each server writes all keys that it knows: MySQL 8.0
/// and 9 lose those that the other has made since they have read it.
fn shared_keys(manifest: &Manifest) -> Option<String> {
    let Volume {
        mount_point, datadir, ..
    } = &manifest.volume;
    let file = manifest
        .server
        .component_file()
        .or(manifest.server.variable("keyring_file_data"))?;
    let file = mount_point.join(datadir).join(file);
    (file.exists() && !file.starts_with(mount_point)).then(|| {
        format!(
            "{} has the keys of the original and of this copy: before a server on the copy makes a key (ALTER INSTANCE ROTATE ... MASTER KEY), \
             give it a file of its own, a copy of this one, or the original loses its keys",
            file.display()
        )
    })
}

/// What is to be done with what was restored.
fn next(settings: &Settings, manifest: &Manifest, to: &Destination, root: &Path, remote: bool) -> Result<String> {
    let service = match manifest.server.flavour {
        Flavour::MariaDb => "mariadb",
        Flavour::MySql => "mysql",
    };
    if let Destination::Directory(_) = to {
        let start = command::start(settings, manifest, root, remote)?;
        return Ok(format!("a server of {} reads it: {start}", manifest.server));
    }
    let told = command::not_told_here(settings, manifest);
    let told = if told.is_empty() {
        String::new()
    } else {
        format!(
            ", once its option files say what the server was told and this node's do not: {}",
            told.join(" ")
        )
    };
    Ok(format!(
        "systemctl start {service}{told}; then make a new backup: glrl backup run"
    ))
}
