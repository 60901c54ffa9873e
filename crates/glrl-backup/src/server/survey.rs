//! Asking a server what it has, and what of that it cannot open itself.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::anyhow;

use crate::{
    model::{
        error::{self, Error, Result},
        interrupt::Interrupt,
        inventory::{Inventory, Item, Kind, MADE_UP, Survey},
        server::{Flavour, Server},
    },
    server::session::{Columns, Deadline, Session, quote, scalar},
};

/// How long opening all tables may take. With 20,000 it took 1.5 s on MariaDB 10.11 and 10 s on MySQL 9.7.
const SURVEY: Duration = Duration::from_secs(20);
/// How long one table may take.
const ONE: Duration = Duration::from_secs(2);

/// Errors that say nothing about a table: it is gone (1146), locked (1205, 1969, 3024), forbidden (1044, 1142), or the server was asked to end.
const NOT_OF_THE_TABLE: [u16; 7] = [1146, 1205, 1969, 3024, 1044, 1142, 1317];

/// Opens every table, as far as that can be done within its time. What opens is not read: that is for the verification.
pub(crate) fn survey(session: &mut Session, server: &Server, interrupt: &Interrupt) -> Result<Survey> {
    let end = Instant::now() + SURVEY;
    let mut found = Survey::default();
    for sql in [
        "SET SESSION lock_wait_timeout = 1",
        "SET SESSION max_error_count = 65535",
        // Or MySQL tells what it remembers, and opens nothing.
        "SET SESSION information_schema_stats_expiry = 0",
    ] {
        // MariaDB does not have the last one, and MySQL does not let everybody set the second: it warns of 1024 tables then, at most.
        let _ = session.attempt(sql, interrupt, None)?;
    }
    let without = without_tablespace(session, server, interrupt)?;
    let sql = format!("SELECT SCHEMA_NAME AS db FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ({MADE_UP})");
    for schema in session.rows(&sql)?.iter().map(|row| column(row, "db")) {
        if let Err(why) = survey_schema(session, server, (&schema, &without), end, interrupt, &mut found)? {
            found.cut_short = Some(why);
            break;
        }
    }
    Ok(found)
}

/// InnoDB's tables that have no tablespace, which MariaDB opens for its lists without a word. MySQL warns of them.
fn without_tablespace(
    session: &mut Session,
    server: &Server,
    interrupt: &Interrupt,
) -> Result<BTreeSet<(String, String)>> {
    let mut ask = |sql: &str| -> Result<Vec<Columns>> {
        // Who may not ask finds them when the copy is checked.
        Ok(session.attempt(sql, interrupt, None)?.unwrap_or_default())
    };
    if server.flavour != Flavour::MariaDb {
        return Ok(BTreeSet::new());
    }
    let spaces: BTreeSet<String> = ask("SELECT SPACE AS number FROM information_schema.INNODB_SYS_TABLESPACES")?
        .iter()
        .map(|row| column(row, "number"))
        .collect();
    let tables = ask(
        "SELECT CONVERT(CAST(SUBSTRING_INDEX(NAME, '/', 1) AS BINARY) USING filename) AS db, \
         CONVERT(CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(NAME, '#', 1), '/', -1) AS BINARY) USING filename) AS name, SPACE AS number \
         FROM information_schema.INNODB_SYS_TABLES WHERE SPACE <> 0",
    )?;
    Ok(tables
        .iter()
        .filter(|row| !spaces.contains(&column(row, "number")))
        .map(|row| (column(row, "db"), column(row, "name")))
        .collect())
}

fn survey_schema(
    session: &mut Session,
    server: &Server,
    (schema, without): (&str, &BTreeSet<(String, String)>),
    end: Instant,
    interrupt: &Interrupt,
    found: &mut Survey,
) -> Result<Result<(), String>> {
    // TABLE_ROWS makes the server open a table.
    let sql = format!(
        "SELECT TABLE_NAME AS name, ENGINE AS engine, TABLE_ROWS AS number, TABLE_COMMENT AS comment \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW')",
        schema.replace('\\', "\\\\").replace('\'', "''")
    );
    let left = end.saturating_duration_since(Instant::now());
    let tables = match session.attempt(&bounded(server, &sql, left), interrupt, None)? {
        Ok(tables) => tables,
        Err(mysql::Error::MySqlError(error)) => return Ok(Err(error.message)),
        Err(error) => return Err(anyhow!(error).into()),
    };
    let warnings: Vec<String> = session
        .rows("SHOW WARNINGS")?
        .iter()
        .map(|row| column(row, "Message"))
        .collect();
    for table in tables {
        let (name, comment) = (column(&table, "name"), column(&table, "comment"));
        let item = Item {
            kind: Kind::Table,
            schema: schema.to_owned(),
            name,
            of_type: String::new(),
            engine: table.get("engine").cloned().flatten(),
            broken: None,
            elsewhere: None,
        };
        let merges = item
            .engine
            .as_deref()
            .is_some_and(|engine| engine.eq_ignore_ascii_case("MRG_MYISAM"));
        let suspected = merges
            || item.engine.is_none()
            || without.contains(&(item.schema.clone(), item.name.clone()))
            || warnings
                .iter()
                .any(|warning| *warning == comment || item.is_named_in(warning));
        if !suspected {
            continue;
        }
        if Instant::now() >= end {
            return Ok(Err("opening tables took too long".to_owned()));
        }
        let sql = format!("SELECT 1 FROM {}.{} LIMIT 1", quote(schema), quote(&item.name));
        match session.attempt(&bounded(server, &sql, ONE), interrupt, None)? {
            Ok(_) => {}
            Err(mysql::Error::MySqlError(error)) if NOT_OF_THE_TABLE.contains(&error.code) => {}
            Err(mysql::Error::MySqlError(error)) => {
                found.broken.insert((item.schema, item.name), error.message);
            }
            Err(error) => return Err(anyhow!(error).into()),
        }
    }
    Ok(Ok(()))
}

