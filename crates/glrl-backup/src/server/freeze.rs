//! Holding the server still for the moment of a snapshot. The lock is a budget: the run waits for it no longer than that, and keeps
//! it no longer than that, whatever else hangs.
//!
//! Sources: MariaDB knowledge base, "BACKUP STAGE" and "Storage Snapshots and BACKUP STAGE Commands"; MySQL reference manual, "LOCK
//! INSTANCE FOR BACKUP and UNLOCK INSTANCE Statements", "FLUSH Statement".
//!
//! On every way out but the good one the connection is closed, which frees the lock on the server within milliseconds. Should this
//! process be stopped altogether, the session's `wait_timeout` does it.

use std::{
    collections::BTreeMap,
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::Context;
use glrl_node::system::clock;

use crate::{
    model::{
        error::{Error, Kind, Result},
        interrupt::Interrupt,
        inventory::Inventory,
        manifest::{self, Coordinates, Position},
        milliseconds,
        server::{Flavour, Server, Version},
        step::{Report, Step},
    },
    server::{
        session::{Columns, Deadline, Session, scalar},
        survey,
    },
    settings::LockSettings,
    volume::Snapshot,
};

/// The moment that was frozen.
pub(crate) struct Frozen {
    pub(crate) coordinates: Coordinates,
    pub(crate) lock: manifest::Lock,
    /// What the server had; or why it did not say.
    pub(crate) inventory: Result<Inventory, String>,
}

/// How this server is held still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// MariaDB: its stages one by one, so that only the last one is clocked.
    Stages,
    /// MySQL: no DDL first, then no writes.
    GlobalReadLock,
}

impl Way {
    fn of(server: &Server) -> Result<Self> {
        match server.flavour {
            Flavour::MariaDb if server.version >= Version(10, 4, 1) => Ok(Self::Stages),
            Flavour::MySql if server.version >= Version(8, 0, 11) => Ok(Self::GlobalReadLock),
            _ => Err(Error::new(
                Kind::Failed,
                format!("{server} cannot be locked for a backup: MariaDB 10.4 or MySQL 8.0 is needed"),
            )),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Stages => "BACKUP STAGE BLOCK_COMMIT",
            Self::GlobalReadLock => "FLUSH TABLES WITH READ LOCK",
        }
    }

    /// What comes before the clocked statement, which is `name`.
    ///
    /// No FLUSH TABLES before MySQL's: when that has to be given up because a statement holds a table open, all who open that table
    /// afterwards wait until the statement ends, whatever is killed (measured with 9.7.4: 4.9 s of 5). FLUSH TABLES WITH READ LOCK by itself
    /// first waits for writers, and leaves nothing when it is killed there (0.03 s); a long SELECT can still do it, hence `long_statement`.
    const fn first(self) -> &'static [&'static str] {
        match self {
            Self::Stages => &["BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL"],
            Self::GlobalReadLock => &["LOCK INSTANCE FOR BACKUP"],
        }
    }

    /// What stops the clock, and what comes after it.
    const fn last(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Stages => ("BACKUP STAGE END", &[]),
            Self::GlobalReadLock => ("UNLOCK TABLES", &["UNLOCK INSTANCE"]),
        }
    }
}

