//! Archiving the binary logs, from which a restore goes on to any later moment. Logs that are closed are copied to the target, next to the
//! backups (`entry.rs` says how they lie there); the one that is open is closed first, unless the settings say otherwise.
//!
//! A log is archived once, and never again: its entry says by its hash, length and time what it is. What is archived is never
//! overwritten, whatever the server calls its logs after RESET MASTER or a restore.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod gap;
pub(crate) mod keep;
pub(crate) mod tail;

use std::{
    fs::{self, DirBuilder, File},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use glrl_node::system::clock;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    binlogs::{
        gap::{Follows, Gap, Series},
        tail::Tails,
    },
    model::{
        binlog::{self, Entry, LOG, RECORD, SCHEMA, SEALED_LOG},
        digests::Digests,
        encryption::Encryption,
        error::{Error, Kind, OfKind, Result},
        interrupt::Interrupt,
        maker::Maker,
        milliseconds,
        recipient::Recipient,
        server::Server,
        step::{Report, Step},
    },
    server::{placement, session::Session},
    settings::Settings,
    state::run_lock,
    store::{
        binlog::{
            entry::{all, directory, plain},
            event::{self, What},
        },
        draft::Draft,
        encryption::stream::{Sealing, seal},
        hash::Hashing,
        list::{Listed, list},
        partial::{self, Left, Writer},
        target,
        wait_for_mount::wait_for_mount,
    },
};

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// Logs that were copied, the oldest first.
    pub logs: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Logs of the server that were archived before.
    pub before: usize,
    /// The last transaction that is archived, where it has a GTID.
    pub last: Option<String>,
    /// What a restore of the newest backup lacks of the logs, if they have a gap.
    pub gap: Option<String>,
    /// Whether the run before has found no gap, or another.
    #[serde(skip)]
    pub(crate) gap_is_new: bool,
    /// Whether there is none any more.
    #[serde(skip)]
    pub(crate) gap_is_gone: bool,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "milliseconds::serialize")]
    pub took: Duration,
}

/// Archives the server's binary logs.
pub(crate) fn archive(settings: &Settings, interrupt: &Interrupt, report: &mut dyn FnMut(Step)) -> Result<Archived> {
    let began = Instant::now();
    let _alone = run_lock::take(settings, "binlogs")?;
    wait_for_mount(&settings.target, interrupt, report)?;
    let mut session = Session::open(&settings.server)?;
    let server = Server::of(&mut session)?;
    if !server.logs() {
        let message = format!("{server} writes no binary log: set log_bin, and restart it");
        return Err(Error::new(Kind::Refused, message));
    }
    target::check_mount(&settings.target)?;
    let directory = directory(settings);
    if !directory.exists() {
        let doing = || format!("making {}", directory.display());
        let made = DirBuilder::new().mode(0o700).create(&directory).with_context(doing);
        made.of_kind(Kind::Target)?;
    }
    let writer = Writer::this(settings);
    for message in sweep(&directory, &writer)? {
        report(Step::Warning { message });
    }
    let recipients = settings.encryption.recipients()?;
    let mut archiver = Archiver {
        settings,
        interrupt,
        report,
        known: all(&directory).of_kind(Kind::Target)?,
        need: keep::Need::by_policy(settings)?,
        tails: Tails::open(settings, !recipients.is_empty())?,
        recipients,
        directory,
        maker: Maker::here(Some(&server)),
        writer,
        done: Archived {
            logs: Vec::new(),
            bytes: 0,
            before: 0,
            last: None,
            gap: None,
            gap_is_new: false,
            gap_is_gone: false,
            took: Duration::ZERO,
        },
    };
    archiver.run(&mut session, &server)?;
    archiver.done.took = began.elapsed();
    Ok(archiver.done)
}

struct Archiver<'a> {
    settings: &'a Settings,
    interrupt: &'a Interrupt,
    report: &'a mut Report<'a>,
    directory: PathBuf,
    known: Vec<Entry>,
    /// What is archived; all, where this is `None`.
    need: Option<keep::Need>,
    recipients: Vec<Recipient>,
    tails: Tails,
    maker: Maker,
    writer: Writer,
    done: Archived,
}

