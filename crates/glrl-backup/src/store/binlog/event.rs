//! Walking through a binary log: what transactions it holds, where they begin and end, and when they were committed. Only headers and
//! GTID events are looked into; what the transactions do is the business of the server's own tools.
//!
//! Sources: MySQL internals manual, "Binary Log Events"; MySQL `libbinlogevents`, `control_events.h` (9.x); MariaDB knowledge base,
//! "`GTID_EVENT`", "Event Header".

use std::io::{self, Read};

use anyhow::{Context, Result, bail};

use crate::model::gtid::{Gtid, Uuid};

/// The first bytes of a log, and where its first event begins.
const MAGIC: [u8; 4] = *b"\xfebin";
pub(crate) const FIRST: u64 = 4;
/// Those of a log that MySQL has encrypted.
const ENCRYPTED: [u8; 4] = *b"\xfdbin";
const HEADER: usize = 19;

/// What an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The log's own description, written when it was begun.
    Format,
    /// A transaction begins. `None`: it has no id, or a tagged one.
    Begin(Option<Gtid>),
    /// A statement, in its own words.
    Statement,
    /// The log ends, and the next one has this name.
    Rotate,
    /// What belongs to the transaction that has begun, or to the log.
    Other,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) what: What,
    /// Seconds of the epoch: for a transaction of MySQL when it was committed, for one of MariaDB when its last statement began.
    pub(crate) at: i64,
    /// Where it begins and ends, bytes from the log's beginning.
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

/// Reads a log's events one after another. One that is cut off at the end, as a server that was killed leaves it, ends the log; so do zeros.
/// `false` from `visit` stops the walk.
pub(crate) fn walk(mut log: impl Read, mut visit: impl FnMut(&Event) -> Result<bool>) -> Result<()> {
    let mut magic = [0; 4];
    log.read_exact(&mut magic).context("reading its first bytes")?;
    if magic == ENCRYPTED {
        bail!("it is encrypted, and only the server that wrote it can read it");
    }
    if magic != MAGIC {
        bail!("it is not a binary log");
    }
    let mut begin = FIRST;
    loop {
        let mut header = [0; HEADER];
        if !filled(&mut log, &mut header)? {
            return Ok(());
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (kind, server, size) = (header[4], number(5), number(9));
        // Room that a filesystem had given to the log when the power went (seen with MariaDB; MySQL cuts it off).
        if header == [0; HEADER] {
            return Ok(());
        }
        let Some(rest) = (size as usize).checked_sub(HEADER) else {
            bail!("at {begin} there is no event: its length is {size}");
        };
        let mut body = vec![0; rest.min(LOOKED_AT)];
        if !filled(&mut log, &mut body)? {
            return Ok(());
        }
        let more = (rest - body.len()) as u64;
        if io::copy(&mut (&mut log).take(more), &mut io::sink()).context("reading an event")? < more {
            return Ok(());
        }
        let (what, committed) = what(kind, server, &body)?;
        let event = Event {
            what,
            at: committed.unwrap_or_else(|| i64::from(number(0))),
            begin,
            end: begin + u64::from(size),
        };
        begin = event.end;
        if !visit(&event)? {
            return Ok(());
        }
    }
}

/// Bytes of an event's body that are looked at.
const LOOKED_AT: usize = 64;

fn filled(log: &mut impl Read, buffer: &mut [u8]) -> Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error).context("reading an event"),
    }
}

/// What an event is, and the second it was committed in where it says so.
fn what(kind: u8, server: u32, body: &[u8]) -> Result<(What, Option<i64>)> {
    const QUERY: u8 = 2;
    const ROTATE: u8 = 4;
    const FORMAT_DESCRIPTION: u8 = 15;
    const GTID: u8 = 33;
    const ANONYMOUS_GTID: u8 = 34;
    const GTID_TAGGED: u8 = 42;
    const MARIADB_GTID: u8 = 162;
    const MARIADB_START_ENCRYPTION: u8 = 164;
    Ok(match kind {
        FORMAT_DESCRIPTION => (What::Format, None),
        QUERY => (What::Statement, None),
        ROTATE => (What::Rotate, None),
        GTID => {
            let source = body
                .get(1..17)
                .and_then(|bytes| bytes.try_into().ok())
                .context("a GTID is cut off")?;
            let gtid = Gtid::MySql {
                source: Uuid(source),
                number: number(body, 17, 8)?,
            };
            (What::Begin(Some(gtid)), committed(body))
        }
        ANONYMOUS_GTID => (What::Begin(None), committed(body)),
        GTID_TAGGED => (What::Begin(None), None),
        MARIADB_GTID => {
            let gtid = Gtid::MariaDb {
                domain: u32::try_from(number(body, 8, 4)?)?,
                server,
                sequence: number(body, 0, 8)?,
            };
            (What::Begin(Some(gtid)), None)
        }
        MARIADB_START_ENCRYPTION => bail!("it is encrypted, and only the server that wrote it can read it"),
        _ => (What::Other, None),
    })
}

