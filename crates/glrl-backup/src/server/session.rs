//! A session with a server, over its unix socket. Every statement can have a deadline, kept by a second connection that kills it:
//! the server's own timeouts do not bound every wait, and a signal must end one too.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use mysql::{Conn, DriverError, OptsBuilder, Row, Value, prelude::Queryable};

use crate::{
    model::{
        error::{Error, Kind, OfKind, Result},
        interrupt::Interrupt,
    },
    settings::{ServerSettings, login_file},
};

/// Columns of a row by name, as text; `None` is NULL.
pub(crate) type Columns = BTreeMap<String, Option<String>>;

/// Where servers of Debian and Ubuntu listen.
const SOCKET: &str = "/run/mysqld/mysqld.sock";

/// Seconds that a session may have nothing to say. Some servers drop one after ten; looking for links in a large volume, and writing it out,
/// takes longer, and the guard may never be needed.
const IDLE: u32 = 86_400;

/// The server does not know such a statement: another version's name for it may do.
const ER_PARSE_ERROR: u16 = 1064;
/// `lock_wait_timeout` has run out.
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;

/// A session and its guard.
pub(crate) struct Session {
    conn: Conn,
    guard: Guard,
}

/// Until when a statement may take.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// What an overrun is.
    pub(crate) kind: Kind,
}

/// Why a statement was cut short.
enum Cut {
    Interrupted,
    Late { running: Vec<String> },
}

/// Who ends a statement that takes too long: a thread that is there before the statement is, as some are run while writers wait, and nobody
/// shall wait for a thread to be made, or to end, then.
struct Guard {
    conn: Arc<Mutex<Conn>>,
    watch: Arc<(Mutex<Watch>, Condvar)>,
}

/// What the guard is to do.
enum Watch {
    Nothing,
    Statement {
        id: u32,
        interrupt: Interrupt,
        deadline: Option<Deadline>,
    },
    /// It is ending the statement.
    Cutting,
    Done(Cut),
    /// The session is gone.
    Over,
}

impl Guard {
    fn start(conn: Conn) -> Result<Self> {
        let guard = Self {
            conn: Arc::new(Mutex::new(conn)),
            watch: Arc::new((Mutex::new(Watch::Nothing), Condvar::new())),
        };
        let (conn, watch) = (Arc::clone(&guard.conn), Arc::clone(&guard.watch));
        std::thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || keep_watch(&conn, &watch))
            .context("starting the guard of a session")?;
        Ok(guard)
    }

    fn conn(&self) -> MutexGuard<'_, Conn> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, what: Watch) {
        *self.watch.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.watch.1.notify_all();
    }

    /// Ends the watch. Whether the statement was cut: what is being done is done then.
    fn end(&self) -> Option<Cut> {
        let watch = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cutting = |watch: &mut Watch| matches!(watch, Watch::Cutting);
        let mut watch = self
            .watch
            .1
            .wait_while(watch, cutting)
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *watch, Watch::Nothing) {
            Watch::Done(cut) => Some(cut),
            _ => None,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.set(Watch::Over);
    }
}

fn keep_watch(conn: &Mutex<Conn>, (watch, changed): &(Mutex<Watch>, Condvar)) {
    const LOOK: Duration = Duration::from_millis(20);
    let mut now = watch.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (id, interrupted, left) = match &*now {
            Watch::Over => return,
            Watch::Statement {
                id,
                interrupt,
                deadline,
            } => (
                *id,
                interrupt.check().is_err(),
                deadline.map_or(LOOK, |deadline| deadline.at.saturating_duration_since(Instant::now())),
            ),
            Watch::Nothing | Watch::Cutting | Watch::Done(_) => {
                now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
        };
        if !interrupted && !left.is_zero() {
            now = changed
                .wait_timeout(now, left.min(LOOK))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            continue;
        }
        *now = Watch::Cutting;
        drop(now);
        let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = if interrupted {
            Cut::Interrupted
        } else {
            Cut::Late {
                running: running(&mut conn, &[id]),
            }
        };
        kill(&mut conn, id);
        drop(conn);
        now = watch.lock().unwrap_or_else(PoisonError::into_inner);
        // The session waits for it.
        *now = Watch::Done(cut);
        changed.notify_all();
    }
}