impl Archiver<'_> {
    fn run(&mut self, session: &mut Session, server: &Server) -> Result<()> {
        let base = placement::datadir(server)?.join(server.variable("log_bin_basename").unwrap_or_default());
        let of = |name: &str| base.with_file_name(name);
        let mut logs = names(session)?;
        if self.settings.binlogs.flush
            && let Some(open) = logs.last()
            && Look::at(&of(open))?.transactions > 0
        {
            // Not written into the log itself, where it would be a transaction of this server's own.
            session.rows("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")?;
            logs = names(session)?;
        }
        // The open one is the last.
        let Some(open) = logs.pop() else { return Ok(()) };
        let (mut unread, mut first_error) = (Vec::new(), None);
        let closed = logs.len();
        let oldest = logs.first().unwrap_or(&open);
        let mut previous = self.before_the_oldest(oldest, &of(oldest));
        for name in logs {
            self.interrupt.check()?;
            let path = of(&name);
            previous = match self.closed(&name, &path, previous) {
                Ok(entry) => entry,
                Err(error) if error.kind == Kind::Failed => {
                    let why = if path.exists() {
                        "cannot be read"
                    } else {
                        "was purged before it was archived"
                    };
                    unread.push(format!("{name} {why}: {error:#}"));
                    first_error.get_or_insert(error);
                    None
                }
                Err(error) => return Err(error),
            };
        }
        // Those that are encrypted, or not to be seen from here: nothing can be archived.
        if let Some(error) = first_error
            && unread.len() == closed
        {
            return Err(error);
        }
        let begun = Glance::at(&of(&open))?.begun;
        let follows = Follows {
            file: open.clone(),
            begun,
            previous: previous.clone(),
        };
        follows.keep(self.settings)?;
        self.look_for_gap(previous.as_deref(), (&open, begun), &unread)
    }

    /// Returns the entry of the log before the oldest that the server still has, where the last run has seen that one behind it.
    fn before_the_oldest(&self, oldest: &str, path: &Path) -> Option<String> {
        let noted = Follows::read(self.settings).filter(|noted| noted.file == oldest)?;
        let begun = Glance::at(path).ok()?.begun;
        let previous = noted.previous.filter(|_| noted.begun == begun)?;
        self.known
            .iter()
            .any(|entry| entry.name == previous)
            .then_some(previous)
    }

    /// Looks whether a restore of the newest backup can go on to the log that is being written.
    fn look_for_gap(&mut self, last: Option<&str>, open: (&str, Timestamp), unread: &[String]) -> Result<()> {
        let mut backups = list(self.settings)?;
        backups.retain(|backup| backup.id.instance() == &self.settings.instance && backup.other_server.is_none());
        let newest = backups.into_iter().rev().find_map(Listed::complete);
        let series = Series {
            known: &self.known,
            last,
            open,
            unread,
        };
        let gap = newest.and_then(|newest| Gap::behind(&newest, &series));
        if gap.is_none() {
            for message in unread.iter().cloned() {
                (self.report)(Step::Warning { message });
            }
        }
        let before = Gap::keep(self.settings, gap.as_ref())?;
        self.done.gap_is_new = gap.is_some() && gap != before;
        self.done.gap_is_gone = gap.is_none() && before.is_some();
        self.done.gap = gap.map(|gap| gap.message);
        Ok(())
    }

    /// Looks at a closed log, and archives it unless it is. Returns its entry's name. One that is archived is not read once more: servers keep
    /// theirs for weeks, and this is done every few minutes.
    fn closed(&mut self, file: &str, path: &Path, previous: Option<String>) -> Result<Option<String>> {
        let glance = Glance::at(path)?;
        if let Some(entry) = self.known.iter().find(|entry| self.is(entry, file, &glance)) {
            self.done.before += 1;
            self.done.last = entry.last.clone().or(self.done.last.take());
            return Ok(Some(entry.name.clone()));
        }
        self.log(file, path, &Look::at(path)?, previous)
    }

    /// Whether an entry is of this log.
    fn is(&self, entry: &Entry, file: &str, glance: &Glance) -> bool {
        entry.file == file
            && entry.is_of(&self.maker)
            && entry.begun == glance.begun
            && entry.log.bytes == glance.bytes
            && self.tails.of(&glance.end, entry.encryption.is_some()).as_ref() == Some(&entry.tail)
    }

    /// Archives a log, if it is of use. Returns its entry's name.
    fn log(&mut self, file: &str, path: &Path, look: &Look, previous: Option<String>) -> Result<Option<String>> {
        // What goes on from a log that is archived is of use whenever that one is.
        if previous.is_none() && self.need.as_ref().is_some_and(|need| !need.has(file, look.ended)) {
            return Ok(None);
        }
        let stem = format!("{file}-{}", look.glance.begun.strftime("%Y%m%dT%H%M%SZ"));
        // Also by what has no record: another machine may be writing it.
        let there = target::names(&self.directory)?;
        let taken = |name: &String| there.iter().any(|file| partial::is_of(file, name));
        let name = std::iter::once(stem.clone())
            .chain((2..u32::MAX).map(|number| format!("{stem}-{number}")))
            .find(|name| !taken(name))
            .ok_or_else(|| anyhow!("there is no name for {file}"))?;
        let encryption = Encryption::to(&self.recipients);
        let tail = self
            .tails
            .of(&look.glance.end, encryption.is_some())
            .context("there is no key for the hash of a log's end")?;
        let mut draft = Draft::new(&self.directory, &name, &self.writer)?;
        let (log, archive) = self.copy(&mut draft, path, look)?;
        let entry = Entry {
            schema: SCHEMA,
            name: name.clone(),
            file: file.to_owned(),
            begun: look.glance.begun,
            ended: look.ended,
            previous,
            server: self.maker.uuid.clone(),
            host: self.maker.host.clone(),
            machine: self.maker.machine.clone(),
            datadir: self.maker.datadir.clone(),
            transactions: look.transactions,
            first: look.first.clone(),
            last: look.last.clone(),
            log: Entry::content(log, encryption.as_ref()),
            tail,
            encryption,
            archive,
            archived: clock::now(),
        };
        let record = serde_json::to_vec_pretty(&entry).context("writing a binary log's record")?;
        draft.write(RECORD, |file| {
            let written = file.write_all(&record).context("writing a binary log's record");
            written.of_kind(Kind::Target)
        })?;
        draft.commit()?;
        self.done.bytes += entry.log.bytes;
        self.done.last = entry.last.clone().or(self.done.last.take());
        self.done.logs.push(name.clone());
        self.known.push(entry.clone());
        (self.report)(Step::ArchivedLog(Box::new(entry)));
        Ok(Some(name))
    }

    /// Copies a log to the target.
    fn copy(&self, draft: &mut Draft, path: &Path, look: &Look) -> Result<(Digests, Digests)> {
        let doing = || format!("archiving {}", path.display());
        let mut log = Hashing::new(File::open(path).with_context(doing)?);
        let level = self.settings.archive.level;
        let interrupt = self.interrupt;
        let recipients = self.recipients.as_slice();
        let archive = draft.write(binlog::log(!recipients.is_empty()), |file| {
            let sealing = seal(Hashing::new(file), recipients)
                .with_context(doing)
                .of_kind(Kind::Target)?;
            let mut encoder = zstd::Encoder::new(sealing, level).context("starting zstd")?;
            encoder.include_checksum(true).context("starting zstd")?;
            let mut buffer = vec![0; 1 << 20];
            loop {
                interrupt.check()?;
                let read = log.read(&mut buffer).with_context(doing)?;
                if read == 0 {
                    break;
                }
                encoder
                    .write_all(&buffer[..read])
                    .with_context(doing)
                    .of_kind(Kind::Target)?;
            }
            let hashing = encoder.finish().and_then(Sealing::finish);
            Ok(hashing.with_context(doing).of_kind(Kind::Target)?.finish().1)
        })?;
        let log = log.finish().1;
        if log.bytes != look.glance.bytes {
            return Err(Error::new(
                Kind::Failed,
                format!(
                    "{} has changed while it was archived, which a closed log does not",
                    path.display()
                ),
            ));
        }
        Ok((log, archive))
    }
}

