//! A backup, from the run lock to the manifest. Whatever a phase holds (run lock, server lock, snapshot, mount, partial files) is given
//! back when it is dropped, so that an error, a signal or a panic anywhere leaves nothing.

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use anyhow::Context;
use glrl_node::{system::clock, value::text::count};

use crate::{
    model::{
        digests::Digests,
        encryption::Encryption,
        error::{Kind, OfKind, Result},
        id::BackupId,
        interrupt::Interrupt,
        inventory::{self, Inventory, Survey},
        layout::{self, MANIFEST},
        machine,
        manifest::{Account, Archive, Files, Manifest, SCHEMA, Tables},
        recipient::Recipient,
        server::Server,
        step::{Report, Step},
    },
    server::{
        freeze, option_files,
        placement::{self, Placed},
        session::Session,
        survey,
    },
    settings::Settings,
    state::{made::Made, run_lock},
    store::{
        archive::{
            attributes::Owners,
            pack::{Packed, pack},
        },
        behind::Behind,
        draft::Draft,
        files,
        hash::Hashing,
        leftovers,
        partial::Writer,
        room,
        wait_for_mount::wait_for_mount,
    },
    volume::{Snapshot, Volume, watch::watch},
};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// Makes a backup of the server that the settings name, on a volume of any kind.
pub(crate) fn run_on(
    settings: &Settings,
    volume: &dyn Fn(&Path) -> Result<Box<dyn Volume>>,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<Manifest> {
    let began = Instant::now();
    let _alone = run_lock::take(settings, "backup")?;
    wait_for_mount(&settings.target, interrupt, report)?;
    let recipients = settings.encryption.recipients()?;
    let encryption = Encryption::to(&recipients);
    let started = clock::now();
    let id = BackupId::new(&settings.instance, started);
    let mut session = Session::open(&settings.server)?;
    let mut server = Server::of(&mut session)?;
    report(Step::Began {
        id: id.clone(),
        server: server.to_string(),
    });
    let volume = volume(&placement::datadir(&server)?)?;
    let directory = &settings.target.directory;
    for what in volume.reap()? {
        report(Step::Removed { what });
    }
    let before = room::check(settings)?;
    let writer = Writer::this(settings);
    begin(settings, &id, &writer, report)?;
    let placed = place(settings, &mut session, &mut server, &*volume, report)?;
    let survey = survey::survey(&mut session, &server, interrupt)?;
    let mut snapshot = volume.prepare(&id, before.map(|manifest| manifest.snapshot.used()))?;
    interrupt.check()?;
    let frozen = freeze::freeze(session, &server, &settings.lock, &mut *snapshot, interrupt, report)?;

    let inventory = described(frozen.inventory, &survey, report);
    let mut not_included = placed.not_included;
    not_included.extend(inventory.iter().flat_map(Inventory::not_included));

    let root = snapshot.open()?;
    let datadir = placed.datadir;
    let mut draft = Draft::new(directory, &id.to_string(), &writer)?;
    let left_out = left_out(&datadir, &server, volume.mount_point());
    let (packed, fullest) = draft.write(layout::archive(encryption.is_some()), |file| {
        copy(
            &root,
            &|path| left_out.iter().any(|out| path == out),
            file,
            &*snapshot,
            (settings, &recipients),
            interrupt,
            report,
        )
    })?;
    let list = write_list(&packed, &mut draft, &recipients)?;
    let tables = inventory
        .map(|inventory| write_tables(&inventory, &mut draft, &recipients))
        .transpose()?;
    // The last word on the snapshot, after the last byte was read from it.
    let fill_percent = snapshot.fill()?.max(fullest);
    let manifest = Manifest {
        schema: SCHEMA,
        host: machine::host(),
        machine: machine::id(),
        glrl: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        ended: clock::now(),
        server,
        option_files: option_files::copy(),
        coordinates: frozen.coordinates,
        lock: frozen.lock,
        account: account(&root, &datadir),
        volume: volume.record(datadir),
        snapshot: crate::model::manifest::Snapshot {
            fill_percent,
            ..snapshot.record()
        },
        encryption,
        archive: Archive {
            format: "tar+zstd".to_owned(),
            level: settings.archive.level,
            digests: packed.digests,
        },
        files: Files {
            count: packed.files.len() as u64,
            bytes: packed.files.iter().map(|file| file.size).sum(),
            stored: packed.stored,
            list,
            left_out: packed.left_out,
            without_privileges: packed.without,
        },
        tables,
        not_included,
        id: id.clone(),
    };
    write_manifest(&manifest, &mut draft)?;
    interrupt.check()?;
    draft.commit()?;
    // The backup is complete. A snapshot that will not go is removed by the next run; until then it slows the volume down.
    if let Err(error) = snapshot.remove() {
        report(Step::Warning {
            message: format!("{error:#}"),
        });
    }
    report(Step::Complete {
        id,
        bytes: manifest.archive.digests.bytes,
        took: began.elapsed(),
    });
    Ok(manifest)
}

/// Clears up what earlier runs have left, and notes that this node makes this backup.
fn begin(settings: &Settings, id: &BackupId, writer: &Writer, report: &mut Report<'_>) -> Result<()> {
    leftovers::remove(settings, writer, report)?;
    if let Err(error) = Made::note(settings, id) {
        report(Step::Warning {
            message: format!("this node does not record that it has made {id}: {error:#}"),
        });
    }
    Ok(())
}

/// The account that the server runs as: the owner of the directory that it has made itself.
fn account(root: &Path, datadir: &Path) -> Option<Account> {
    let found = Owners::made_by_server(&root.join(datadir));
    let meta = found.iter().find_map(|path| fs::metadata(path).ok())?;
    Some(Account {
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// Where the server's files are, which is refused unless all of it is in the volume; says what an operator should know.
fn place(
    settings: &Settings,
    session: &mut Session,
    server: &mut Server,
    volume: &dyn Volume,
    report: &mut Report<'_>,
) -> Result<Placed> {
    let socket = Session::socket_of(&settings.server)?;
    let placed = placement::check(session, server, volume, Path::new(&socket))?;
    let not_included = placed.not_included.iter();
    let not_included = not_included.map(|what| format!("not in the backup: {what}"));
    for message in placed.warnings.iter().cloned().chain(not_included) {
        report(Step::Warning { message });
    }
    Ok(placed)
}

/// Writes the list of the archive's files. Returns what the manifest says of it.
fn write_list(packed: &Packed, draft: &mut Draft, recipients: &[Recipient]) -> Result<Digests> {
    draft.write(layout::files(!recipients.is_empty()), |file| {
        let mut hashing = Hashing::new(file);
        files::write(&packed.files, &mut hashing, recipients).of_kind(Kind::Target)?;
        Ok(hashing.finish().1)
    })
}

/// Writes the list of what the server had. Returns what the manifest says of it.
fn write_tables(inventory: &Inventory, draft: &mut Draft, recipients: &[Recipient]) -> Result<Tables> {
    let list = draft.write(layout::tables(!recipients.is_empty()), |file| {
        let mut hashing = Hashing::new(file);
        inventory.write(&mut hashing, recipients).of_kind(Kind::Target)?;
        Ok(hashing.finish().1)
    })?;
    Ok(Tables {
        count: inventory.items.len() as u64,
        complete: inventory.complete,
        list,
    })
}

fn write_manifest(manifest: &Manifest, draft: &mut Draft) -> Result<()> {
    draft.write(MANIFEST, |file| {
        serde_json::to_writer_pretty(&mut *file, manifest)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(file.write_all(b"\n")?))
            .context("writing the manifest")
            .of_kind(Kind::Target)
    })
}

/// What the server had, with what is known about it; says what an operator should know.
fn described(inventory: Result<Inventory, String>, survey: &Survey, report: &mut Report<'_>) -> Option<Inventory> {
    let mut warn = |message: String| report(Step::Warning { message });
    let mut inventory = match inventory {
        Ok(inventory) => inventory,
        Err(why) => {
            warn(format!(
                "the server did not list what it has, so that no verification can compare it: {why}"
            ));
            return None;
        }
    };
    inventory.annotate(survey);
    if let Some(why) = &survey.cut_short {
        warn(format!(
            "not every table was opened on the server before the backup: {why}"
        ));
    }
    if !inventory.complete {
        warn(
            "the account that makes backups may not see everything, so that not everything can be compared: \
             it needs SELECT, TRIGGER and EVENT on *.*"
                .to_owned(),
        );
    }
    let broken: Vec<_> = inventory.broken().collect();
    if !broken.is_empty() {
        warn(format!(
            "{} that the server itself cannot open: {}",
            count(broken.len(), "table"),
            inventory::few(&broken, |item| format!(
                "{} ({})",
                item.shown(),
                item.broken.as_deref().unwrap_or_default()
            ))
        ));
    }
    // That a table in memory is empty after a restart is known to who made it, and said by the verification.
    let elsewhere: Vec<_> = inventory.elsewhere().filter(|item| !item.is_in_memory()).collect();
    if !elsewhere.is_empty() {
        warn(format!(
            "not in the backup: {}",
            inventory::few(&elsewhere, |item| format!(
                "{} ({}: {})",
                item.shown(),
                item.engine.as_deref().unwrap_or_default(),
                item.elsewhere.as_deref().unwrap_or_default()
            ))
        ));
    }
    Some(inventory)
}

/// What is not archived, by its path in the volume: what a server or mkfs makes anew. The datadir is relative to the volume's root.
///
/// MySQL's lock of its socket, and the file with its number, name a process, which on another day is somebody else: a server that was
/// restored would not start.
fn left_out(datadir: &Path, server: &Server, mount_point: &Path) -> Vec<PathBuf> {
    let socket_lock = server.variable("socket").map(|socket| format!("{socket}.lock"));
    let of_process = socket_lock
        .into_iter()
        .chain(server.variable("pid_file").map(str::to_owned))
        .filter_map(|path| {
            Some(
                mount_point
                    .join(datadir)
                    .join(path)
                    .strip_prefix(mount_point)
                    .ok()?
                    .to_owned(),
            )
        });
    ["ibtmp1", "#innodb_temp"]
        .iter()
        .map(|name| datadir.join(name))
        .chain([PathBuf::from("lost+found")])
        .chain(of_process)
        .collect()
}

/// Bytes in use on the filesystem, which is nearly what there is to copy.
fn used(root: &Path) -> Option<u64> {
    let status = nix::sys::statvfs::statvfs(root).ok()?;
    Some(status.blocks().saturating_sub(status.blocks_free()) * status.fragment_size())
}

/// Copies the snapshot into the archive while its fill is watched. Returns the highest fill seen, in percent.
fn copy(
    root: &Path,
    left_out: &dyn Fn(&Path) -> bool,
    file: &mut Behind,
    snapshot: &dyn Snapshot,
    (settings, recipients): (&Settings, &[Recipient]),
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<(Packed, f64)> {
    let (done, until_done) = channel::<()>();
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || watch(snapshot, &until_done, &tell));
        let began = Instant::now();
        let mut last = began;
        let total = used(root);
        let packed = pack(
            root,
            left_out,
            file,
            &settings.archive,
            recipients,
            interrupt,
            &mut |files, bytes, archived| {
                while let Ok(step) = told.try_recv() {
                    report(step?);
                }
                if last.elapsed() >= TELL {
                    last = Instant::now();
                    report(Step::Copying {
                        files,
                        bytes,
                        total,
                        archived,
                        elapsed: began.elapsed(),
                    });
                }
                Ok(())
            },
        );
        drop(done);
        let fullest = watch.join().unwrap_or(100.0);
        while let Ok(step) = told.try_recv() {
            report(step?);
        }
        if packed.is_err() {
            // A snapshot that ran out gives read errors: the cause is what the operator must know.
            snapshot.fill()?;
        }
        Ok((packed?, fullest))
    })
}
