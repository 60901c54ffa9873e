//! What belongs to whoever ran a statement: a role to administer (MariaDB), an event that was altered. A replay runs the statement as somebody
//! else, and gives it back here to whom the binary log names.

use anyhow::Result as Anyhow;

use crate::{
    model::{error::Result, server::Flavour},
    restore::plan::Plan,
    server::session::{Columns, Session, quote},
    store::binlog::{
        event::FIRST,
        invoker::{Invoker, invoked, words},
    },
};

/// What a replay has made its own.
#[derive(Debug)]
enum Own {
    /// A role, by its name.
    Role(String),
    /// An event: its schema, its name, its comment.
    Event(String, String, String),
}

impl Own {
    /// Whether a statement with these words made it the own of whoever ran it.
    fn is_of(&self, words: &[String]) -> bool {
        let verb = |at: usize, word: &str| words.get(at).is_some_and(|said| said.eq_ignore_ascii_case(word));
        let named = |name: &str| words.iter().any(|word| word == name);
        match self {
            Self::Role(role) => {
                verb(0, "CREATE") && words.iter().take(4).any(|word| word.eq_ignore_ascii_case("ROLE")) && named(role)
            }
            Self::Event(_, event, _) => verb(0, "ALTER") && named(event),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Role(role) => format!("the role {role}"),
            Self::Event(schema, event, _) => format!("the event {schema}.{event}"),
        }
    }

    /// The statement that gives it to an account.
    fn handed_to(&self, invoker: &Invoker) -> String {
        let account = format!("{}@{}", quote(&invoker.user), quote(&invoker.host));
        match self {
            Self::Role(role) => format!("GRANT {} TO {account} WITH ADMIN OPTION", quote(role)),
            Self::Event(schema, event, comment) => format!(
                "ALTER DEFINER = {account} EVENT {}.{} COMMENT '{}'",
                quote(schema),
                quote(event),
                comment.replace('\\', "\\\\").replace('\'', "''")
            ),
        }
    }
}

/// Gives all that the replay, as `account` on MariaDB, has made its own to whom the logs name. Returns what nobody can be found for.
pub(crate) fn hand_over(session: &mut Session, flavour: Flavour, account: &str, plan: &Plan) -> Result<Vec<String>> {
    session.rows("SET SESSION sql_log_bin = 0")?;
    let mut own = Vec::new();
    // Without accounts MySQL has names of its own for whoever is logged in.
    let definer = match flavour {
        Flavour::MariaDb => format!("{account}@localhost"),
        Flavour::MySql => "skip-grants user@skip-grants host".to_owned(),
    };
    let column = |row: &Columns, name: &str| row.get(name).cloned().flatten().unwrap_or_default();
    if flavour == Flavour::MariaDb {
        let sql =
            format!("SELECT Role AS name FROM mysql.roles_mapping WHERE User = '{account}' AND Admin_option = 'Y'");
        own.extend(session.rows(&sql)?.iter().map(|row| Own::Role(column(row, "name"))));
    }
    let sql = format!(
        "SELECT EVENT_SCHEMA AS db, EVENT_NAME AS name, EVENT_COMMENT AS comment FROM information_schema.EVENTS WHERE DEFINER = '{definer}'"
    );
    own.extend(
        session
            .rows(&sql)?
            .iter()
            .map(|row| Own::Event(column(row, "db"), column(row, "name"), column(row, "comment"))),
    );
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let mut left = Vec::new();
    for (own, invoker) in owners(own, plan)? {
        // An account that is gone had lost it.
        let given = invoker.map(|invoker| session.rows(&own.handed_to(&invoker)));
        match given {
            Some(Ok(_)) => {}
            Some(Err(error)) => left.push(format!("{}: {error:#}", own.shown())),
            None => left.push(format!("{}: the binary log does not name who ran it", own.shown())),
        }
    }
    Ok(left)
}

/// Whom each of these belongs to: the last who ran a statement that made it theirs.
fn owners(own: Vec<Own>, plan: &Plan) -> Anyhow<Vec<(Own, Option<Invoker>)>> {
    let mut owners: Vec<_> = own.into_iter().map(|own| (own, None)).collect();
    for (index, log) in plan.logs.iter().enumerate() {
        let from = if index == 0 { plan.start } else { FIRST };
        let to = plan.stop.filter(|_| index + 1 == plan.logs.len());
        invoked(log, from, to, |invoker, sql| {
            let words = words(sql);
            for (own, owner) in &mut owners {
                if own.is_of(&words) {
                    *owner = Some(invoker.clone());
                }
            }
        })?;
    }
    Ok(owners)
}