impl Session {
    /// Logs in as the settings say.
    pub(crate) fn open(settings: &ServerSettings) -> Result<Self> {
        let file = login(settings)?;
        let socket = Self::socket_of(settings)?;
        let user = settings.user.clone().or(file.user).unwrap_or_else(|| "root".to_owned());
        // Whatever it is asked in a backup, a server that is well has answered by then.
        let patience = Some(Duration::from_mins(2));
        Self::connect(&socket, &user, file.password.as_deref(), patience)
    }

    /// Where the server of these settings listens.
    pub(crate) fn socket_of(settings: &ServerSettings) -> Result<String> {
        let named = settings.socket.as_ref().map(|path| path.as_str().to_owned());
        Ok(match named {
            Some(socket) => socket,
            None => login(settings)?.socket.unwrap_or_else(|| SOCKET.to_owned()),
        })
    }

    /// Logs in over this socket. A statement that is not answered within `patience` fails; without it, there is no limit.
    pub(crate) fn connect(
        socket: &str,
        user: &str,
        password: Option<&str>,
        patience: Option<Duration>,
    ) -> Result<Self> {
        let options = || {
            OptsBuilder::new()
                .socket(Some(socket))
                .user(Some(user))
                .pass(password)
                .prefer_socket(false)
                .init(vec![format!("SET SESSION wait_timeout = {IDLE}")])
                .write_timeout(Some(Duration::from_secs(30)))
        };
        let log_in = |options| {
            let doing = || format!("logging in to the server at {socket} as {user}");
            Conn::new(options).map_err(unable).with_context(doing)
        };
        Ok(Self {
            conn: log_in(options().read_timeout(patience))?,
            // What the guard asks is answered at once, or the server is in no state to be asked.
            guard: Guard::start(log_in(options().read_timeout(Some(Duration::from_secs(10))))?)?,
        })
    }

    /// Runs a statement that answers at once.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Columns>> {
        Ok(query(&mut self.conn, sql).with_context(|| said(sql))?)
    }

    /// Runs the first of the statements that this server understands: versions name one thing differently.
    pub(crate) fn first_understood(
        &mut self,
        names: &[&str],
        interrupt: &Interrupt,
        deadline: Deadline,
    ) -> Result<Vec<Columns>> {
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        for sql in others {
            match self.attempt(sql, interrupt, Some(deadline))? {
                Ok(rows) => return Ok(rows),
                Err(mysql::Error::MySqlError(error)) if error.code == ER_PARSE_ERROR => {}
                Err(error) => return Err(anyhow!(error).context(said(sql)).into()),
            }
        }
        self.within(last, interrupt, Some(deadline))
    }

    /// Runs a statement until the deadline, or until a signal.
    pub(crate) fn within(
        &mut self,
        sql: &str,
        interrupt: &Interrupt,
        deadline: Option<Deadline>,
    ) -> Result<Vec<Columns>> {
        match (self.attempt(sql, interrupt, deadline)?, deadline) {
            (Ok(rows), _) => Ok(rows),
            (Err(mysql::Error::MySqlError(error)), Some(deadline)) if error.code == ER_LOCK_WAIT_TIMEOUT => {
                let running = running(&mut self.guard.conn(), &[self.conn.connection_id()]);
                Err(late(sql, deadline.kind, &running))
            }
            (Err(error), _) => Err(anyhow!(error).context(said(sql)).into()),
        }
    }

    /// As `within`, the server's refusal being an answer. After an overrun the session is of no use any more, and is to be dropped:
    /// some waits of MySQL last until the connection is closed, whatever is killed.
    pub(crate) fn attempt(
        &mut self,
        sql: &str,
        interrupt: &Interrupt,
        deadline: Option<Deadline>,
    ) -> Result<mysql::Result<Vec<Columns>>> {
        interrupt.check()?;
        self.guard.set(Watch::Statement {
            id: self.conn.connection_id(),
            interrupt: interrupt.clone(),
            deadline,
        });
        let result = query(&mut self.conn, sql);
        let cut = self.guard.end();
        match (cut, deadline) {
            (None, _) => Ok(result),
            (Some(Cut::Interrupted), _) | (Some(Cut::Late { .. }), None) => {
                Err(Error::new(Kind::Interrupted, "ended by a signal"))
            }
            (Some(Cut::Late { running }), Some(deadline)) => Err(late(sql, deadline.kind, &running)),
        }
    }

    /// The statements that have been running for so long, those of this session left out, and a replica's own: their time is how far it
    /// is behind, and goes on while it has nothing to do (`Query`, `Replica has read all relay log`; seen with MySQL 8.0 and 9.7).
    pub(crate) fn running_longer_than(&mut self, time: Duration) -> Result<Vec<String>> {
        let mut guard = self.guard.conn();
        let own = [self.conn.connection_id(), guard.connection_id()];
        let mut rows = query(&mut guard, "SHOW FULL PROCESSLIST").context("asking what is running")?;
        rows.retain(|row| row.get("User").and_then(Option::as_deref) != Some("system user"));
        Ok(statements(&rows, &own, time))
    }
}

