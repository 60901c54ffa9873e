//! What is replayed: the archived binary logs behind a backup, one after another without a gap, from where the backup's own log stood to
//! the moment that is wanted. They are copied out of the archive here, their hashes checked on the way.

use std::{
    fs::{DirBuilder, File},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result as Anyhow, anyhow};
use jiff::Timestamp;

use crate::{
    model::{
        binlog::Entry,
        error::{Error, Kind, OfKind, Result},
        gtid::{Gtid, Stands},
        interrupt::Interrupt,
        maker::Maker,
        manifest::{Manifest, Position},
        owner::Owner,
    },
    restore::{
        until::{Gtids, Until},
        ways::{all_behind, behind, fork, holds},
    },
    settings::Settings,
    store::{
        binlog::{
            entry,
            event::{self, FIRST, What},
        },
        hash::Hashing,
        target,
    },
};

/// What is replayed.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The logs, in their order; none where the backup stands at the moment already.
    pub(crate) logs: Vec<PathBuf>,
    /// Where the first one is begun, bytes from its beginning.
    pub(crate) start: u64,
    /// Where the last one ends, if before its end.
    pub(crate) stop: Option<u64>,
    /// How many transactions that are.
    pub(crate) transactions: u64,
    /// The last one's GTID, where it has one, and when it was committed.
    pub(crate) last: Option<(Option<Gtid>, Timestamp)>,
    /// What the operator should know about where it ends.
    pub(crate) warning: Option<String>,
}

impl Plan {
    fn warn(&mut self, message: String) {
        let before = self.warning.take();
        self.warning = Some(before.map_or(message.clone(), |before| format!("{before}; {message}")));
    }
}

/// Plans a replay. The logs are copied to `into`, a directory that is made; `volume` is the backup's data.
pub(crate) fn plan(
    settings: &Settings,
    manifest: &Manifest,
    until: &Until,
    volume: &Path,
    into: &Path,
    owner: Owner,
    interrupt: &Interrupt,
) -> Result<Plan> {
    let none = |message: String| Err(Error::new(Kind::Refused, message));
    let Some(stood) = &manifest.coordinates.binlog else {
        return none(format!(
            "{} was made of a server without a binary log: there is nothing to go on with",
            manifest.id
        ));
    };
    let mut plan = Plan {
        logs: Vec::new(),
        start: stood.position,
        stop: None,
        transactions: 0,
        last: None,
        warning: None,
    };
    let mut wanted = Vec::new();
    match until {
        Until::Time(time) if *time < shows(manifest) => {
            return none(format!(
                "{time} is before {}, which shows {}: name an older backup",
                manifest.id,
                shows(manifest)
            ));
        }
        Until::Gtid(Gtids(named)) => match stands(manifest, until)? {
            Some(Stands::Beyond) => {
                return none(format!(
                    "{} has {named} already, and more: name an older backup",
                    manifest.id
                ));
            }
            Some(Stands::There) => return Ok(plan),
            Some(Stands::Before) => {
                // Of a whole position, the backup may have all of one domain or source.
                let gtid = manifest.coordinates.gtid.as_deref().unwrap_or_default();
                wanted = named.to_come(gtid).map_err(|error| anyhow!(error))?;
            }
            None => {
                return none(format!("the server of {} wrote no GTIDs: name a time", manifest.id));
            }
        },
        Until::Time(_) | Until::End => {}
    }
    let directory = entry::directory(settings);
    let entries = entry::all(&directory).of_kind(Kind::Target)?;
    let maker = Maker::of(manifest);
    let (entries, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_of(&maker));
    let (entries, others) = named_among(until, entries, others);
    let own = own_log(manifest, stood, volume);
    let first = first(settings, &entries, stood, &own)?;
    let Some(mut entry) = fork(first, until, &entries, &mut plan.warning) else {
        return none(missing_first(manifest, stood, &entries));
    };
    DirBuilder::new()
        .mode(0o700)
        .create(into)
        .and_then(|()| chown(into, Some(owner.uid), Some(owner.gid)))
        .with_context(|| format!("making {}", into.display()))?;
    let mut search = Search::new(until, wanted);
    loop {
        interrupt.check()?;
        let from = if plan.logs.is_empty() { stood.position } else { FIRST };
        let path = into.join(&entry.file);
        copy(settings, entry, &path, owner)?;
        let found = search.look(&path, from)?;
        plan.logs.push(path);
        if let Some(stop) = found {
            plan.stop = Some(stop);
            break;
        }
        let Some(next) = fork(behind(entry, &entries), until, &entries, &mut plan.warning) else {
            plan.warning = ended(until, entry, &entries, &search)?.or(plan.warning);
            break;
        };
        entry = next;
    }
    if let (Some(passed), Until::Gtid(Gtids(named))) = (search.passed, until) {
        let message = format!("{passed} was committed before the last of {named}, and is restored too");
        plan.warn(message);
    }
    if let (Until::Time(time), Some(_)) = (until, plan.stop)
        && let Some(said) = set_back(*time, entry, &entries, search.back)
    {
        plan.warn(said);
    }
    if let Some(said) = of_others(manifest, &others) {
        plan.warn(said);
    }
    plan.transactions = search.transactions;
    plan.last = search.last;
    Ok(plan)
}

