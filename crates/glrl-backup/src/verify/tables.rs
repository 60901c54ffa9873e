//! Reading everything there is: every index by CHECK TABLE, every row by CHECKSUM TABLE.
//!
//! mysqlcheck is of no use for it: it ends with 0 whatever it finds.

use std::collections::BTreeMap;

use glrl_node::value::text::count;

use crate::{
    model::{
        error::{Kind, Result},
        interrupt::Interrupt,
        inventory::{Inventory, Item, differ::differ, few},
        server::Server,
        verdict::{Check, Grade},
    },
    scratch::{lacks::Lacks, options::ELSEWHERE, server::ScratchServer},
    server::{
        session::{Session, quote, scalar},
        survey,
    },
    verify::{check_table::last_is_ok, old_format},
};

/// Where a server with `log_output=TABLE` writes its logs. It has them open under the lock too, so that they are as after a crash, and
/// repairs them when it opens them again.
const LOGS: [&str; 2] = ["mysql.general_log", "mysql.slow_log"];

/// What is wrong with tables: each by its name, and what was said of it.
#[derive(Default)]
pub(crate) struct Findings(Vec<(String, String)>);

impl Findings {
    pub(crate) fn add(&mut self, table: &str, said: &str) {
        self.0.push((table.to_owned(), said.to_owned()));
    }

    /// What comes of it: what is about what the server lacks says nothing about the data.
    pub(crate) fn check(&self, name: &str, good: String, lacks: &Lacks) -> Check {
        let few = |texts: &[String]| {
            let more = texts.len().saturating_sub(5);
            let shown = texts.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
            if more > 0 {
                format!("{shown}; {more} more")
            } else {
                shown
            }
        };
        let (mut corrupt, mut unreadable, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
        for (table, said) in &self.0 {
            let list = match lacks.excuse(table, said) {
                true if is_elsewhere(said) => &mut elsewhere,
                true => &mut unreadable,
                false => &mut corrupt,
            };
            list.push(format!("{table}: {said}"));
        }
        let good = match elsewhere.len() {
            0 => good,
            number => format!("{good}; the rows of {number} more are elsewhere: {}", few(&elsewhere)),
        };
        match (corrupt.is_empty(), unreadable.is_empty()) {
            (true, true) => Check::ok(name, good),
            (false, _) => Check::failed(name, Grade::Corrupt, few(&corrupt)),
            (true, false) => Check::failed(
                name,
                Grade::Unverified,
                format!("{} cannot be read here: {}; {good}", unreadable.len(), few(&unreadable)),
            ),
        }
    }

    fn why(&self, table: &str, lacks: &Lacks) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(name, said)| name == table && lacks.excuse(name, said));
        found.map(|(_, said)| said.as_str())
    }
}

/// Whether a table is of an engine that has its rows in another server or service.
fn is_elsewhere(said: &str) -> bool {
    ELSEWHERE.iter().any(|engine| said.contains(&format!("'{engine}'")))
}