/// Locks, takes the snapshot and reads the coordinates, unlocks.
pub(crate) fn freeze(
    mut session: Session,
    server: &Server,
    settings: &LockSettings,
    snapshot: &mut dyn Snapshot,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<Frozen> {
    let way = Way::of(server)?;
    report(Step::Locking { mode: way.name() });
    let asked = Instant::now();
    let late = |from: Instant| Deadline {
        at: from + settings.budget,
        kind: Kind::LockBudget,
    };
    let seconds = settings.budget.as_secs() + 1;
    // The server's own limits, as a second line: longer than the budget, so that they never act before it.
    session.rows(&format!(
        "SET SESSION lock_wait_timeout = {seconds}, SESSION wait_timeout = {}",
        2 * seconds + 10
    ))?;
    if way == Way::GlobalReadLock {
        await_long_statements(&mut session, settings, late(asked), interrupt)?;
    }
    let lock = |session: &mut Session, sql: &str| {
        let locked = session.within(sql, interrupt, Some(late(asked)));
        locked.map(drop).map_err(|error| error.context("locking the server"))
    };
    for sql in way.first() {
        lock(&mut session, sql)?;
    }
    // No statement changes what there is from here on, and others go on writing rows: the clock does not run yet.
    let inventory = survey::list(&mut session, server, Some(late(asked)), interrupt)
        .map_err(|error| error.context("listing the server's tables"))?;
    let lsn = redo_log(&mut session, server, late(asked), interrupt)?;
    lock(&mut session, way.name())?;
    let (got, at) = (Instant::now(), clock::now());
    write_out(&mut session, server, interrupt, late(got))
        .map_err(|error| error.context("writing out the engines' logs under the lock"))?;
    let read = |session: &mut Session| {
        coordinates(session, server, interrupt, late(got))
            .map_err(|error| error.context("reading the binary log's coordinates under the lock"))
    };
    let (coordinates, hold, took) = take(&mut session, way, &read, snapshot, late(got), got, interrupt)?;
    let wait = got - asked;
    report(Step::Frozen { wait, hold });
    Ok(Frozen {
        coordinates: Coordinates { lsn, ..coordinates },
        inventory,
        lock: manifest::Lock {
            mode: way
                .first()
                .iter()
                .chain([&way.name()])
                .copied()
                .collect::<Vec<_>>()
                .join("; "),
            at: Some(at),
            wait_ms: milliseconds::of(wait),
            hold_ms: milliseconds::of(hold),
            snapshot_ms: Some(milliseconds::of(took)),
            budget_ms: milliseconds::of(settings.budget),
        },
    })
}

/// Returns up to where InnoDB's redo log is in its files. MariaDB takes the first block that it cannot read for the end of the log, and says nothing;
/// MySQL says what is wrong with the block.
fn redo_log(session: &mut Session, server: &Server, deadline: Deadline, interrupt: &Interrupt) -> Result<Option<u64>> {
    if server.flavour == Flavour::MySql {
        return Ok(None);
    }
    let said = session.within(
        "SHOW GLOBAL STATUS LIKE 'Innodb_lsn_flushed'",
        interrupt,
        Some(deadline),
    )?;
    let value = |row: &Columns| row.get("Value").cloned().flatten()?.parse().ok();
    Ok(said.first().and_then(value))
}

/// Has InnoDB write its log. Not all that is committed need be in the file: with `innodb_flush_log_at_trx_commit=0`, and for a sequence of
/// MariaDB's, it may be in the server's memory for a second and longer, while the binary log has it already. With that setting MariaDB
/// takes the statement for nothing (seen with 10.11), so it is another one for that moment; should this end in between, the safe one stays.
fn write_out(session: &mut Session, server: &Server, interrupt: &Interrupt, deadline: Deadline) -> Result<()> {
    let lazy = server.flavour == Flavour::MariaDb && server.variable("innodb_flush_log_at_trx_commit") == Some("0");
    let mut run = |sql: &str| session.within(sql, interrupt, Some(deadline));
    if lazy {
        run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")?;
    }
    let written = run("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS");
    if lazy {
        run("SET GLOBAL innodb_flush_log_at_trx_commit = 0")?;
    }
    written.map(drop)
}

/// Takes the snapshot while the lock is held, reads the coordinates meanwhile, and gives the lock back the moment it is taken, has failed,
/// or takes too long. It is not killed then: lvcreate killed half-way can leave the volume suspended, which is worse than any lock.
/// Returns the coordinates, how long the lock was held, and how long the snapshot took of that.
fn take(
    session: &mut Session,
    way: Way,
    read: &dyn Fn(&mut Session) -> Result<Coordinates>,
    snapshot: &mut dyn Snapshot,
    deadline: Deadline,
    got: Instant,
    interrupt: &Interrupt,
) -> Result<(Coordinates, Duration, Duration)> {
    const LOOK: Duration = Duration::from_millis(20);
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        scope.spawn(move || {
            let began = Instant::now();
            let taken = snapshot.take();
            let _ = tell.send(taken.map(|()| began.elapsed()));
        });
        let coordinates = read(session);
        let taken = loop {
            if coordinates.is_err() {
                break Ok(Duration::ZERO);
            }
            let left = deadline.at.saturating_duration_since(Instant::now());
            match told.recv_timeout(left.min(LOOK)) {
                Ok(taken) => break taken,
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Error::new(Kind::Failed, "taking the snapshot ended without an answer"));
                }
                Err(RecvTimeoutError::Timeout) if interrupt.is_set() => {
                    break interrupt.check().map(|()| Duration::ZERO);
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    break Err(Error::new(
                        Kind::LockBudget,
                        "the snapshot was not made within the lock's budget; the lock was given back, the snapshot is discarded",
                    ));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        // From here to the end of the statement is part of the hold; a signal does not stop it.
        let (unlock, after) = way.last();
        let grace = Deadline {
            at: Instant::now() + Duration::from_secs(10),
            kind: Kind::Snapshot,
        };
        let released = session.within(unlock, &Interrupt::default(), Some(grace));
        let hold = got.elapsed();
        let (coordinates, took) = (coordinates?, taken?);
        released.map_err(|error| {
            error
                .context("the lock was lost while the snapshot was made, so it may not be of one moment")
                .of_kind(Kind::Snapshot)
        })?;
        for sql in after {
            session.within(sql, &Interrupt::default(), Some(grace))?;
        }
        Ok((coordinates, hold, took))
    })
}