/// Divides logs into those that may be replayed and those of other servers, which are not, though they may go on from the same place: a copy
/// of the server writes its own transactions behind those that both have. Who names one of them by its GTID means it.
fn named_among(until: &Until, mut own: Vec<Entry>, others: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let Until::Gtid(Gtids(wanted)) = until else {
        return (own, others);
    };
    let holds_any = |entries: &[Entry]| {
        entries
            .iter()
            .any(|entry| wanted.last.iter().any(|gtid| holds(entry, *gtid)))
    };
    if holds_any(&own) || !holds_any(&others) {
        return (own, others);
    }
    own.extend(others);
    own.sort_by(|one, other| (one.begun, &one.name).cmp(&(other.begun, &other.name)));
    (own, Vec::new())
}

/// What is to be said where the clock of the server was set back: transactions of before the time lie behind the first of a later one, which
/// ends the replay.
fn set_back(
    time: Timestamp,
    last: &Entry,
    entries: &[Entry],
    back: Option<(u64, Option<Gtid>, Option<Gtid>)>,
) -> Option<String> {
    let mut places = Vec::new();
    if let Some((count, first, gtid)) = back {
        let which = match (first, gtid) {
            (Some(first), Some(last)) if first != last => format!(", {first} to {last},"),
            (Some(only), _) => format!(", {only},"),
            _ => String::new(),
        };
        places.push(format!("{count}{which} in {}", last.name));
    }
    for entry in all_behind(last, entries) {
        if entry.begun < time && entry.transactions > 0 {
            let which = entry.first.as_ref().zip(entry.last.as_ref());
            let which = which.map_or_else(String::new, |(first, last)| format!(" ({first} to {last})"));
            places.push(format!("some in {}{which}", entry.name));
        }
    }
    (!places.is_empty()).then(|| {
        format!(
            "the server's clock was set back: behind the first transaction of {time} or later are others of before it, which are not \
             replayed: {}; name a GTID to go on to them",
            places.join("; ")
        )
    })
}

/// What is to be said where another server has archived logs behind the backup.
fn of_others(manifest: &Manifest, others: &[Entry]) -> Option<String> {
    let behind = others.iter().filter(|entry| entry.ended >= manifest.started);
    let last = behind.max_by_key(|entry| entry.ended)?;
    let named = last.last.as_ref().map_or_else(String::new, |gtid| {
        format!(
            "; if that is this one on another machine, name a transaction of it to go on with its logs: --until {gtid}"
        )
    });
    Some(format!(
        "{} is of another server, {}, and is not replayed{named}",
        last.name,
        last.maker()
    ))
}

/// The moment that a backup shows; where it does not say, the earliest that it can be.
fn shows(manifest: &Manifest) -> Timestamp {
    manifest.lock.at.unwrap_or(manifest.started)
}

/// Where a backup stands, seen from a GTID that is wanted; `None` where its server wrote none.
pub(crate) fn stands(manifest: &Manifest, until: &Until) -> Result<Option<Stands>> {
    let (Until::Gtid(Gtids(wanted)), Some(gtid)) = (until, &manifest.coordinates.gtid) else {
        return Ok(None);
    };
    let stands = wanted.seen_from(gtid).map_err(|error| {
        Error::new(
            Kind::Refused,
            format!(
                "{wanted} is no GTID of the server of {}, which stood at {gtid}: {error}",
                manifest.id
            ),
        )
    })?;
    Ok(Some(stands))
}

