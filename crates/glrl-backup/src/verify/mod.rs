//! The proof that a backup restores: it is unpacked, a server is started on it, everything is read, and one verdict comes out of it.
//!
//! It belongs on another machine than the database's, with the target mounted read-only; it can run on the database's node too, and
//! says where it ran. Nothing of the running server is touched: see `scratch_server`.

pub(crate) mod check_table;
pub(crate) mod innochecksum;
pub(crate) mod logs;
pub(crate) mod old_format;
pub(crate) mod scratch;
pub(crate) mod tables;

use std::{
    fs::{self, File},
    io,
    time::{Duration, Instant},
};

use anyhow::Context;
use glrl_node::{system::clock, value::text::bytes};

use crate::{
    model::{
        digests::Digests,
        error::{Error, Kind, OfKind, Result},
        id::BackupId,
        interrupt::Interrupt,
        inventory::Inventory,
        machine,
        manifest::Manifest,
        step::{Report, Step},
        verdict::{Check, Grade, Verdict},
    },
    scratch::{
        place::Place,
        server::{self, ScratchServer},
    },
    settings::Settings,
    state::run_lock,
    store::{
        archive::{self, attributes::Owners, read},
        catalogue,
        encryption::key::Key,
        files, lines, target, verdicts,
        wait_for_mount::wait_for_mount,
        whose::{Other, Whose},
    },
    verify::scratch::Scratch,
};

/// Verifies a backup, the newest of this instance unless one is named. What is wrong with it, and what kept the program from finding out,
/// is in the verdict; an error is a signal, or another verification under way.
pub(crate) fn verify(
    settings: &Settings,
    id: Option<&BackupId>,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Verdict> {
    let began = Instant::now();
    let _alone = run_lock::take(settings, "verify")?;
    let mut inquest = Verification {
        settings,
        interrupt,
        report,
        verdict: Verdict::new(),
    };
    match inquest.hold(id) {
        Ok(()) => {}
        // A verification that was ended by a signal has nothing to say.
        Err(error) if error.kind == Kind::Interrupted => return Err(error),
        Err(error) => inquest.add(Check::failed("verification", Grade::Unverified, format!("{error:#}"))),
    }
    let mut verdict = inquest.verdict;
    verdict.took = began.elapsed();
    for message in verdicts::keep(settings, &verdict)? {
        report(Step::Warning { message });
    }
    Ok(verdict)
}

struct Verification<'a> {
    settings: &'a Settings,
    interrupt: &'a Interrupt,
    report: &'a mut Report<'a>,
    verdict: Verdict,
}

