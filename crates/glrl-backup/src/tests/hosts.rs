//! Two hosts of one name on one target, in orders that are made up from a seed that is printed (`GLRL_SEED` sets it): whatever each does, and wherever
//! it is killed, neither gets, deletes or judges what is the other's.
//!
//! Each does what it does in a process of its own, in namespaces where its host name and its machine id are its own.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        error::{Error, Kind},
        id::BackupId,
        interrupt::Interrupt,
        layout::VERDICT,
        step::Step,
        verdict::Grade,
    },
    operate::{
        job::{archive_binlogs, prune, verify},
        status::status,
    },
    restore::{Destination, Request, restore},
    settings::Settings,
    tests::{
        chance::Chance,
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server, backup_of, names, settings_in},
    },
};

on_both_flavours!(whatever_two_hosts_of_one_name_do_is_their_own,);

/// Holds what a process is to do.
const ORDER: &str = "GLRL_HOSTS_ORDER";
/// How many backups each keeps.
const KEPT: u32 = 2;
/// How many things both do, all in all.
const LENGTH: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Deed {
    Run,
    Logs,
    Verify,
    Status,
    Prune,
    Restore,
}

/// What a host does, and how.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    deed: Deed,
    /// The directory of its server, that server's program, and the target.
    directory: PathBuf,
    program: PathBuf,
    target: PathBuf,
    /// It is killed when it reports so many steps.
    dies_at: Option<usize>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Outcome {
    /// The backup that was made, verified, or is the newest.
    id: Option<BackupId>,
    /// The schemas that were restored.
    schemas: Vec<String>,
    /// Its word on the backup.
    word: Option<String>,
    /// The kind of the error.
    error: Option<String>,
}

impl Order {
    fn settings(&self) -> Settings {
        let data = self.directory.join("data");
        let mut settings = settings_in(&self.directory, &data.join("s"), &self.program);
        settings.instance = "db".parse().unwrap();
        settings.target.directory = self.target.to_str().unwrap().parse().unwrap();
        settings.lock.budget = Duration::from_secs(20);
        settings.keep.last = KEPT;
        settings
    }

    /// Does it, in the process that was started for it.
    fn follow(&self) {
        let settings = self.settings();
        let mut steps = 0;
        let mut report = |_: Step| {
            steps += 1;
            if self.dies_at == Some(steps) {
                kill(Pid::this(), Signal::SIGKILL).unwrap();
            }
        };
        let outcome = self.done(&settings, &mut report).unwrap_or_else(|error| Outcome {
            error: Some(format!("{:?}: {error:#}", error.kind)),
            ..Outcome::default()
        });
        fs::write(self.directory.join("outcome"), serde_json::to_vec(&outcome).unwrap()).unwrap();
    }

    fn done(&self, settings: &Settings, report: &mut dyn FnMut(Step)) -> Result<Outcome, Error> {
        let interrupt = &Interrupt::default();
        let mut outcome = Outcome::default();
        match self.deed {
            Deed::Run => {
                let data = self.directory.join("data");
                let of = (&*data, &*data.join("pid"));
                outcome.id = Some(backup_of(of, settings, &Behaviour::default(), interrupt, report)?.id);
            }
            Deed::Logs => drop(archive_binlogs(settings, interrupt, report)?),
            Deed::Verify => {
                let verdict = verify(settings, None, interrupt, report)?;
                outcome.id.clone_from(&verdict.id);
                outcome.word = Some(format!("{:?}", verdict.verdict));
            }
            Deed::Status => outcome.id = status(settings)?.newest.map(|newest| newest.id),
            Deed::Prune => drop(prune(settings, false, interrupt, report)?),
            Deed::Restore => {
                let to = self.directory.join("restored");
                let _ = fs::remove_dir_all(&to);
                let request = Request {
                    id: None,
                    to: Destination::Directory(to.clone()),
                    until: None,
                };
                let restored = restore(settings, &request, interrupt, report)?;
                outcome.schemas = names(&restored.datadir);
                outcome.schemas.retain(|name| name.ends_with("_db"));
                fs::remove_dir_all(&to).unwrap();
            }
        }
        Ok(outcome)
    }
}

struct Host {
    name: &'static str,
    schema: &'static str,
    server: Server,
    machine_id: PathBuf,
    /// Complete, and not deleted by this host.
    made: BTreeSet<BackupId>,
}

