//! Reading everything there is: every index by CHECK TABLE, every row by CHECKSUM TABLE.
//!
//! mysqlcheck is of no use for it: it ends with 0 whatever it finds.

use std::collections::BTreeMap;

use super::{
    lacks::Lacks,
    scratch_server::ScratchServer,
    verdict::{Check, Word},
};
use crate::backup::{
    error::{Kind, Result},
    interrupt::Interrupt,
    options::ELSEWHERE,
    server::scalar,
    session::{Columns, Session},
};

/// Where a server with `log_output=TABLE` writes its logs. It has them open under the lock too, so that they are as after a crash, and
/// repairs them when it opens them again.
const LOGS: [&str; 2] = ["mysql.general_log", "mysql.slow_log"];

/// What is wrong with tables: each by its name, and what was said of it.
#[derive(Default)]
pub(super) struct Findings(Vec<(String, String)>);

impl Findings {
    pub(super) fn add(&mut self, table: &str, said: &str) {
        self.0.push((table.to_owned(), said.to_owned()));
    }

    /// What comes of it: what is about what the server lacks says nothing about the data.
    pub(super) fn check(&self, name: &str, good: String, lacks: &Lacks) -> Check {
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
            (false, _) => Check::failed(name, Word::Corrupt, few(&corrupt)),
            (true, false) => Check::failed(
                name,
                Word::Unverified,
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

/// Checks every base table of the server; those that are `wanted` must be there, and have rows.
pub(super) fn check(
    session: &mut Session,
    server: &mut ScratchServer,
    wanted: &[String],
    interrupt: &Interrupt,
) -> Result<Vec<Check>> {
    // What is read here must not become a part of the data.
    session.rows("SET SESSION sql_log_bin = 0")?;
    let tables = session.within(
        "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.TABLES \
         WHERE TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW') \
         AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') ORDER BY 1, 2",
        interrupt,
        None,
    )?;
    let (mut indexes, mut rows) = (Findings::default(), Findings::default());
    let mut counted = BTreeMap::new();
    for table in &tables {
        let column = |name: &str| table.get(name).cloned().flatten().unwrap_or_default();
        let shown = format!("{}.{}", column("db"), column("name"));
        let quoted = format!("{}.{}", quote(&column("db")), quote(&column("name")));
        let mut said = session.within(&format!("CHECK TABLE {quoted}"), interrupt, None);
        if matches!(&said, Ok(rows) if last_is_ok(rows).is_err()) && LOGS.contains(&shown.as_str()) {
            said = session.within(&format!("REPAIR TABLE {quoted}"), interrupt, None);
        }
        match said {
            Ok(said) => {
                if let Err(said) = last_is_ok(&said) {
                    indexes.add(&shown, &said);
                    continue;
                }
            }
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => {
                // The server has died of it: there is nobody left to ask about the others.
                indexes.add(&shown, &format!("{error:#}"));
                break;
            }
        }
        // CHECK TABLE walks the indexes of InnoDB and does not follow the columns that are stored outside of them; and the number of
        // rows is read from the smallest index. CHECKSUM TABLE … EXTENDED has to read every column of every row, whatever the engine.
        match session.within(&format!("CHECKSUM TABLE {quoted} EXTENDED"), interrupt, None) {
            Ok(said) => {
                let checksum = said.first().and_then(|row| row.get("Checksum")).cloned().flatten();
                if let Some(checksum) = checksum {
                    if wanted.contains(&shown) {
                        let count =
                            session.within(&format!("SELECT COUNT(*) AS value FROM {quoted}"), interrupt, None)?;
                        counted.insert(shown, (scalar(&count).unwrap_or_default(), checksum));
                    }
                } else {
                    let warnings = session.rows("SHOW WARNINGS")?;
                    let text = warnings.first().and_then(|row| row.get("Message")).cloned().flatten();
                    rows.add(&shown, &text.unwrap_or_else(|| "its rows cannot be read".to_owned()));
                }
            }
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => {
                rows.add(&shown, &format!("{error:#}"));
                break;
            }
        }
    }
    server.ask(session);
    let lacks = server.lacks();
    let good = |found: &Findings| tables.len() - found.0.len();
    let mut checks = vec![
        indexes.check(
            "check table",
            format!("{} tables, every last row is OK", good(&indexes)),
            lacks,
        ),
        rows.check(
            "rows",
            format!("{} tables, every row was read", good(&indexes) - rows.0.len()),
            lacks,
        ),
    ];
    if !wanted.is_empty() {
        let unreadable = |table: &str| indexes.why(table, lacks).or_else(|| rows.why(table, lacks));
        checks.push(have_rows(wanted, &counted, &unreadable));
    }
    Ok(checks)
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
        (false, _) => Check::failed("tables", Word::Corrupt, missing.join("; ")),
        (true, false) => Check::failed("tables", Word::Unverified, unread.join("; ")),
    }
}

/// CHECK TABLE answers with any number of rows; the last one is the result.
fn last_is_ok(rows: &[Columns]) -> Result<(), String> {
    let column = |row: &Columns, name: &str| row.get(name).cloned().flatten().unwrap_or_default();
    let Some(last) = rows.last() else {
        return Err("CHECK TABLE said nothing".to_owned());
    };
    let (kind, text) = (column(last, "Msg_type"), column(last, "Msg_text"));
    let bad = rows
        .iter()
        .any(|row| column(row, "Msg_type").eq_ignore_ascii_case("error"));
    let good = kind == "status" && (text == "OK" || text == "Table is already up to date");
    // Engines without a check (MEMORY, BLACKHOLE) say so in a note; their rows are read all the same.
    let unable = kind == "note" && text.contains("doesn't support check");
    if !bad && (good || unable) {
        return Ok(());
    }
    let said: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", column(row, "Msg_type"), column(row, "Msg_text")))
        .collect();
    Err(said.join(", "))
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(said: &[(&str, &str)]) -> Vec<Columns> {
        said.iter()
            .map(|(kind, text)| {
                [("Msg_type", kind), ("Msg_text", text)]
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), Some((*value).to_owned())))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn a_table_that_is_called_encrypted_can_be_corrupt() {
        for (table, said, word) in [
            ("shop.t", "error Table 't' is encrypted", Word::Unverified),
            (
                "keyring.encrypted",
                "error Unknown storage engine 'ROCKSDB'",
                Word::Unverified,
            ),
            (
                "keyring.encrypted_t",
                "the server's answer to CHECK TABLE `keyring`.`encrypted_t`: connection lost",
                Word::Corrupt,
            ),
            (
                "shop/decrypted.ibd",
                "innochecksum shop/decrypted.ibd failed: Fail",
                Word::Corrupt,
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

    #[test]
    fn only_a_last_row_of_ok_is_good() {
        assert!(last_is_ok(&rows(&[("status", "OK")])).is_ok());
        assert!(
            last_is_ok(&rows(&[
                ("warning", "1 client is using or hasn't closed the table properly"),
                ("status", "OK")
            ]))
            .is_ok()
        );
        assert!(
            last_is_ok(&rows(&[(
                "note",
                "The storage engine for the table doesn't support check"
            )]))
            .is_ok()
        );
        assert!(last_is_ok(&rows(&[])).is_err());
        assert!(
            last_is_ok(&rows(&[
                ("Warning", "InnoDB: The B-tree of index PRIMARY is corrupted."),
                ("error", "Corrupt")
            ]))
            .is_err()
        );
        assert!(last_is_ok(&rows(&[("error", "Table upgrade required"), ("status", "OK")])).is_err());
        assert!(last_is_ok(&rows(&[("status", "Operation failed")])).is_err());
    }
}
