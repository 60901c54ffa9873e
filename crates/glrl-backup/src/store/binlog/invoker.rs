//! Who ran a statement of a binary log. The server's own tools do not say it, and a replay would have what belongs to whoever ran
//! a statement (the role that they made, the event that they altered) belong to the replay.
//!
//! Sources: MySQL `libbinlogevents`, `statement_events.h` (9.x); MariaDB `log_event.h` (11.8): `QUERY_EVENT` and its status variables.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result};

use crate::store::binlog::event::{self, What};

/// An account that has run a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoker {
    pub(crate) user: String,
    pub(crate) host: String,
}

/// Longer ones are not definitions of roles and events' schedules.
const LONGEST: u64 = 1 << 20;
const HEADER: u64 = 19;

/// Visits the statements of a log from this position, to that one where it is given, that say who ran them.
pub(crate) fn invoked(log: &Path, from: u64, to: Option<u64>, mut visit: impl FnMut(Invoker, &str)) -> Result<()> {
    let doing = || format!("reading {}", log.display());
    let mut places = Vec::new();
    let file = BufReader::with_capacity(1 << 20, File::open(log).with_context(doing)?);
    event::walk(file, |event| {
        let within = event.begin >= from && to.is_none_or(|to| event.end <= to);
        if within && event.what == What::Statement && event.end - event.begin <= LONGEST {
            places.push((event.begin + HEADER, event.end));
        }
        Ok(true)
    })
    .with_context(doing)?;
    let mut file = File::open(log).with_context(doing)?;
    for (begin, end) in places {
        let mut body = Vec::new();
        file.seek(SeekFrom::Start(begin)).with_context(doing)?;
        (&mut file)
            .take(end - begin)
            .read_to_end(&mut body)
            .with_context(doing)?;
        if let Some((invoker, sql)) = statement(&body) {
            visit(invoker, &sql);
        }
    }
    Ok(())
}

/// Reads the body of a statement's event: who ran it, and its text, which a checksum of four bytes may follow.
fn statement(body: &[u8]) -> Option<(Invoker, String)> {
    const FIXED: usize = 13;
    let schema = usize::from(*body.get(8)?);
    let variables = usize::from(u16::from_le_bytes([*body.get(11)?, *body.get(12)?]));
    let invoker = invoker(body.get(FIXED..FIXED + variables)?)?;
    let text = body.get(FIXED + variables + schema + 1..)?;
    Some((invoker, String::from_utf8_lossy(text).into_owned()))
}

/// Finds the invoker among the status variables, which stand in the order of their numbers as far as it.
fn invoker(mut variables: &[u8]) -> Option<Invoker> {
    fn text(bytes: &mut &[u8]) -> Option<String> {
        let (length, rest) = bytes.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        *bytes = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }
    loop {
        let (kind, rest) = variables.split_first()?;
        variables = rest;
        let length = match kind {
            // Flags; the mode; the auto-increment; character sets; names of times; collation; bits of updated tables; a position.
            0 | 3 | 10 => 4,
            1 | 9 => 8,
            4 => 6,
            7 | 8 => 2,
            // The time zone, the catalog.
            5 | 6 => {
                text(&mut variables)?;
                0
            }
            11 => {
                return Some(Invoker {
                    user: text(&mut variables)?,
                    host: text(&mut variables)?,
                });
            }
            _ => return None,
        };
        variables = variables.get(length..)?;
    }
}

/// The words of a statement, what is quoted as one, without the quotes. Comments are words too.
pub(crate) fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = sql.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut word = String::new();
        if matches!(letter, '`' | '"' | '\'') {
            while let Some(next) = letters.next() {
                if next == letter && letters.next_if_eq(&letter).is_none() {
                    break;
                }
                word.push(next);
            }
        } else if is_of_word(letter) {
            word.push(letter);
            while let Some(next) = letters.next_if(|next| is_of_word(*next)) {
                word.push(next);
            }
        } else {
            continue;
        }
        words.push(word);
    }
    words
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$') || !letter.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MariaDB 10.11 writes it: flags, mode, catalog, character set, and the invoker; then the time's microseconds.
    const ALTER: &[u8] =
        b"\x05\0\0\0\0\0\0\0\0\0\0\x36\0\0\0\0\0\x01\x01\0\0\x20\x54\0\0\0\0\x06\x03std\x04\x21\0\x21\0\x08\0\
        \x05\x06SYSTEM\x0b\x04root\x09localhost\x80\x0f\xf1\x09\0alter event shop.e on schedule every 2 day";

    #[test]
    fn who_ran_a_statement_is_read() {
        let (invoker, sql) = statement(ALTER).unwrap();
        assert_eq!((&*invoker.user, &*invoker.host), ("root", "localhost"));
        assert_eq!(sql, "alter event shop.e on schedule every 2 day");
        // One that says nothing, is cut off, or has a variable that is not known before it.
        let mut other = ALTER.to_vec();
        other[13] = 99;
        assert_eq!(statement(&other), None);
        for length in 0..ALTER.len() - 42 {
            assert_eq!(statement(&ALTER[..length]), None, "{length}");
        }
    }

    #[test]
    fn names_are_words() {
        assert_eq!(
            words("create /*x*/ ROLE if not exists `a``b c`,'r',\"ä\""),
            ["create", "x", "ROLE", "if", "not", "exists", "a`b c", "r", "ä"]
        );
    }
}