/// A name as SQL writes it.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The one value of a statement that asks for `value`.
pub(crate) fn scalar(rows: &[Columns]) -> Option<String> {
    rows.first()?.get("value")?.clone()
}

fn login(settings: &ServerSettings) -> Result<login_file::Login> {
    match &settings.option_file {
        Some(path) => login_file::read(path).of_kind(Kind::Settings),
        None => Ok(login_file::Login::default()),
    }
}

/// Why nobody can log in, and what to do.
fn unable(error: mysql::Error) -> anyhow::Error {
    match error {
        mysql::Error::DriverError(DriverError::CouldNotConnect(Some((_, why, _)))) => {
            anyhow!("{why}: is the server up, and is that its socket (server.socket)?")
        }
        mysql::Error::MySqlError(error) => anyhow!(
            "{} ({}): who it is is server.user, and a password is in server.option_file",
            error.message,
            error.code
        ),
        error => error.into(),
    }
}

fn query(conn: &mut Conn, sql: &str) -> mysql::Result<Vec<Columns>> {
    conn.query_map(sql, |row: Row| {
        let names: Vec<String> = row
            .columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        names.into_iter().zip(row.unwrap().into_iter().map(text)).collect()
    })
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

/// Ends the statement, then the connection: KILL QUERY alone does not end every wait of MySQL.
fn kill(guard: &mut Conn, id: u32) {
    let _ = guard.query_drop(format!("KILL QUERY {id}"));
    std::thread::sleep(Duration::from_millis(100));
    let _ = guard.query_drop(format!("KILL {id}"));
}

fn said(sql: &str) -> String {
    format!("the server's answer to {sql}")
}

fn late(sql: &str, kind: Kind, running: &[String]) -> Error {
    let running = if running.is_empty() {
        "nothing else is running".to_owned()
    } else {
        format!("running meanwhile: {}", running.join("; "))
    };
    Error::new(kind, format!("{sql} was not done in time and was given up; {running}"))
}

/// What else is running, the longest first.
fn running(guard: &mut Conn, own: &[u32]) -> Vec<String> {
    let own: Vec<u32> = own.iter().copied().chain([guard.connection_id()]).collect();
    match query(guard, "SHOW FULL PROCESSLIST") {
        Ok(rows) => statements(&rows, &own, Duration::ZERO),
        Err(_) => Vec::new(),
    }
}

/// Statements named by what finds them: never by their text, which holds the users' data.
fn statements(rows: &[Columns], own: &[u32], at_least: Duration) -> Vec<String> {
    const SHOWN: usize = 3;
    let column = |row: &Columns, name: &str| row.get(name).cloned().flatten().unwrap_or_default();
    let mut found: Vec<(u64, String)> = rows
        .iter()
        .filter(|row| matches!(column(row, "Command").as_str(), "Query" | "Execute"))
        .filter(|row| !own.iter().any(|id| column(row, "Id") == id.to_string()))
        .filter_map(|row| {
            let seconds: u64 = column(row, "Time").parse().ok()?;
            let info = column(row, "Info");
            let verb = info.split_whitespace().next().unwrap_or("a statement").to_uppercase();
            (seconds >= at_least.as_secs()).then(|| {
                let (id, user, state) = (column(row, "Id"), column(row, "User"), column(row, "State"));
                (
                    seconds,
                    format!("connection {id} of {user}, {verb} for {seconds} s ({state})"),
                )
            })
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().take(SHOWN).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_asked_after() {
        let error = Session::connect("/nowhere/mysqld.sock", "root", None, None)
            .err()
            .unwrap();
        let said = format!("{error:#}");
        assert!(
            said.contains("/nowhere/mysqld.sock as root") && said.ends_with("is that its socket (server.socket)?"),
            "{said}"
        );
    }
}