/// Lists what a server has. The statements open no table, so that they are quick enough for a server that is held still for them (with
/// 20,000 tables 0.2 to 0.3 s), and end by themselves before the deadline does. An answer of the server's that is none is the inner error.
pub(crate) fn list(
    session: &mut Session,
    server: &Server,
    deadline: Option<Deadline>,
    interrupt: &Interrupt,
) -> Result<Result<Inventory, String>> {
    let mut items = Vec::new();
    let end = deadline.map(|deadline| {
        let left = deadline.at.saturating_duration_since(Instant::now());
        Instant::now() + left / 2
    });
    for (kind, sql) in statements(server.flavour) {
        let sql = match end {
            Some(end) => bounded(server, &sql, end.saturating_duration_since(Instant::now())),
            None => sql,
        };
        match session.attempt(&sql, interrupt, deadline)? {
            Ok(rows) => items.extend(rows.iter().map(|row| item(kind, row))),
            Err(mysql::Error::MySqlError(error)) => return Ok(Err(format!("{} ({})", error.message, error.code))),
            Err(error) => {
                return Err(
                    Error::from(anyhow!(error)).of_kind(deadline.map_or(error::Kind::Failed, |deadline| deadline.kind))
                );
            }
        }
    }
    if server.flavour == Flavour::MariaDb {
        let overlooked = session.attempt("SELECT @@GLOBAL.ignore_db_dirs AS value", interrupt, deadline)?;
        let overlooked = overlooked.ok().and_then(|rows| scalar(&rows)).unwrap_or_default();
        for schema in overlooked.split(',').filter(|name| !name.is_empty()) {
            items.push(Item {
                of_type: "IGNORED".to_owned(),
                ..item(
                    Kind::Schema,
                    &Columns::from([("db".to_owned(), Some(schema.to_owned()))]),
                )
            });
        }
    }
    let complete = sees_everything(session, interrupt, deadline)?;
    items.sort_by(|one, other| one.key().cmp(&other.key()));
    items.dedup_by(|one, other| one.key() == other.key());
    Ok(Ok(Inventory { items, complete }))
}

/// What is asked, and what the rows of its answer are.
fn statements(flavour: Flavour) -> [(Kind, String); 5] {
    let (routines, events) = match flavour {
        // Its views would open every routine, and have nothing to say where the scheduler is off.
        Flavour::MariaDb => (
            "SELECT db, name, type AS of_type FROM mysql.proc",
            "SELECT db, name FROM mysql.event",
        ),
        Flavour::MySql => (
            "SELECT ROUTINE_SCHEMA AS db, ROUTINE_NAME AS name, ROUTINE_TYPE AS of_type FROM information_schema.ROUTINES",
            "SELECT EVENT_SCHEMA AS db, EVENT_NAME AS name FROM information_schema.EVENTS",
        ),
    };
    [
        (
            Kind::Schema,
            format!(
                "SELECT SCHEMA_NAME AS db, DEFAULT_COLLATION_NAME AS of_type FROM information_schema.SCHEMATA \
                 WHERE SCHEMA_NAME NOT IN ({MADE_UP})"
            ),
        ),
        (
            Kind::Table,
            format!(
                "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, ENGINE AS engine, TABLE_TYPE AS of_type \
                 FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ({MADE_UP})"
            ),
        ),
        (
            Kind::Trigger,
            format!(
                "SELECT TRIGGER_SCHEMA AS db, TRIGGER_NAME AS name FROM information_schema.TRIGGERS \
                 WHERE TRIGGER_SCHEMA NOT IN ({MADE_UP})"
            ),
        ),
        (Kind::Routine, routines.to_owned()),
        (Kind::Event, events.to_owned()),
    ]
}

fn item(kind: Kind, row: &Columns) -> Item {
    Item {
        kind,
        schema: column(row, "db"),
        name: column(row, "name"),
        of_type: column(row, "of_type"),
        engine: row.get("engine").cloned().flatten(),
        broken: None,
        elsewhere: None,
    }
}

/// Whether this account may see all there is. Of what it may not see a server says nothing.
fn sees_everything(session: &mut Session, interrupt: &Interrupt, deadline: Option<Deadline>) -> Result<bool> {
    const SQL: &str = "SELECT COUNT(DISTINCT PRIVILEGE_TYPE) AS value FROM information_schema.USER_PRIVILEGES \
                       WHERE GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') \
                       AND PRIVILEGE_TYPE IN ('SELECT', 'TRIGGER', 'EVENT')";
    let rows = session.attempt(SQL, interrupt, deadline)?;
    Ok(rows.ok().and_then(|rows| scalar(&rows)).as_deref() == Some("3"))
}

/// A SELECT that the server itself ends after so long, which leaves the session, and what it has locked, as they are.
fn bounded(server: &Server, sql: &str, limit: Duration) -> String {
    let limit = limit.max(Duration::from_millis(10));
    match server.flavour {
        Flavour::MariaDb => format!(
            "SET STATEMENT max_statement_time = {:.3} FOR {sql}",
            limit.as_secs_f64()
        ),
        Flavour::MySql => sql.replacen(
            "SELECT",
            &format!("SELECT /*+ MAX_EXECUTION_TIME({}) */", limit.as_millis()),
            1,
        ),
    }
}

fn column(row: &Columns, name: &str) -> String {
    row.get(name).cloned().flatten().unwrap_or_default()
}
