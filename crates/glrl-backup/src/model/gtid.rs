//! Global transaction ids, as far as a replay has to know them: which transaction is meant, and whether a position holds it.
//!
//! MariaDB: `DOMAIN-SERVER-SEQUENCE`; a position names the last one of each domain (knowledge base, "Global Transaction ID").
//! MySQL: `UUID:NUMBER`; a position is a set of intervals (reference manual, "GTID Sets"). Tagged ones (8.3) are not read.

use std::{cmp::Ordering, collections::BTreeMap, fmt, str::FromStr};

/// A transaction's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gtid {
    MariaDb { domain: u32, server: u32, sequence: u64 },
    MySql { source: Uuid, number: u64 },
}

/// MySQL's `server_uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

/// The transactions up to which a replay goes: `0-1-123`, of several domains `0-1-123,1-1-7`; `UUID:123`, or a set, whose last ones count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    text: String,
    pub(crate) last: Vec<Gtid>,
}

/// Where a position stands, seen from transactions that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// At least one of them is still to come.
    Before,
    /// They are the last ones.
    There,
    /// It has them, and more.
    Beyond,
}

/// MySQL's intervals, both ends included, by source.
type Set = BTreeMap<Uuid, Vec<(u64, u64)>>;

impl Gtid {
    /// Which of two of one domain, or one source, is the later; `None` of those that have no order.
    pub(crate) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (
                Self::MariaDb { domain, sequence, .. },
                Self::MariaDb {
                    domain: of,
                    sequence: than,
                    ..
                },
            ) if domain == of => Some(sequence.cmp(&than)),
            (
                Self::MySql { source, number },
                Self::MySql {
                    source: of,
                    number: than,
                },
            ) if source == of => Some(number.cmp(&than)),
            _ => None,
        }
    }
}

impl Wanted {
    /// Where a position stands, MariaDB's or MySQL's, as the server writes it.
    pub(crate) fn seen_from(&self, position: &str) -> Result<Stands, String> {
        let seen = self.seen(position)?;
        Ok(
            match (seen.iter().all(|(holds, _)| *holds), seen.iter().any(|(_, more)| *more)) {
                (false, _) => Stands::Before,
                (true, false) => Stands::There,
                (true, true) => Stands::Beyond,
            },
        )
    }

    /// Those that a position does not hold yet.
    pub(crate) fn to_come(&self, position: &str) -> Result<Vec<Gtid>, String> {
        let seen = self.seen(position)?;
        let to_come = self.last.iter().zip(seen).filter(|(_, (holds, _))| !holds);
        Ok(to_come.map(|(gtid, _)| *gtid).collect())
    }

    /// Whether this one was committed behind the last that is wanted of its domain, or its source.
    pub(crate) fn is_passed_by(&self, gtid: Gtid) -> bool {
        self.last
            .iter()
            .any(|wanted| wanted.order(gtid) == Some(Ordering::Less))
    }

    /// Of each that is wanted, whether a position holds it, and whether it has more of its domain, or its source.
    fn seen(&self, position: &str) -> Result<Vec<(bool, bool)>, String> {
        let stands = if let Some(Gtid::MariaDb { .. }) = self.last.first() {
            let last = mariadb(position)?;
            self.each(|wanted| {
                let Gtid::MariaDb { domain, sequence, .. } = wanted else {
                    return None;
                };
                let stood = last.iter().find_map(|gtid| match gtid {
                    Gtid::MariaDb {
                        domain: of, sequence, ..
                    } if *of == domain => Some(*sequence),
                    _ => None,
                });
                Some((stood.is_some_and(|stood| stood >= sequence), stood > Some(sequence)))
            })
        } else {
            let set = mysql(position)?;
            self.each(|wanted| {
                let Gtid::MySql { source, number } = wanted else {
                    return None;
                };
                let intervals = set.get(&source)?;
                let holds = intervals.iter().any(|(first, last)| (*first..=*last).contains(&number));
                Some((holds, intervals.iter().any(|(_, last)| *last > number)))
            })
        };
        Ok(stands)
    }

    fn each(&self, look: impl Fn(Gtid) -> Option<(bool, bool)>) -> Vec<(bool, bool)> {
        self.last.iter().map(|gtid| look(*gtid).unwrap_or_default()).collect()
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text: String = text.split_whitespace().collect();
        let last = if text.contains(':') {
            let mut last = Vec::new();
            for (source, intervals) in mysql(&text)? {
                let number = intervals.iter().map(|(_, end)| *end).max().unwrap_or(0);
                last.push(Gtid::MySql { source, number });
            }
            last
        } else {
            mariadb(&text)?
        };
        if last.is_empty() {
            return Err("it names no transaction".to_owned());
        }
        Ok(Self { text, last })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MariaDb {
                domain,
                server,
                sequence,
            } => write!(f, "{domain}-{server}-{sequence}"),
            Self::MySql { source, number } => write!(f, "{source}:{number}"),
        }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a server's UUID");
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        if digits.len() != 32 || text.len() != 36 {
            return Err(wrong());
        }
        let mut uuid = [0; 16];
        for (byte, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(uuid))
    }
}

/// Where a replica of MariaDB goes on, that stood at `slave` and has since taken in what its binary log has: of each domain the last
/// transaction, unless it is the replica's own.
pub(crate) fn slave_position(slave: &str, binlog: &str, own: u32) -> Result<String, String> {
    let mut last: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
    for (gtids, of_others) in [(mariadb(slave)?, false), (mariadb(binlog)?, true)] {
        for gtid in gtids {
            let Gtid::MariaDb {
                domain,
                server,
                sequence,
            } = gtid
            else {
                continue;
            };
            let later = last.get(&domain).is_none_or(|(_, stood)| *stood < sequence);
            if later && !(of_others && server == own) {
                last.insert(domain, (server, sequence));
            }
        }
    }
    let texts: Vec<_> = last
        .into_iter()
        .map(|(domain, (server, sequence))| format!("{domain}-{server}-{sequence}"))
        .collect();
    Ok(texts.join(","))
}

