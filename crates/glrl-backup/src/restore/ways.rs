//! From one archived log to the next: several may go on from one, where the server was restored and wrote on from the same place.

use std::cmp::Ordering;

use crate::{
    model::{
        binlog::Entry,
        gtid::{Gtid, Wanted},
    },
    restore::until::{Gtids, Until},
};

/// Returns the logs that go on from this one, or from the same log where it was archived twice.
pub(crate) fn behind<'a>(entry: &Entry, entries: &'a [Entry]) -> Vec<&'a Entry> {
    let same: Vec<&String> = entries
        .iter()
        .filter(|other| other.is_same_log(entry))
        .map(|other| &other.name)
        .collect();
    let goes_on = |next: &&Entry| next.previous.as_ref().is_some_and(|previous| same.contains(&previous));
    entries.iter().filter(goes_on).collect()
}

/// Returns all that go on from this one, over others too, each once: where each log was archived twice there are very many ways.
pub(crate) fn all_behind<'a>(entry: &Entry, entries: &'a [Entry]) -> Vec<&'a Entry> {
    let mut all: Vec<&Entry> = Vec::new();
    let mut next = behind(entry, entries);
    while let Some(entry) = next.pop() {
        if !all.iter().any(|known| known.name == entry.name) {
            all.push(entry);
            next.extend(behind(entry, entries));
        }
    }
    all
}

/// Which of several logs that go on from the same place, as they do where the server was restored and wrote on, leads to the moment that is
/// wanted: the last, which is what became of the database; but before the restore, what had been until then.
pub(crate) fn fork<'a>(
    mut ways: Vec<&'a Entry>,
    until: &Until,
    entries: &'a [Entry],
    warning: &mut Option<String>,
) -> Option<&'a Entry> {
    if ways.len() < 2 {
        return ways.pop();
    }
    ways.sort_by_key(|way| way.archived);
    let all = ways.clone();
    let mut later = all.iter();
    // Of one that was archived twice, the last.
    ways.retain(|way| {
        later.next();
        !later.clone().any(|other| other.is_same_log(way))
    });
    if ways.len() < 2 {
        return ways.pop();
    }
    let way = ways.iter().rfind(|way| leads(way, until, entries));
    let or_else = match until {
        Until::Time(_) => ways.first(),
        Until::Gtid(_) | Until::End => ways.last(),
    };
    let way = *way.or(or_else)?;
    let others = ways.iter().filter(|other| other.name != way.name);
    let others: Vec<_> = others.map(|other| other.name.as_str()).collect();
    *warning = Some(format!(
        "the server was restored, and wrote on from the same place again: {} is replayed and what goes on from it, and not {}",
        way.name,
        others.join(", ")
    ));
    Some(way)
}

/// Whether a log, or one that goes on from it, may hold the moment.
fn leads(way: &Entry, until: &Until, entries: &[Entry]) -> bool {
    match until {
        Until::End => true,
        // The next one was begun by the server when it was started on what was restored.
        Until::Time(time) => {
            let begun = behind(way, entries).into_iter().map(|next| next.begun).min();
            begun.unwrap_or(way.archived) <= *time
        }
        Until::Gtid(Gtids(wanted)) => {
            let has = |entry: &Entry| wanted.last.iter().any(|gtid| holds(entry, *gtid));
            has(way) || all_behind(way, entries).into_iter().any(has)
        }
    }
}

/// Whether a transaction lies between a log's first and its last.
pub(crate) fn holds(entry: &Entry, wanted: Gtid) -> bool {
    let end = |text: &Option<String>| text.as_ref()?.parse::<Wanted>().ok()?.last.first().copied();
    let in_order = |one: Option<Gtid>, other: Option<Gtid>| one?.order(other?).map(Ordering::is_le);
    in_order(end(&entry.first), Some(wanted)) == Some(true) && in_order(Some(wanted), end(&entry.last)) == Some(true)
}
