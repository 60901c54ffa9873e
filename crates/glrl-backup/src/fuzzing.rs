//! What holds for what lies on a target and in the state directory, whoever has changed it: see `src/fuzzing.rs`.

use std::{fmt::Debug, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    binlogs::{self, gap::Gap},
    model::{binlog::Entry, manifest::Manifest, verdict::Verdict},
    operate::notify::outbox::Letter,
    state::{history::History, made::Made},
    store::{
        binlog::event::{self, FIRST},
        files,
    },
};

/// What is read and written again is read as the same.
fn comes_back<T: Debug + PartialEq + Serialize + DeserializeOwned>(text: &[u8]) -> Option<T> {
    let value = serde_json::from_slice::<T>(text).ok()?;
    let written = serde_json::to_vec_pretty(&value).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), value);
    Some(value)
}

/// A backup's manifest: what it names lies in its own directory.
pub fn manifest(text: &[u8]) {
    let Some(manifest) = comes_back::<Manifest>(text) else {
        return;
    };
    let target = Path::new("/target");
    for path in [
        manifest.archive_in(target),
        manifest.list_in(target),
        manifest.tables_in(target),
    ] {
        assert_eq!(path.parent(), Some(target), "{} leaves its directory", path.display());
    }
    binlogs::fuzzing::gap(&manifest, &[]);
    let used = manifest.snapshot.used();
    assert!(
        used <= manifest.snapshot.bytes || manifest.snapshot.fill_percent > 100.0,
        "{used} bytes"
    );
}

/// Smaller records; the first line says which.
pub fn records(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (name, text) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    match name {
        b"verdict" => {
            if let Some(verdict) = comes_back::<Verdict>(text) {
                let is_word = verdict.is_consistent();
                assert!(!is_word || verdict.checks.iter().all(|check| check.word <= verdict.verdict));
            }
        }
        b"history" => drop(comes_back::<History>(text)),
        b"made" => drop(comes_back::<Made>(text)),
        b"gap" => drop(comes_back::<Gap>(text)),
        b"letter" => drop(comes_back::<Letter>(text)),
        _ => binlogs::fuzzing::chain(&comes_back::<Vec<Entry>>(text).unwrap_or_default()),
    }
}

/// A list of files: what is no list of so many is refused; what is written reads back.
pub fn files(input: &[u8]) {
    let count = u64::from(input.first().copied().unwrap_or_default());
    let _ = files::read(input.get(1..).unwrap_or_default(), count);
    // The same without the compression, through which nothing gets that is not made for it.
    let lines = zstd::encode_all(input, 1).unwrap();
    let said = input
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .count() as u64;
    let Ok(list) = files::read(lines.as_slice(), said) else {
        return;
    };
    assert_eq!(list.len() as u64, said);
    assert!(
        said == 0 || files::read(lines.as_slice(), said - 1).is_err(),
        "more than there is to be"
    );
    let entries: Vec<_> = list.values().cloned().collect();
    let mut written = Vec::new();
    files::write(&entries, &mut written, &[]).unwrap();
    assert_eq!(files::read(written.as_slice(), said).unwrap(), list);
}

/// A binary log: its events stand one behind the other, in it, and one that is cut off has the same events up to there.
pub fn binlog(input: &[u8]) {
    let walk = |log: &[u8]| {
        let mut events = Vec::new();
        let walked = event::walk(log, |event| {
            events.push(event.clone());
            Ok(true)
        });
        (events, walked.is_ok())
    };
    let (events, is_read) = walk(input);
    let mut end = FIRST;
    for event in &events {
        assert!(
            event.begin == end && event.end > event.begin,
            "{event:?} is not behind {end}"
        );
        end = event.end;
    }
    assert!(
        events.is_empty() || end <= input.len() as u64,
        "it ends at {end} of {}",
        input.len()
    );
    for length in [input.len() / 2, input.len().saturating_sub(1)] {
        let (before, _) = walk(&input[..length]);
        assert!(events.starts_with(&before), "what is cut off says something else");
    }
    let mut first = None;
    let stopped = event::walk(input, |event| {
        assert!(first.replace(event.clone()).is_none(), "it was to stop");
        Ok(false)
    });
    assert!(stopped.is_ok() || !is_read);
    assert_eq!(first.as_ref(), events.first());
}
