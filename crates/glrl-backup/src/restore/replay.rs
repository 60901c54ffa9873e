//! Going on from a backup: a server is started on the restored data, shut off as for a verification, and the archived binary logs are
//! replayed into it by its own tools, mariadb-binlog or mysqlbinlog.
//!
//! Transactions keep their GTIDs, for the tools say them before each one, and the server writes its binary log as the original did: what
//! is restored can be replicated from as the original could at that moment.
//!
//! A throw-away server does not check accounts (`scratch_server`), and would refuse to replay CREATE USER and GRANT for that. So the session
//! that replays on MySQL, once it is logged in, has the accounts loaded; on MariaDB it has an account of its own (`account`). What belongs
//! to whoever runs a statement is handed over afterwards (`invokers`).

use std::{
    fs,
    io::{Write, pipe},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result as Anyhow, anyhow, bail};
use glrl_node::system::programs::{Program, find};
use serde::Serialize;

use crate::{
    model::{
        error::{Error, Kind, Result},
        gtid::{Stands, slave_position},
        interrupt::Interrupt,
        manifest::Manifest,
        milliseconds,
        owner::Owner,
        server::Flavour,
        step::{Report, Step},
    },
    restore::{
        invokers,
        plan::{Plan, plan, stands},
        until::{Gtids, Until},
    },
    scratch::{
        account::Account,
        place::Place,
        server::{self, ScratchServer},
    },
    server::session::scalar,
    settings::Settings,
};

/// Where the logs lie meanwhile, in the volume.
const LOGS: &str = ".glrl-binlogs";

/// What was replayed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    /// The moment that was asked for.
    pub until: String,
    /// Transactions.
    pub transactions: u64,
    /// Binary logs that they came from.
    pub logs: usize,
    /// When the last one was committed.
    pub last: Option<jiff::Timestamp>,
    /// How long it took, with the server's start and shutdown.
    #[serde(rename = "took_ms", serialize_with = "milliseconds::serialize")]
    pub took: Duration,
}