/// The server's logs, the oldest first.
fn names(session: &mut Session) -> Result<Vec<String>> {
    let rows = session.rows("SHOW BINARY LOGS")?;
    let names: Vec<String> = rows
        .into_iter()
        .filter_map(|mut row| row.remove("Log_name").flatten())
        .collect();
    match names.iter().find(|name| !plain(name)) {
        Some(odd) => Err(Error::new(
            Kind::Failed,
            format!("the server names a binary log '{odd}'"),
        )),
        None => Ok(names),
    }
}

/// What tells a log of the server's from others, without reading all of it.
struct Glance {
    begun: Timestamp,
    bytes: u64,
    /// Its last bytes.
    end: Vec<u8>,
}

impl Glance {
    fn at(path: &Path) -> anyhow::Result<Self> {
        let doing = || format!("reading {}", path.display());
        let mut file = File::open(path).with_context(doing)?;
        let bytes = file.metadata().with_context(doing)?.len();
        let mut begun = None;
        event::walk(BufReader::new((&file).take(bytes)), |event| {
            begun = Some(event.at);
            Ok(false)
        })
        .with_context(doing)?;
        let begun = begun.with_context(|| format!("{} is empty", path.display()))?;
        file.seek(SeekFrom::Start(bytes.saturating_sub(tail::LENGTH)))
            .with_context(doing)?;
        let mut end = Vec::new();
        (&file).take(tail::LENGTH).read_to_end(&mut end).with_context(doing)?;
        Ok(Self {
            begun: Timestamp::from_second(begun).with_context(doing)?,
            bytes,
            end,
        })
    }
}