/// Checks every base table of the server on a copy; those that are `wanted` must be there, and have rows. What the server that was backed up
/// (`original`) had is the measure of what its copy has, and of what is wrong with both.
pub(crate) fn check(
    session: &mut Session,
    server: &mut ScratchServer,
    (original, inventory): (&Server, Option<&Inventory>),
    wanted: &[String],
    interrupt: &Interrupt,
) -> Result<Vec<Check>> {
    // What is read here must not become a part of the data.
    session.rows("SET SESSION sql_log_bin = 0")?;
    let mut checks = vec![compare(session, original, inventory, interrupt)?];
    let tables = session.within(
        "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.TABLES \
         WHERE TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW') \
         AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') ORDER BY 1, 2",
        interrupt,
        None,
    )?;
    let known = inventory.map(Inventory::tables).unwrap_or_default();
    let mut found = Found::default();
    let mut counted = BTreeMap::new();
    let mut remote = 0;
    for table in &tables {
        let column = |name: &str| table.get(name).cloned().flatten().unwrap_or_default();
        let (schema, name) = (column("db"), column("name"));
        let shown = format!("{schema}.{name}");
        let quoted = format!("{}.{}", quote(&schema), quote(&name));
        let item = known.get(&(&*schema, &*name)).copied();
        if item.is_some_and(Item::is_remote) {
            remote += 1;
            continue;
        }
        let Some(checksum) = read(session, &shown, &quoted, item, &mut found, interrupt)? else {
            if found.gone {
                break;
            }
            continue;
        };
        if wanted.contains(&shown) {
            let count = session.within(&format!("SELECT COUNT(*) AS value FROM {quoted}"), interrupt, None)?;
            counted.insert(shown, (scalar(&count).unwrap_or_default(), checksum));
        }
    }
    server.ask(session);
    let lacks = server.lacks();
    let number = |findings: &Findings| count((tables.len() - remote).saturating_sub(findings.0.len()), "table");
    checks.push(found.indexes.check(
        "check table",
        format!("{}, every last row is OK", number(&found.indexes)),
        lacks,
    ));
    checks.push(found.rows.check(
        "rows",
        format!(
            "{}, every row was read",
            number(&Findings([&*found.indexes.0, &*found.rows.0].concat()))
        ),
        lacks,
    ));
    if !found.broken.is_empty() {
        let text = few(&found.broken, Clone::clone);
        let number = count(found.broken.len(), "table");
        checks.push(Check::warning(
            "broken tables",
            format!("{number}, broken on the server itself: {text}"),
        ));
    }
    if !found.old.is_empty() {
        let text = few(&found.old, Clone::clone);
        let number = count(found.old.len(), "table");
        checks.push(Check::warning(
            "older format",
            format!("{number} of an older release, on the server too: {text}"),
        ));
    }
    let elsewhere: Vec<&Item> = inventory.iter().flat_map(|inventory| inventory.elsewhere()).collect();
    if !elsewhere.is_empty() {
        let text = few(&elsewhere, |item| {
            let why = item.elsewhere.as_deref().unwrap_or_default();
            format!(
                "{} ({}: {why})",
                item.shown(),
                item.engine.as_deref().unwrap_or_default()
            )
        });
        checks.push(Check::warning("not included", text));
    }
    if !wanted.is_empty() {
        let unreadable = |table: &str| found.indexes.why(table, lacks).or_else(|| found.rows.why(table, lacks));
        checks.push(have_rows(wanted, &counted, &unreadable));
    }
    Ok(checks)
}

/// What was found in reading tables.
#[derive(Default)]
struct Found {
    indexes: Findings,
    rows: Findings,
    /// What the server that was backed up cannot open either.
    broken: Vec<String>,
    /// What a server wants to have rebuilt.
    old: Vec<String>,
    /// The server has died of it: there is nobody left to ask about the others.
    gone: bool,
}

/// Compares what the server had with what its copy has.
fn compare(
    session: &mut Session,
    server: &Server,
    inventory: Option<&Inventory>,
    interrupt: &Interrupt,
) -> Result<Check> {
    const NAME: &str = "inventory";
    let Some(inventory) = inventory else {
        let why = "what the server had is not recorded: the backup is of an older release, or the server did not say";
        return Ok(Check::warning(NAME, why));
    };
    let copy = match survey::list(session, server, None, interrupt)? {
        Ok(copy) => copy,
        Err(said) => {
            return Ok(Check::failed(
                NAME,
                Grade::Corrupt,
                format!("the copy does not list what it has: {said}"),
            ));
        }
    };
    let different = differ(inventory, &copy.items, server.variable("collation_server"));
    if !different.is_empty() {
        return Ok(Check::failed(NAME, Grade::Corrupt, few(&different, Clone::clone)));
    }
    let number = inventory.items.len();
    Ok(if inventory.complete {
        Check::ok(
            NAME,
            format!("all {number} schemas, tables, triggers, routines and events are there"),
        )
    } else {
        Check::warning(
            NAME,
            format!(
                "{number} schemas, tables, triggers, routines and events are there; the account that asked may not see all"
            ),
        )
    })
}