impl Verification<'_> {
    /// All checks, until one leaves no sense in the next.
    fn hold(&mut self, id: Option<&BackupId>) -> Result<()> {
        wait_for_mount(&self.settings.target, self.interrupt, self.report)?;
        let directory = &self.settings.target.directory;
        if let Some(id) = id {
            catalogue::check_exists(directory, id)?;
        }
        let whose = Whose::look(self.settings)?;
        // A node that makes backups verifies its own, whatever others make.
        if id.is_none()
            && !whose.made_here
            && let Some(why) = whose.doubt()
        {
            let each = whose.newest_of_each();
            let each: Vec<_> = each.iter().map(|newest| format!("'glrl verify {newest}")).collect();
            let each = each.join(", or ").replace(" (", "' (");
            let text = format!("the backups are of several servers: {why}; until then say which one is meant: {each}");
            self.add(Check::failed("whose", Grade::Unverified, text));
            return Ok(());
        }
        let Some(id) = id.or_else(|| whose.newest()).cloned() else {
            let text = self.none_there(&whose)?;
            self.add(Check::failed("fresh", Grade::Stale, text));
            return Ok(());
        };
        (self.report)(Step::Verifying { id: id.clone() });
        self.verdict.id = Some(id.clone());
        let manifest = match catalogue::manifest(directory, &id) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.add(Check::failed("manifest", Grade::Corrupt, format!("{error:#}")));
                return Ok(());
            }
        };
        self.verdict.archive = Some(manifest.archive.digests.blake3.clone());
        let same_name = self.verdict.host == manifest.host;
        let here = machine::id();
        let same_machine = match (&manifest.machine, &here) {
            (Some(its), Some(here)) => its == here,
            _ => whose.made_here,
        };
        self.verdict.on_database_node = same_name && same_machine;
        let another = if same_name && !same_machine {
            ", another machine of the same name as this one"
        } else {
            ""
        };
        self.add(Check::ok(
            "manifest",
            format!("{} on {}{another}", manifest.server, manifest.host),
        ));
        let newest = match whose.other(&id) {
            None => whose.newest() == Some(&id),
            // Named: the newest of its own server is meant.
            Some(named) => {
                let later = |other: &&Other| other.maker.may_be(&named.maker) && other.id > id;
                whose.others.iter().find(later).is_none()
            }
        };
        self.fresh(&manifest, newest);
        let key = match self.settings.encryption.key(manifest.encryption.as_ref()) {
            Ok(key) => key,
            Err(why) => {
                self.add(Check::failed("key", Grade::Unverified, format!("{why:#}")));
                return self.without_key(&manifest);
            }
        };
        let Some(list) = self.file_list(files::load(directory, &manifest, key.as_ref())) else {
            return Ok(());
        };
        let Some(inventory) = self.inventory(Inventory::load(directory, &manifest, key.as_ref())) else {
            return Ok(());
        };
        let scratch = self.scratch(&manifest);
        if !self.archive(&manifest, key.as_ref(), &list, scratch.as_ref())? {
            return Ok(());
        }
        for check in logs::in_list(&manifest, &list) {
            self.add(check);
        }
        let Some(mut scratch) = scratch else { return Ok(()) };
        self.database(&manifest, inventory.as_ref(), &mut scratch)?;
        scratch.remove().map_err(Error::from)
    }

    /// Says that there is no backup, and which ones there are.
    fn none_there(&self, whose: &Whose) -> Result<String> {
        let directory = &self.settings.target.directory;
        // Where nothing is mounted there is no backup, and nobody knows whether there is one.
        target::check_there(&self.settings.target)?;
        let mut others: Vec<String> = catalogue::ids(directory, None)?
            .iter()
            .map(|id| id.instance().to_string())
            .collect();
        others.sort();
        others.dedup();
        let others = if others.is_empty() {
            "none at all".to_owned()
        } else {
            format!("those of {}", others.join(", "))
        };
        Ok(if whose.others.is_empty() {
            format!(
                "there is no backup of {} in {directory}, which holds {others}",
                self.settings.instance
            )
        } else {
            let others = whose.newest_of_each().join(", ");
            format!(
                "there is no backup of this node's server in {directory}; under its instance are those of others: {others}"
            )
        })
    }

    fn add(&mut self, check: Check) {
        (self.report)(Step::Checked(check.clone()));
        self.verdict.add(check);
    }

    /// A backup that was named is not asked whether it is the newest.
    fn fresh(&mut self, manifest: &Manifest, newest: bool) {
        let now = clock::now();
        let age = Duration::try_from(now.duration_since(manifest.started)).unwrap_or_default();
        let said = catalogue::age_and_limit(age, self.settings.verify.max_age);
        self.add(if !newest {
            Check::skipped("fresh", "it is not the newest backup")
        } else if manifest.id.is_to_come(now) {
            let text = format!(
                "it is of {}, which is still to come: the clock of {} or of this node is wrong",
                manifest.id.at(),
                manifest.host
            );
            Check::failed("fresh", Grade::Stale, text)
        } else if age > self.settings.verify.max_age {
            Check::failed("fresh", Grade::Stale, said)
        } else {
            Check::ok("fresh", said)
        });
    }

    /// What can be known of an encrypted backup without its key: whether it is what was written.
    fn without_key(&mut self, manifest: &Manifest) -> Result<()> {
        let list = files::bytes(&self.settings.target.directory, manifest);
        self.add(match list {
            Ok(_) => Check::ok("list of files", "encrypted, hashes match"),
            Err(error) => Check::failed("list of files", Grade::Corrupt, format!("{error:#}")),
        });
        if let Some(tables) = &manifest.tables {
            let path = manifest.tables_in(&self.settings.target.directory);
            self.add(match lines::bytes(&path, &tables.list) {
                Ok(_) => Check::ok("list of tables", "encrypted, hashes match"),
                Err(error) => Check::failed("list of tables", Grade::Corrupt, format!("{error:#}")),
            });
        }
        if let Some(file) = self.open(manifest)? {
            let digests = read::hash(file, self.interrupt)?;
            self.hashes(manifest, &digests);
        }
        Ok(())
    }

    fn file_list(&mut self, list: anyhow::Result<files::List>) -> Option<files::List> {
        match list {
            Ok(list) => {
                self.add(Check::ok("list of files", format!("{} files", list.len())));
                Some(list)
            }
            Err(error) => {
                self.add(Check::failed("list of files", Grade::Corrupt, format!("{error:#}")));
                None
            }
        }
    }

    /// The list of what the server had, if there is one; `None` where it is not what was written.
    #[expect(clippy::option_option, reason = "a backup of an older release has none")]
    fn inventory(&mut self, inventory: anyhow::Result<Option<Inventory>>) -> Option<Option<Inventory>> {
        match inventory {
            Ok(inventory) => Some(inventory),
            Err(error) => {
                self.add(Check::failed("list of tables", Grade::Corrupt, format!("{error:#}")));
                None
            }
        }
    }

    /// A place to unpack to, if there is room for it. Without room the archive is still read, and its hashes checked.
    fn scratch(&mut self, manifest: &Manifest) -> Option<Scratch> {
        let settings = &self.settings.verify;
        match Scratch::new(settings, manifest) {
            Ok(scratch) => Some(scratch),
            Err(scratch::Unfit(why)) => {
                self.add(Check::failed("scratch space", Grade::Unverified, why));
                None
            }
        }
    }

    /// The archive; `None` where it is missing.
    fn open(&mut self, manifest: &Manifest) -> Result<Option<File>> {
        let path = manifest.archive_in(&self.settings.target.directory);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.add(Check::failed(
                    "archive",
                    Grade::Corrupt,
                    format!("{} is missing", path.display()),
                ));
                Ok(None)
            }
            Err(error) => Err(error)
                .with_context(|| format!("opening {}", path.display()))
                .of_kind(Kind::Target),
        }
    }

    /// Whether the archive is the one that was written.
    fn hashes(&mut self, manifest: &Manifest, found: &Digests) -> bool {
        let changed = found.differs(&manifest.archive.digests);
        let intact = changed.is_none();
        self.add(match changed {
            None => Check::ok("archive", format!("{}, hashes match", bytes(found.bytes))),
            Some(how) => Check::failed("archive", Grade::Corrupt, how),
        });
        intact
    }

    /// Reads the archive once: its own hashes, and those of every file in it, are checked on the way.
    fn archive(
        &mut self,
        manifest: &Manifest,
        key: Option<&Key>,
        list: &files::List,
        scratch: Option<&Scratch>,
    ) -> Result<bool> {
        let Some(file) = self.open(manifest)? else {
            return Ok(false);
        };
        let into = scratch.map(Scratch::destination);
        let into = into.map(|(path, owner)| (path, Owners::of(manifest, owner)));
        let (digests, found) = archive::read::read(
            (file, key),
            manifest.files.bytes,
            &manifest.volume.mount_point,
            list,
            into,
            self.interrupt,
            self.report,
        )?;
        let intact = self.hashes(manifest, &digests) && found.wrong.is_empty();
        self.add(if found.wrong.is_empty() {
            Check::ok(
                "files",
                format!(
                    "{} files, {}, every hash matches",
                    found.intact,
                    bytes(manifest.files.bytes)
                ),
            )
        } else {
            let more = found.wrong.len().saturating_sub(3);
            let shown = found.wrong.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
            Check::failed(
                "files",
                Grade::Corrupt,
                if more > 0 {
                    format!("{shown}; {more} more")
                } else {
                    shown
                },
            )
        });
        Ok(intact)
    }

    /// Starts a server on what was unpacked, and asks it everything.
    fn database(&mut self, manifest: &Manifest, inventory: Option<&Inventory>, scratch: &mut Scratch) -> Result<()> {
        let program = match server::find(&self.settings.verify, &manifest.server) {
            Ok(program) => program,
            Err(why) => {
                self.add(Check::failed("server", Grade::Unverified, format!("{why:#}")));
                return Ok(());
            }
        };
        let began = Instant::now();
        let (volume, owner) = scratch.destination();
        let place = Place::of_original(manifest, volume, owner);
        // Two servers with one identity must never meet; MySQL makes a new one.
        let _ = fs::remove_file(place.datadir.join("auto.cnf"));
        let (mut server, mut session) =
            match ScratchServer::start(&program, &self.settings.verify, manifest, &place, &[], self.interrupt)? {
                Ok(started) => started,
                Err(refused) => {
                    self.add(Check::failed("server", refused.word, refused.why));
                    return Ok(());
                }
            };
        self.add(Check::ok(
            "server",
            format!(
                "{} recovered and answered in {:.1} s",
                program.display(),
                began.elapsed().as_secs_f64()
            ),
        ));
        for check in logs::on_copy(manifest, server.recovered_to(), &mut session)? {
            self.add(check);
        }
        let wanted = &self.settings.verify.tables;
        let original = (&manifest.server, inventory);
        let checks = tables::check(&mut session, &mut server, original, wanted, self.interrupt)?;
        // A server that had too little of this node's memory or disk has found nothing out.
        if let Some(refused) = server.gone()?.filter(|gone| gone.word == Grade::Unverified) {
            self.add(Check::failed("server", refused.word, refused.why));
            return Ok(());
        }
        let lacking = checks.iter().any(|check| check.word == Grade::Unverified);
        for check in checks {
            self.add(check);
        }
        if lacking && !server.remedy().is_empty() {
            self.add(Check::failed("plugins", Grade::Unverified, server.remedy()));
        }
        drop(session);
        match server.stop(self.interrupt)? {
            None => self.add(Check::ok("shutdown", "clean")),
            Some(refused) => self.add(Check::failed("shutdown", refused.word, refused.why)),
        }
        // Of tables that are broken on the server itself it has said enough.
        let known: Vec<_> = inventory.iter().flat_map(|inventory| inventory.broken()).collect();
        let mut complaints = server.complaints();
        complaints.retain(|line| !known.iter().any(|item| item.is_named_in(line)));
        self.add(match complaints.first() {
            None => Check::ok("error log", "no word of damage"),
            Some(first) => Check::failed(
                "error log",
                Grade::Corrupt,
                format!("{} complaints, the first: {first}", complaints.len()),
            ),
        });
        let check = innochecksum::check(&program, manifest, &place, server.lacks(), self.interrupt)?;
        self.add(check);
        Ok(())
    }
}