/// What is in a log of the server's.
struct Look {
    glance: Glance,
    ended: Timestamp,
    transactions: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Look {
    fn at(path: &Path) -> anyhow::Result<Self> {
        let doing = || format!("reading {}", path.display());
        let glance = Glance::at(path)?;
        let file = File::open(path).with_context(doing)?;
        let (mut ended, mut transactions) = (0, 0);
        let (mut first, mut last) = (None, None);
        event::walk(BufReader::with_capacity(1 << 20, file.take(glance.bytes)), |event| {
            ended = ended.max(event.at);
            if let What::Begin(gtid) = &event.what {
                transactions += 1;
                first = first.take().or(*gtid);
                last = gtid.or(last);
            }
            Ok(true)
        })
        .with_context(doing)?;
        Ok(Self {
            glance,
            ended: Timestamp::from_second(ended).with_context(doing)?,
            transactions,
            first: first.map(|gtid| gtid.to_string()),
            last: last.map(|gtid| gtid.to_string()),
        })
    }
}

/// Removes what a run of this node that died has left: a file without its name, or without its record. Returns what is to be known of what
/// was left alone. The caller holds the lock.
fn sweep(directory: &Path, writer: &Writer) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let names = target::names(directory)?;
    for name in &names {
        let Some((whole, owner)) = partial::parse(name) else {
            continue;
        };
        match writer.judge(&directory.join(name), owner.as_ref(), false) {
            Left::Ours => {
                let stem = [SEALED_LOG, LOG, RECORD]
                    .iter()
                    .find_map(|suffix| whole.strip_suffix(suffix));
                target::clear(directory, stem.unwrap_or(whole), &[LOG, SEALED_LOG], name.clone())?;
            }
            Left::Doubtful(why) => left.push(why),
            Left::Alone => {}
        }
    }
    // Versions before gave the log its name first.
    let names = target::names(directory)?;
    for name in &names {
        let log = name.strip_suffix(SEALED_LOG).or_else(|| name.strip_suffix(LOG));
        let recorded = |stem: &&str| {
            names
                .iter()
                .any(|name| partial::is_of(name, stem) && name.contains(RECORD))
        };
        if log.is_none_or(|stem| recorded(&stem)) {
            continue;
        }
        let path = directory.join(name);
        match writer.judge(&path, None, false) {
            Left::Ours => fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?,
            Left::Doubtful(why) => left.push(why),
            Left::Alone => {}
        }
    }
    Ok(left)
}