/// Reads a table's indexes and rows. Returns its checksum; `None` where something is wrong, which is in `found` then.
fn read(
    session: &mut Session,
    shown: &str,
    quoted: &str,
    item: Option<&Item>,
    found: &mut Found,
    interrupt: &Interrupt,
) -> Result<Option<String>> {
    let mut said = session.within(&format!("CHECK TABLE {quoted}"), interrupt, None);
    if matches!(&said, Ok(rows) if last_is_ok(rows).is_err()) && LOGS.contains(&shown) {
        said = session.within(&format!("REPAIR TABLE {quoted}"), interrupt, None);
    }
    let mut old = None;
    match said {
        Ok(said) => match last_is_ok(&said) {
            Ok(()) => {}
            Err(said) if old_format::is_said(&said) => old = Some(said),
            Err(said) => {
                match item.and_then(|item| item.broken.as_deref()) {
                    Some(words) => found.broken.push(format!("{shown}: {words}")),
                    None => found.indexes.add(shown, &said),
                }
                return Ok(None);
            }
        },
        Err(error) if error.kind == Kind::Interrupted => return Err(error),
        Err(error) => {
            found.indexes.add(shown, &format!("{error:#}"));
            found.gone = true;
            return Ok(None);
        }
    }
    // CHECK TABLE walks the indexes of InnoDB and does not follow the columns that are stored outside of them; and the number of
    // rows is read from the smallest index. CHECKSUM TABLE … EXTENDED has to read every column of every row, whatever the engine.
    let checksum = match session.within(&format!("CHECKSUM TABLE {quoted} EXTENDED"), interrupt, None) {
        Ok(said) => said.first().and_then(|row| row.get("Checksum")).cloned().flatten(),
        Err(error) if error.kind == Kind::Interrupted => return Err(error),
        Err(error) => {
            found.rows.add(shown, &format!("{error:#}"));
            found.gone = true;
            return Ok(None);
        }
    };
    let Some(checksum) = checksum else {
        let warnings = session.rows("SHOW WARNINGS")?;
        let text = warnings.first().and_then(|row| row.get("Message")).cloned().flatten();
        found
            .rows
            .add(shown, &text.unwrap_or_else(|| "its rows cannot be read".to_owned()));
        return Ok(None);
    };
    if let Some(said) = old {
        match old_format::check(session, quoted, interrupt)? {
            Ok(()) => found.old.push(format!("{shown}: {said}")),
            Err(wrong) => {
                found.indexes.add(shown, &wrong);
                return Ok(None);
            }
        }
    }
    Ok(Some(checksum))
}

/// Whether the tables that are asked for are there and have rows; `counted`: the number of each, and its checksum; `unreadable`: why one
/// cannot be read here.
fn have_rows<'a>(
    wanted: &[String],
    counted: &BTreeMap<String, (String, String)>,
    unreadable: &dyn Fn(&str) -> Option<&'a str>,
) -> Check {
    let (mut missing, mut unread, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for table in wanted {
        match counted.get(table) {
            None => match unreadable(table) {
                Some(why) => unread.push(format!("{table} cannot be read here: {why}")),
                None => missing.push(format!("{table} is not there, or could not be read")),
            },
            Some((count, _)) if count == "0" => missing.push(format!("{table} has no rows")),
            Some((count, checksum)) => found.push(format!("{table} has {count} rows, checksum {checksum}")),
        }
    }
    match (missing.is_empty(), unread.is_empty()) {
        (true, true) => Check::ok("tables", found.join("; ")),
        (false, _) => Check::failed("tables", Grade::Corrupt, missing.join("; ")),
        (true, false) => Check::failed("tables", Grade::Unverified, unread.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_called_encrypted_can_be_corrupt() {
        for (table, said, word) in [
            ("shop.t", "error Table 't' is encrypted", Grade::Unverified),
            (
                "keyring.encrypted",
                "error Unknown storage engine 'ROCKSDB'",
                Grade::Unverified,
            ),
            (
                "keyring.encrypted_t",
                "the server's answer to CHECK TABLE `keyring`.`encrypted_t`: connection lost",
                Grade::Corrupt,
            ),
            (
                "shop/decrypted.ibd",
                "innochecksum shop/decrypted.ibd failed: Fail",
                Grade::Corrupt,
            ),
        ] {
            let mut findings = Findings::default();
            findings.add(table, said);
            assert_eq!(
                findings.check("rows", String::new(), &Lacks::default()).word,
                word,
                "{said}"
            );
        }
    }
}