/// The binary log that the backup's data ends in.
fn own_log(manifest: &Manifest, stood: &Position, volume: &Path) -> PathBuf {
    let basename = manifest.server.variable("log_bin_basename").unwrap_or_default();
    let within = Path::new(basename)
        .strip_prefix(&manifest.volume.mount_point)
        .map_or_else(|_| manifest.volume.datadir.join(basename), Path::to_owned);
    volume.join(within).with_file_name(&stood.file)
}

/// The archived logs that go on where the backup's own ends: they have that one's name, and begin with its bytes. There are several where
/// the server was restored meanwhile, and wrote on from the same place.
fn first<'a>(settings: &Settings, entries: &'a [Entry], stood: &Position, own: &Path) -> Result<Vec<&'a Entry>> {
    let directory = entry::directory(settings);
    let mut found = Vec::new();
    for entry in entries
        .iter()
        .filter(|entry| entry.file == stood.file && entry.log.bytes >= stood.position)
    {
        let own = File::open(own).with_context(|| format!("opening {}", own.display()))?;
        let same = same(own, entry.open(&directory, &settings.encryption)?, stood.position);
        let damaged = || format!("reading the archived binary log {}", entry.name);
        if same.with_context(damaged).of_kind(Kind::Corrupt)? {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Whether two logs are the same up to here. Not compared is a flag in the header of the first event, which says that the log is open.
fn same(one: impl Read, other: impl Read, length: u64) -> Anyhow<bool> {
    const FLAGS: std::ops::Range<u64> = FIRST + 17..FIRST + 19;
    let (one, other) = (BufReader::new(one).bytes(), BufReader::new(other).bytes());
    for (at, (one, other)) in (0..length).zip(one.zip(other)) {
        if one.context("comparing binary logs")? != other.context("comparing binary logs")? && !FLAGS.contains(&at) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Why there is no beginning.
fn missing_first(manifest: &Manifest, stood: &Position, entries: &[Entry]) -> String {
    let later = entries.iter().find(|entry| entry.begun >= manifest.started);
    let there = match later {
        _ if entries.is_empty() => "no binary log is archived".to_owned(),
        Some(entry) => format!("the first one archived behind it is {}", entry.name),
        None => "all that are archived are older".to_owned(),
    };
    format!(
        "the binary log that {} ends in, {} from {}, is not archived: {there}; 'glrl backup binlogs' archives them",
        manifest.id, stood.file, stood.position
    )
}

/// What is to be said when the logs have ended before the moment was found.
fn ended(until: &Until, last: &Entry, entries: &[Entry], search: &Search<'_>) -> Result<Option<String>> {
    let there = |name: &String| entries.iter().any(|entry| entry.name == *name);
    let later = entries.iter().find(|entry| {
        entry.begun >= last.ended && entry.name != last.name && !entry.previous.as_ref().is_some_and(there)
    });
    let gap = later.map_or_else(String::new, |entry| {
        format!(
            "; behind it {} is archived, and what is between them is not",
            entry.name
        )
    });
    let reached = match &search.last {
        Some((Some(gtid), at)) => format!("{gtid}, committed at {at}"),
        Some((None, at)) => format!("a transaction of {at}"),
        None => "where the backup stands".to_owned(),
    };
    match until {
        Until::Gtid(Gtids(wanted)) => Err(Error::new(
            Kind::Refused,
            format!(
                "{wanted} is not in the archived binary logs: they end with {}, at {reached}{gap}",
                last.name
            ),
        )),
        // Later transactions of before that time may have been, and nobody knows.
        Until::Time(time) if last.ended < *time => Ok(Some(format!(
            "the archived binary logs end with {} at {}, before {time}: what was committed later is not restored{gap}",
            last.name, last.ended
        ))),
        Until::Time(_) | Until::End => {
            Ok(later.map(|_| format!("the archived binary logs end with {}{gap}", last.name)))
        }
    }
}

/// Copies a log out of the archive.
fn copy(settings: &Settings, entry: &Entry, to: &Path, owner: Owner) -> Result<()> {
    let doing = || format!("unpacking the binary log {}", entry.name);
    let room = target::free(to.parent().unwrap_or(to))?;
    if room < entry.log.bytes.saturating_mul(3) {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "{} MiB are left, and replaying {} takes three times its {} MiB",
                room >> 20,
                entry.name,
                entry.log.bytes >> 20
            ),
        ));
    }
    let opened = entry.open(&entry::directory(settings), &settings.encryption)?;
    let mut log = Hashing::new(opened.take(entry.log.bytes.saturating_add(1)));
    let file = File::options().write(true).create_new(true).mode(0o600).open(to);
    let mut file = BufWriter::new(file.with_context(doing)?);
    io::copy(&mut log, &mut file)
        .with_context(doing)
        .of_kind(Kind::Corrupt)?;
    file.flush().with_context(doing)?;
    chown(to, Some(owner.uid), Some(owner.gid)).with_context(doing)?;
    match Entry::content(log.finish().1, entry.encryption.as_ref()).differs(&entry.log) {
        None => Ok(()),
        Some(how) => Err(Error::new(
            Kind::Corrupt,
            format!("the archived binary log {} is damaged: {how}", entry.name),
        )),
    }
}

/// The search for the moment, through one log after another.
struct Search<'a> {
    until: &'a Until,
    /// Transactions that are still to come.
    wanted: Vec<Gtid>,
    /// One that nobody has asked for, before the last of them.
    passed: Option<Gtid>,
    transactions: u64,
    last: Option<(Option<Gtid>, Timestamp)>,
    /// Transactions of before the time that is wanted, behind one of a later time: how many, the first and the last.
    back: Option<(u64, Option<Gtid>, Option<Gtid>)>,
}