/// Takes restored data on to a later moment. Returns what was done, and the GTID where the server stands.
pub(crate) fn replay(
    settings: &Settings,
    manifest: &Manifest,
    until: &Until,
    volume: &Path,
    owner: Owner,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<(Replayed, Option<String>)> {
    let began = Instant::now();
    let logs = volume.join(LOGS);
    let plan = plan(settings, manifest, until, volume, &logs, owner, interrupt)?;
    if let Some(message) = &plan.warning {
        report(Step::Warning {
            message: message.clone(),
        });
    }
    let mut gtid = manifest.coordinates.gtid.clone();
    if plan.transactions > 0 && goes_by_files(manifest) {
        report(Step::Warning {
            message:
                "the server was a replica that goes by its source's files, and what is replayed it would get again: \
                      start it with skip_slave_start, and have it go on from the right place"
                    .to_owned(),
        });
    }
    if plan.transactions > 0 {
        report(Step::Replaying {
            transactions: plan.transactions,
            logs: plan.logs.len(),
        });
        let mut place = Place::of_original(manifest, volume, owner);
        if manifest.server.flavour == Flavour::MariaDb {
            place.account = Some(Account::prepare(&logs, &place.seen.join(LOGS), owner)?);
        }
        gtid = run(settings, manifest, &plan, &place, interrupt, report)?;
        place.tidy();
        reached(manifest, until, gtid.as_deref())?;
    }
    if logs.exists() {
        fs::remove_dir_all(&logs).with_context(|| format!("removing {}", logs.display()))?;
    }
    let replayed = Replayed {
        until: until.to_string(),
        transactions: plan.transactions,
        logs: plan.logs.len(),
        last: plan.last.map(|(_, at)| at),
        took: began.elapsed(),
    };
    Ok((replayed, gtid))
}

fn run(
    settings: &Settings,
    manifest: &Manifest,
    plan: &Plan,
    place: &Place,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<Option<String>> {
    let program = server::find(&settings.verify, &manifest.server)?;
    let tools = Tools::beside(&program, manifest.server.flavour)?;
    // What is lost when this machine goes down now is begun anew. And nothing is refused that the original has let pass.
    let more = [
        "--innodb-flush-log-at-trx-commit=0",
        "--sync-binlog=0",
        "--max-allowed-packet=1G",
        "--log-bin-trust-function-creators=1",
        "--innodb-strict-mode=OFF",
        "--local-infile=1",
    ]
    .map(str::to_owned);
    let started = ScratchServer::start(&program, &settings.verify, manifest, place, &more, interrupt)?;
    let (mut server, mut session) = started.map_err(|refused| Error::new(Kind::Failed, refused.why))?;
    feed(&tools, manifest, plan, place, interrupt).map_err(|error| server.explain(error))?;
    let account = place.account.as_ref();
    let name = account.map_or("", |account| &*account.name);
    let left = invokers::hand_over(&mut session, manifest.server.flavour, name, plan)?;
    if !left.is_empty() {
        report(Step::Warning {
            message: format!("belongs to nobody after the replay: {}", left.join("; ")),
        });
    }
    let sql = match manifest.server.flavour {
        Flavour::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos AS value",
        Flavour::MySql => "SELECT @@GLOBAL.gtid_executed AS value",
    };
    let gtid = scalar(&session.rows(sql)?)
        .map(|text| text.split_whitespace().collect::<String>())
        .filter(|text| !text.is_empty());
    if let (Some(stood), Some(gtid), Flavour::MariaDb) =
        (&manifest.coordinates.gtid_slave_pos, &gtid, manifest.server.flavour)
    {
        // What is replayed here is no replica's doing, and it would get all of it again.
        let own = manifest.server.variable("server_id").and_then(|id| id.parse().ok());
        let position = slave_position(stood, gtid, own.unwrap_or_default()).map_err(|error| anyhow!(error))?;
        session.rows(&format!("SET GLOBAL gtid_slave_pos = '{position}'"))?;
    }
    if let Some(account) = account {
        account.remove(&mut session)?;
    }
    drop(session);
    if let Some(refused) = server.stop(interrupt)? {
        return Err(Error::new(Kind::Failed, refused.why));
    }
    match server.complaints().first() {
        Some(first) => Err(Error::new(
            Kind::Corrupt,
            format!("the server complains about the data: {first}"),
        )),
        None => Ok(gtid),
    }
}

/// Whether the backup's server was a replica that knows where it stood by its source's log and not by GTIDs.
fn goes_by_files(manifest: &Manifest) -> bool {
    let mut replicas = manifest.coordinates.replicas.iter();
    match manifest.server.flavour {
        Flavour::MariaDb => replicas.any(|replica| replica.get("Using_Gtid").is_some_and(|using| using == "No")),
        Flavour::MySql => replicas.next().is_some() && manifest.server.variable("gtid_mode") != Some("ON"),
    }
}

/// Whether the server stands where it was to go.
fn reached(manifest: &Manifest, until: &Until, gtid: Option<&str>) -> Result<()> {
    let (Until::Gtid(Gtids(wanted)), Some(gtid)) = (until, gtid) else {
        return Ok(());
    };
    let mut now = manifest.clone();
    now.coordinates.gtid = Some(gtid.to_owned());
    if stands(&now, until)? == Some(Stands::Before) {
        let message = format!("{wanted} was to be reached, and the server stands at {gtid}");
        return Err(Error::new(Kind::Failed, message));
    }
    Ok(())
}

/// The server's own tools.
struct Tools {
    reader: PathBuf,
    client: PathBuf,
}

impl Tools {
    fn beside(server: &Path, flavour: Flavour) -> Anyhow<Self> {
        let (readers, clients, package): (&[&str], &[&str], _) = match flavour {
            Flavour::MariaDb => (
                &["mariadb-binlog", "mysqlbinlog"],
                &["mariadb", "mysql"],
                "mariadb-client, or mariadb-server where that has them, as in Ubuntu 22.04",
            ),
            Flavour::MySql => (&["mysqlbinlog"], &["mysql"], "mysql-client, and mysql-server-core"),
        };
        let beside = server.parent().unwrap_or(Path::new("/"));
        let look = |names: &[&str]| {
            let found = names.iter().find_map(|name| {
                let places = [beside.join(name), beside.join("../bin").join(name)];
                let there = places.iter().find_map(|path| find(&path.to_string_lossy()).ok());
                there.or_else(|| find(name).ok())
            });
            found.with_context(|| format!("there is no {} here to replay binary logs: install {package}", names[0]))
        };
        let tools = Self {
            reader: look(readers)?,
            client: look(clients)?,
        };
        for tool in [&tools.reader, &tools.client] {
            let said = Program::new(tool.to_string_lossy())
                .args(["--no-defaults", "--version"])
                .stdout()?;
            let said = String::from_utf8_lossy(&said);
            // mariadb-binlog of 10.11 names itself by another number, and nobody.
            let of = if said.contains("MariaDB") || said.contains("Ver 3.") {
                Flavour::MariaDb
            } else {
                Flavour::MySql
            };
            if of != flavour {
                bail!(
                    "{} is {of}'s, and the binary logs are {flavour}'s: install {package}",
                    tool.display()
                );
            }
        }
        Ok(tools)
    }
}

/// Replays the logs: the reader's statements go to the client, both as the server's account, in a namespace where the data is at its place.
fn feed(tools: &Tools, manifest: &Manifest, plan: &Plan, place: &Place, interrupt: &Interrupt) -> Result<()> {
    let seen = &manifest.volume.mount_point;
    let inside = |path: &Path| {
        path.strip_prefix(&place.volume)
            .map(|path| seen.join(path))
            .map_err(|error| anyhow!(error))
    };
    let logs = plan.logs.iter().map(|log| inside(log)).collect::<Anyhow<Vec<_>>>()?;
    let (options, user) = match &place.account {
        Some(account) => (format!("--defaults-file={}", account.option_file.display()), None),
        None => ("--no-defaults".to_owned(), Some("--user=root")),
    };
    let reader = place
        .program(&tools.reader)
        .args(["--no-defaults"])
        .args([format!("--start-position={}", plan.start)])
        .args(plan.stop.map(|stop| format!("--stop-position={stop}")))
        // Files of LOAD DATA.
        .args([format!("--local-load={}", seen.join(LOGS).display())])
        .args(logs);
    let client = place
        .program(&tools.client)
        .args([options])
        .args(user)
        // What a client would take for its own commands is not for it.
        .args([
            "--binary-mode",
            "--local-infile=1",
            "--skip-reconnect",
            "--max-allowed-packet=1G",
        ])
        .args([format!("--socket={}", inside(&place.socket())?.display())]);
    let (statements, mut into) = pipe().context("making a pipe")?;
    if place.account.is_none() {
        // From here on accounts count, and those who are logged in may still do everything.
        into.write_all(b"FLUSH LOCAL PRIVILEGES;\n")
            .context("writing to a pipe")?;
    }
    let reading = place.view(manifest).run(|| reader.start_between(None, Some(into)))?;
    let replaying = place
        .view(manifest)
        .run(|| client.start_between(Some(statements), None))?;
    let ended = loop {
        interrupt.check()?;
        if let Some(output) = replaying.wait(Duration::from_millis(100))? {
            break output;
        }
    };
    if !ended.status.success() {
        return Err(Error::new(
            Kind::Failed,
            format!("the replay stopped: {:#}", client.failed(&ended)),
        ));
    }
    // The client has read everything there was: the reader has ended.
    let Some(read) = reading.wait(Duration::from_secs(30))? else {
        return Err(Error::new(
            Kind::Failed,
            format!("{} did not end", tools.reader.display()),
        ));
    };
    if !read.status.success() {
        return Err(Error::new(Kind::Failed, format!("{:#}", reader.failed(&read))));
    }
    Ok(())
}