fn mariadb(text: &str) -> Result<Vec<Gtid>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let wrong = || format!("'{part}' is not a GTID: MariaDB writes 0-1-123");
            let numbers: Vec<&str> = part.split('-').collect();
            let [domain, server, sequence] = numbers[..] else {
                return Err(wrong());
            };
            Ok(Gtid::MariaDb {
                domain: domain.parse().map_err(|_| wrong())?,
                server: server.parse().map_err(|_| wrong())?,
                sequence: sequence.parse().map_err(|_| wrong())?,
            })
        })
        .collect()
}

fn mysql(text: &str) -> Result<Set, String> {
    let mut set = Set::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || format!("'{part}' is not a set of GTIDs: MySQL writes UUID:1-123");
        let mut pieces = part.split(':');
        let source: Uuid = pieces.next().unwrap_or_default().parse()?;
        let mut any = false;
        for interval in pieces {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
            let (first, last) = (number(first)?, number(last)?);
            if first == 0 || first > last {
                return Err(wrong());
            }
            set.entry(source).or_default().push((first, last));
            any = true;
        }
        if !any {
            return Err(wrong());
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn seen(wanted: &str, position: &str) -> Stands {
        wanted.parse::<Wanted>().unwrap().seen_from(position).unwrap()
    }

    #[test]
    fn positions_are_before_there_or_beyond() {
        for (wanted, position, stands) in [
            ("0-1-5", "0-1-4", Stands::Before),
            ("0-1-5", "0-1-5", Stands::There),
            ("0-1-5", "0-2-6", Stands::Beyond),
            ("0-1-5", "", Stands::Before),
            ("0-1-5", "1-1-9", Stands::Before),
            ("0-1-5,1-1-2", "0-1-6,1-1-1", Stands::Before),
            ("0-1-5,1-1-2", "0-1-5,1-1-2", Stands::There),
            ("0-1-5,1-1-2", "0-1-6,1-1-2", Stands::Beyond),
        ] {
            assert_eq!(seen(wanted, position), stands, "{wanted} from {position}");
        }
        for (wanted, position, stands) in [
            ("U:5", "U:1-4", Stands::Before),
            ("U:5", "U:1-5", Stands::There),
            ("U:1-5", "U:1-5", Stands::There),
            ("U:5", "U:1-3:6-9", Stands::Before),
            ("U:5", "U:1-9", Stands::Beyond),
            ("U:5", "", Stands::Before),
        ] {
            let [wanted, position] = [wanted, position].map(|text| text.replace('U', UUID));
            assert_eq!(seen(&wanted, &position), stands, "{wanted} from {position}");
        }
    }

    #[test]
    fn what_a_position_holds_is_not_waited_for() {
        let to_come = |wanted: &str, position: &str| {
            let wanted = wanted.replace('U', UUID).parse::<Wanted>().unwrap();
            let to_come = wanted.to_come(&position.replace('U', UUID)).unwrap();
            to_come.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(to_come("0-1-5,1-1-2", "0-1-4,1-1-2"), ["0-1-5"]);
        assert_eq!(to_come("0-1-5,1-1-2", ""), ["0-1-5", "1-1-2"]);
        let other = "11111111-2222-3333-4444-555555555555";
        let set = format!("U:1-9,{other}:1-3");
        assert_eq!(to_come(&set, &format!("U:1-7,{other}:1-3")), [format!("{UUID}:9")]);
        let wanted: Wanted = "0-1-5,1-1-2".parse().unwrap();
        let passed = |text: &str| wanted.is_passed_by(text.parse::<Wanted>().unwrap().last[0]);
        assert_eq!(
            ["0-1-5", "0-2-6", "1-1-2", "2-1-9"].map(passed),
            [false, true, false, false]
        );
    }

    #[test]
    fn a_replica_goes_on_behind_what_it_has() {
        for (slave, binlog, position) in [
            ("0-1-5", "0-1-7", "0-1-7"),
            ("0-1-5", "0-2-9", "0-1-5"),
            ("0-1-5", "0-1-7,3-2-4", "0-1-7"),
            ("0-1-5,4-1-8", "0-3-7,4-1-8,5-1-1", "0-3-7,4-1-8,5-1-1"),
            ("0-1-5", "", "0-1-5"),
        ] {
            assert_eq!(slave_position(slave, binlog, 2).unwrap(), position, "{slave} {binlog}");
        }
    }

    #[test]
    fn ids_read_back_and_nonsense_is_refused() {
        for text in ["0-1-123", &format!("{UUID}:7")] {
            let wanted: Wanted = text.parse().unwrap();
            assert_eq!(wanted.last[0].to_string(), text);
        }
        let set: Wanted = format!("{UUID}:1-3:5-9,\n{UUID}:11").parse().unwrap();
        assert_eq!(set.last[0].to_string(), format!("{UUID}:11"));
        for text in [
            "",
            "0-1",
            "0-1-x",
            "a:1",
            &format!("{UUID}:"),
            &format!("{UUID}:5-2"),
            &format!("{UUID}:tag:1"),
        ] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9a-f:,-]{0,80}") {
            let _ = text.parse::<Wanted>();
        }
    }
}