impl Host {
    fn new(on: &Programs, name: &'static str, schema: &'static str, id: char) -> Self {
        let server = Server::start(on);
        server.execute(&[
            &format!("CREATE DATABASE {schema}"),
            &format!("CREATE TABLE {schema}.t (id INT AUTO_INCREMENT PRIMARY KEY)"),
        ]);
        let machine_id = server.directory.path().join("machine-id");
        fs::write(&machine_id, id.to_string().repeat(32)).unwrap();
        Self {
            name,
            schema,
            server,
            machine_id,
            made: BTreeSet::new(),
        }
    }

    /// Starts what does it; `test` is this test's own name.
    fn start(&self, test: &str, order: &Order) -> Child {
        let _ = fs::remove_file(self.server.directory.path().join("outcome"));
        Command::new("unshare")
            .args(["--uts", "--mount", "sh", "-c"])
            .arg("hostname \"$1\" && mount --bind \"$2\" /etc/machine-id && shift 2 && exec \"$@\"")
            .args(["sh", self.name])
            .arg(&self.machine_id)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture", "--quiet"])
            .env(ORDER, serde_json::to_string(order).unwrap())
            .stdout(io::stderr())
            .spawn()
            .unwrap()
    }

    fn makes_backups(&self) -> bool {
        self.server.directory.path().join("state/backup/db/made.json").exists()
    }

    fn outcome(&self) -> Option<Outcome> {
        let text = fs::read(self.server.directory.path().join("outcome")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Does what a killed process has left to do: lets the server run on, which stood still for the copy, and removes the copy, which another
    /// process may still be writing. The next run removes a snapshot of LVM.
    fn tidy(&self) {
        let directory = self.server.directory.path();
        let pid = fs::read_to_string(self.server.data().join("pid")).unwrap();
        kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGCONT).unwrap();
        for name in names(directory).iter().filter(|name| name.starts_with("snapshot-")) {
            while directory.join(name).exists() {
                let _ = fs::remove_dir_all(directory.join(name));
            }
        }
    }
}

/// All files of these backups in the target, with their sizes.
fn files(target: &Path, of: &BTreeSet<BackupId>) -> Vec<(String, u64)> {
    let is_of = |name: &String| of.iter().any(|id| name.starts_with(&id.to_string()));
    let size = |name: String| (name.clone(), fs::metadata(target.join(name)).unwrap().len());
    names(target).into_iter().filter(is_of).map(size).collect()
}

/// Everything in the target that a host had there when it was not at work.
fn belongings(target: &Path, theirs: &BTreeSet<String>) -> BTreeSet<String> {
    names(target).into_iter().filter(|name| theirs.contains(name)).collect()
}

fn whatever_two_hosts_of_one_name_do_is_their_own(on: &Programs) {
    if let Ok(order) = std::env::var(ORDER) {
        serde_json::from_str::<Order>(&order).unwrap().follow();
        return;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let mut chance = Chance::from_environment();
    let target = tempfile::tempdir().unwrap();
    let target = target.path();
    let mut hosts = [
        Host::new(on, "db.site-a", "a_db", 'a'),
        Host::new(on, "db.site-b", "b_db", 'b'),
    ];
    // What each has left in the target, whole or not.
    let mut left: [BTreeSet<String>; 2] = Default::default();
    let mut told = String::new();
    for number in 0..LENGTH {
        // The first of each host gives the others something to be wrong about.
        let who = if number < 2 { number } else { chance.number(2) };
        let deed = match (number, chance.number(10)) {
            (0 | 1, _) | (_, 0..4) => Deed::Run,
            (_, 4) => Deed::Logs,
            (_, 5) => Deed::Verify,
            (_, 6) => Deed::Status,
            (_, 7 | 8) => Deed::Prune,
            _ => Deed::Restore,
        };
        let dies_at = (chance.number(2) == 0).then(|| chance.number(12) + 1);
        let killed_after = (chance.number(4) == 0).then(|| Duration::from_millis(chance.below(2500)));
        let host = &hosts[who];
        let order = Order {
            deed,
            directory: host.server.directory.path().to_owned(),
            program: on.server.clone(),
            target: target.to_owned(),
            dies_at,
        };
        host.server
            .execute(&[&format!("INSERT INTO {}.t VALUES ()", host.schema)]);
        let before: BTreeSet<String> = names(target).into_iter().collect();
        // A node that has begun no backup judges the one that there is.
        let judges_all = deed == Deed::Verify && !hosts[who].makes_backups();
        let of_theirs = |hosts: &[Host; 2]| {
            let mut files = files(target, &hosts[1 - who].made);
            files.retain(|(name, _)| !(judges_all && name.ends_with(VERDICT)));
            files
        };
        let theirs = of_theirs(&hosts);
        let their_rest = belongings(target, &left[1 - who]);
        let mut child = host.start(&test, &order);
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_mins(3), "{told}{order:?}");
            if killed_after.is_some_and(|after| began.elapsed() >= after) {
                child.kill().unwrap();
            }
            sleep(Duration::from_millis(10));
        }
        let outcome = host.outcome();
        host.tidy();
        told += &format!(
            "{number}: {} {deed:?}, dies at {dies_at:?}, killed after {killed_after:?}: {outcome:?}\n",
            host.name
        );
        // Nothing of the other's has changed or gone.
        assert_eq!(of_theirs(&hosts), theirs, "{told}");
        assert_eq!(belongings(target, &left[1 - who]), their_rest, "{told}");
        let now: BTreeSet<String> = names(target).into_iter().collect();
        left[who].retain(|name| now.contains(name));
        left[who].extend(now.difference(&before).cloned());
        let complete = now.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        let complete: BTreeSet<BackupId> = complete.filter(|id| !hosts[1 - who].made.contains(id)).collect();
        // What was complete goes by its own prune alone, which comes behind each good run too.
        let gone: Vec<_> = hosts[who].made.difference(&complete).collect();
        let may_go = matches!(deed, Deed::Run | Deed::Prune) && complete.len() >= KEPT as usize;
        assert!(gone.is_empty() || may_go, "{gone:?}\n{told}");
        hosts[who].made = complete;
        // One that has begun none is a node that makes none, and takes what there is.
        if let Some(outcome) = outcome.as_ref().filter(|_| hosts[who].makes_backups()) {
            right(&hosts[who], &hosts[1 - who], deed, outcome, &told);
        }
        // Ids are of whole seconds.
        sleep(Duration::from_millis(1100));
    }
    // Nothing stays behind of the dead, but what their own next run removes.
    for (who, host) in hosts.iter().enumerate() {
        let order = Order {
            deed: Deed::Run,
            directory: host.server.directory.path().to_owned(),
            program: on.server.clone(),
            target: target.to_owned(),
            dies_at: None,
        };
        assert!(host.start(&test, &order).wait().unwrap().success());
        let outcome = host.outcome().unwrap();
        assert!(outcome.id.is_some(), "{outcome:?}\n{told}");
        let partial: Vec<_> = belongings(target, &left[who])
            .into_iter()
            .filter(|name| name.ends_with(".partial"))
            .collect();
        assert_eq!(partial, Vec::<String>::new(), "{told}");
        sleep(Duration::from_millis(1100));
    }
}