impl<'a> Search<'a> {
    fn new(until: &'a Until, wanted: Vec<Gtid>) -> Self {
        Self {
            until,
            wanted,
            passed: None,
            transactions: 0,
            last: None,
            back: None,
        }
    }

    /// Looks through a log from this position. Returns where in it the replay ends, if it does. What is behind the last whole event, the
    /// server's own tools refuse, and is cut off.
    fn look(&mut self, log: &Path, from: u64) -> Result<Option<u64>> {
        let doing = || format!("reading {}", log.display());
        let file = BufReader::with_capacity(1 << 20, File::open(log).with_context(doing)?);
        let (mut stop, mut last_one, mut end) = (None, false, FIRST);
        event::walk(file, |event| {
            end = event.end;
            // Between transactions a log may hold what belongs to none.
            let between = matches!(event.what, What::Begin(_) | What::Rotate);
            if event.begin < from || (!between && !last_one) {
                return Ok(true);
            }
            if last_one {
                if between {
                    return Ok(false);
                }
                stop = Some(event.end);
                return Ok(true);
            }
            let What::Begin(gtid) = event.what else { return Ok(true) };
            if let Until::Time(time) = self.until {
                if event.at >= time.as_second() {
                    stop.get_or_insert(event.begin);
                    return Ok(true);
                }
                if stop.is_some() {
                    let (count, first, last) = self.back.get_or_insert((0, gtid, gtid));
                    (*count, *first, *last) = (*count + 1, first.or(gtid), gtid.or(*last));
                    return Ok(true);
                }
            }
            self.transactions += 1;
            self.last = Some((gtid, Timestamp::from_second(event.at)?));
            if let Some(gtid) = gtid {
                if matches!(self.until, Until::Gtid(Gtids(named)) if named.is_passed_by(gtid)) {
                    self.passed = Some(gtid);
                }
                let before = self.wanted.len();
                self.wanted.retain(|wanted| *wanted != gtid);
                last_one = before > 0 && self.wanted.is_empty();
                stop = last_one.then_some(event.end);
            }
            Ok(true)
        })
        .with_context(doing)
        .of_kind(Kind::Corrupt)?;
        if stop.is_none() {
            let file = File::options().write(true).open(log).with_context(doing)?;
            file.set_len(end).with_context(doing)?;
        }
        Ok(stop)
    }
}