/// Waits until no statement is running so long that the lock would queue up behind it, and all writers behind the lock.
fn await_long_statements(
    session: &mut Session,
    settings: &LockSettings,
    deadline: Deadline,
    interrupt: &Interrupt,
) -> Result<()> {
    loop {
        let running = session.running_longer_than(settings.long_statement)?;
        if running.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline.at {
            return Err(Error::new(
                deadline.kind,
                format!(
                    "the lock was not asked for, since writers would queue up behind it: {}",
                    running.join("; ")
                ),
            ));
        }
        interrupt.pause(Duration::from_millis(200))?;
    }
}

fn coordinates(
    session: &mut Session,
    server: &Server,
    interrupt: &Interrupt,
    deadline: Deadline,
) -> Result<Coordinates> {
    let ask = |session: &mut Session, sql: &str| session.within(sql, interrupt, Some(deadline));
    let (gtid, gtid_slave_pos, status, replicas): (_, _, [&str; 2], [&str; 2]) = match server.flavour {
        Flavour::MariaDb => (
            scalar(&ask(session, "SELECT @@GLOBAL.gtid_binlog_pos AS value")?),
            scalar(&ask(session, "SELECT @@GLOBAL.gtid_slave_pos AS value")?),
            ["SHOW MASTER STATUS", "SHOW BINLOG STATUS"],
            ["SHOW ALL SLAVES STATUS", "SHOW ALL REPLICAS STATUS"],
        ),
        Flavour::MySql => (
            scalar(&ask(session, "SELECT @@GLOBAL.gtid_executed AS value")?),
            None,
            // Each name is refused where the other one is needed: the new ones came with 8.2 and 8.0.22.
            ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"],
            ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"],
        ),
    };
    let binlog = session
        .first_understood(&status, interrupt, deadline)?
        .first()
        .map(position)
        .transpose()?;
    let replicas = session
        .first_understood(&replicas, interrupt, deadline)?
        .iter()
        .map(replica)
        .collect();
    let said = |text: Option<String>| {
        text.map(|text| text.split_whitespace().collect::<String>())
            .filter(|text| !text.is_empty())
    };
    Ok(Coordinates {
        binlog,
        gtid: said(gtid),
        gtid_slave_pos: said(gtid_slave_pos),
        replicas,
        lsn: None,
    })
}

fn position(row: &Columns) -> anyhow::Result<Position> {
    let column = |name: &str| row.get(name).cloned().flatten();
    Ok(Position {
        file: column("File").context("the binary log's status names no file")?,
        position: column("Position")
            .and_then(|text| text.parse().ok())
            .context("the binary log's status names no position")?,
    })
}

/// Where a replica stood. Of some fifty columns, those that it takes to go on from there.
fn replica(row: &Columns) -> BTreeMap<String, String> {
    const COLUMNS: [&str; 16] = [
        "Connection_name",
        "Channel_Name",
        "Master_Host",
        "Source_Host",
        "Master_Port",
        "Source_Port",
        "Relay_Master_Log_File",
        "Relay_Source_Log_File",
        "Exec_Master_Log_Pos",
        "Exec_Source_Log_Pos",
        "Using_Gtid",
        "Gtid_IO_Pos",
        "Gtid_Slave_Pos",
        "Executed_Gtid_Set",
        "Retrieved_Gtid_Set",
        "Auto_Position",
    ];
    COLUMNS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), row.get(*name)?.clone()?)))
        .collect()
}