/// MySQL's `immediate_commit_timestamp`: 7 bytes of microseconds behind the logical clock; the highest bit is a flag.
fn committed(body: &[u8]) -> Option<i64> {
    const LOGICAL_CLOCK: u8 = 2;
    if body.get(25) != Some(&LOGICAL_CLOCK) {
        return None;
    }
    let microseconds = number(body, 42, 7).ok()? & ((1 << 55) - 1);
    i64::try_from(microseconds / 1_000_000).ok().filter(|at| *at > 0)
}

fn number(body: &[u8], at: usize, length: usize) -> Result<u64> {
    let bytes = body.get(at..at + length).context("a GTID is cut off")?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An event as a server writes it, without a checksum.
    pub(crate) fn event(at: u32, kind: u8, server: u32, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(HEADER + body.len()).unwrap();
        let mut event = at.to_le_bytes().to_vec();
        event.push(kind);
        event.extend(server.to_le_bytes());
        event.extend(size.to_le_bytes());
        event.extend([0; 6]);
        event.extend(body);
        event
    }

    fn log(events: &[Vec<u8>]) -> Vec<u8> {
        MAGIC.iter().copied().chain(events.concat()).collect()
    }

    fn walked(log: &[u8]) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        walk(log, |event| {
            events.push(event.clone());
            Ok(true)
        })?;
        Ok(events)
    }

    #[test]
    fn transactions_of_both_flavours_are_found() {
        let mut mariadb = 7_u64.to_le_bytes().to_vec();
        mariadb.extend(3_u32.to_le_bytes());
        mariadb.push(0);
        let mut mysql = vec![0];
        mysql.extend([0x11; 16]);
        mysql.extend(9_u64.to_le_bytes());
        mysql.push(2);
        mysql.extend([0; 16]);
        mysql.extend(&(1_700_000_000_u64 * 1_000_000 + 999_999).to_le_bytes()[..7]);
        let log = log(&[
            event(100, 15, 1, &[0; 80]),
            event(101, 162, 5, &mariadb),
            event(101, 2, 5, &[0; 200]),
            event(102, 33, 1, &mysql),
            event(103, 4, 1, b"\x04\0\0\0\0\0\0\0binlog.000002"),
        ]);
        let events = walked(&log).unwrap();
        let seen: Vec<(String, i64)> = events
            .iter()
            .map(|event| match &event.what {
                What::Begin(Some(gtid)) => (gtid.to_string(), event.at),
                other => (format!("{other:?}"), event.at),
            })
            .collect();
        let expected = [
            ("Format", 100),
            ("3-5-7", 101),
            ("Statement", 101),
            ("11111111-1111-1111-1111-111111111111:9", 1_700_000_000),
            ("Rotate", 103),
        ];
        assert_eq!(seen, expected.map(|(text, at)| (text.to_owned(), at)));
        assert!(events.windows(2).all(|two| two[0].end == two[1].begin));
        assert_eq!(events.last().unwrap().end, log.len() as u64);
    }

    #[test]
    fn a_log_that_is_cut_off_ends_there_and_another_file_is_none() {
        let whole = log(&[event(1, 15, 1, &[0; 80]), event(2, 34, 1, &[0; 60])]);
        assert_eq!(walked(&whole[..whole.len() - 1]).unwrap().len(), 1);
        assert_eq!(walked(&[&whole[..], &[0; 100]].concat()).unwrap().len(), 2);
        assert!(walked(b"ELF!").is_err());
        assert!(walked(b"\xfdbin....").unwrap_err().to_string().contains("encrypted"));
        let mut short = event(1, 15, 1, &[0; 80]);
        short[9] = 5;
        assert!(walked(&log(&[short])).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = walked(&[MAGIC.to_vec(), bytes].concat());
        }
    }
}