/// Expects that what a host was told is about its own.
fn right(host: &Host, other: &Host, deed: Deed, outcome: &Outcome, told: &str) {
    let refused = outcome.error.as_deref().is_some_and(|error| {
        [Kind::Refused, Kind::Failed]
            .iter()
            .any(|kind| error.starts_with(&format!("{kind:?}: ")))
    });
    assert!(outcome.error.is_none() || refused, "{told}");
    if let Some(id) = &outcome.id {
        assert!(host.made.contains(id) && !other.made.contains(id), "{told}");
    }
    match deed {
        Deed::Run => assert!(outcome.id.is_some(), "{told}"),
        Deed::Status => assert_eq!(outcome.id.as_ref(), host.made.last(), "{told}"),
        Deed::Verify => {
            assert_eq!(outcome.id.as_ref(), host.made.last(), "{told}");
            let word = if host.made.is_empty() { Grade::Stale } else { Grade::Ok };
            let said = outcome.word.as_deref().unwrap();
            assert!(said == format!("{word:?}"), "{told}");
        }
        Deed::Restore => match &outcome.error {
            None => assert_eq!(outcome.schemas, [host.schema], "{told}"),
            Some(_) => assert!(
                outcome.schemas.is_empty() && (!other.made.is_empty() || host.made.is_empty()),
                "{told}"
            ),
        },
        Deed::Logs | Deed::Prune => {}
    }
}
