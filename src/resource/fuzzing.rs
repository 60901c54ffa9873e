//! What holds for files that others write too: see `crate::fuzzing`. The first lines of an input are what a role wants, the others the file.

use std::collections::BTreeMap;

use super::{
    crontab::{self, job, marker, parted, prefix},
    exports_file,
    fstab::{Entry, Wanted, entries, remove, same, set},
};
use crate::value::{AbsPath, JobName, MountSource, NfsClient};

/// The first line, and what is below it.
fn first(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Lines of others come back byte for byte and in their order; those of the mount point say what is wanted, and once more changes nothing;
/// removed, none of them is left. `SOURCE|PATH|TYPE|OPTIONS` is what is wanted.
pub(crate) fn fstab(text: &str) {
    let (wanted, text) = first(text);
    let fields: Vec<&str> = wanted.split('|').collect();
    let field =
        |at: usize, usual: &'static str| fields.get(at).copied().filter(|text| !text.is_empty()).unwrap_or(usual);
    let source: MountSource = field(0, "/dev/sdb")
        .parse()
        .unwrap_or(MountSource::Named("tmpfs".to_owned()));
    let path: AbsPath = field(1, "/my files")
        .parse()
        .unwrap_or_else(|_| "/srv".parse().unwrap());
    let is_option = |option: &&str| !option.is_empty() && !option.contains([' ', '\t', '\n', ',', '"']);
    let options: Vec<String> = field(3, "").split(',').filter(is_option).map(str::to_owned).collect();
    let fs_type = field(2, "xfs");
    let wanted = Wanted {
        source: source.as_str(),
        target: path.as_str(),
        fs_type,
        options: &options,
        pass: 2,
    };
    let is_mine = |entry: &Entry| entry.target == wanted.target;
    let others = |text: &str| -> Vec<String> {
        let lines = text.split('\n').filter(|line| !entries(line).iter().any(is_mine));
        lines.map(str::to_owned).collect()
    };

    let lines: Vec<&str> = text.split('\n').collect();
    for entry in entries(text) {
        let [mut alone] = entries(lines[entry.line - 1]).try_into().unwrap();
        alone.line = entry.line;
        assert_eq!(alone, entry, "a line means what it means in its file");
    }

    let edited = set(text, &wanted);
    let (before, mut after) = (others(text), others(&edited));
    if before != after {
        // A new line is the last one: the file ends with it.
        assert!(edited.ends_with('\n') && after.pop().is_some_and(|end| end.is_empty()));
        let before = before.strip_suffix(&[String::new()]).unwrap_or(&before);
        assert_eq!(before, after, "lines of others stay");
    }
    let mine: Vec<Entry> = entries(&edited).into_iter().filter(is_mine).collect();
    assert!(!mine.is_empty(), "what is wanted is there");
    for entry in mine {
        assert_eq!(
            (entry.source.as_str(), entry.fs_type.as_str()),
            (wanted.source, wanted.fs_type)
        );
        assert!(same(&entry.options, &options), "{:?} is not {options:?}", entry.options);
    }
    assert_eq!(set(&edited, &wanted), edited, "once more changes nothing");

    let removed = remove(&edited, wanted.target);
    assert!(!entries(&removed).iter().any(is_mine), "what is removed is gone");
    let ended = |lines: Vec<String>| lines.join("\n").trim_end_matches('\n').to_owned();
    assert_eq!(ended(others(&removed)), ended(others(&edited)), "lines of others stay");
    assert_eq!(
        remove(text, wanted.target).trim_end_matches('\n'),
        removed.trim_end_matches('\n')
    );
}

/// What is written reads back, also in front of a file of others, which keeps its meaning. `PATH|CLIENT|OPTIONS|CLIENT|OPTIONS…` is what is
/// written.
pub(crate) fn exports(text: &str) {
    let (wanted, text) = first(text);
    let mut fields = wanted.split('|');
    let path: AbsPath = fields
        .next()
        .and_then(|path| path.parse().ok())
        .unwrap_or_else(|| "/srv".parse().unwrap());
    let mut clients: BTreeMap<NfsClient, Vec<String>> = BTreeMap::new();
    while let Some(client) = fields.next() {
        let options = fields.next().unwrap_or_default().split(',');
        let options = options
            .filter(|option| exports_file::check_option(option).is_ok())
            .map(str::to_owned);
        if let Ok(client) = client.parse() {
            clients.insert(client, options.collect());
        }
    }
    if clients.is_empty() {
        clients.insert("*".parse().unwrap(), Vec::new());
    }

    let others = exports_file::entries(text);
    let count = text.matches('\n').count() + 1;
    for entry in &others {
        assert!(
            (1..=count).contains(&entry.line) && !entry.path.is_empty() && !entry.client.is_empty(),
            "{entry:?}"
        );
    }

    let written = exports_file::render(&path, &clients);
    let read = exports_file::entries(&format!("{written}{text}"));
    let (mine, below) = read.split_at(clients.len());
    for (entry, (client, options)) in mine.iter().zip(&clients) {
        assert_eq!(
            (entry.line, entry.path.as_str(), entry.client.as_str()),
            (2, path.as_str(), client.as_str())
        );
        let mut wanted = options.clone();
        if !wanted.iter().any(|option| option.ends_with("subtree_check")) {
            wanted.push("no_subtree_check".to_owned());
        }
        assert_eq!(entry.options, wanted);
    }
    let lines = written.matches('\n').count();
    let below: Vec<_> = below
        .iter()
        .cloned()
        .map(|entry| exports_file::Entry {
            line: entry.line - lines,
            ..entry
        })
        .collect();
    assert_eq!(below, others, "a file of others means what it meant");
}

/// The job is in the table as it was set, right below its marker, and once more changes nothing; without it the table has all other lines,
/// byte for byte, and nothing is found that could not be removed. `NAME|JOB` is what is set.
pub(crate) fn crontab(text: &str) {
    let (wanted, table) = first(text);
    let (name, line) = wanted.split_once('|').unwrap_or((wanted, ""));
    let name: JobName = name.parse().unwrap_or_else(|_| "a-job".parse().unwrap());
    let line = format!("@daily {line}");
    let line = line.trim_end_matches('\r');
    let variable = format!("{}T=\"1\"", prefix(&name));

    let removed = crontab::with(table, &name, None);
    assert_eq!(job(&removed, &name), None, "what is removed is gone");
    assert_eq!(parted(&removed, &name), None, "what is removed is gone");
    // What is gone are markers, each with its variables and its job.
    let mut left = removed.split_inclusive('\n').peekable();
    let mut gone = Vec::new();
    for line in table.split_inclusive('\n') {
        if left.next_if_eq(&line).is_none() {
            gone.push(line.trim_end_matches('\n'));
        }
    }
    assert_eq!(left.next(), None, "lines of others stay, in their order");
    let is_header = |line: &str| line.starts_with("# DO NOT EDIT") || line.starts_with("# (");
    let marker = marker(&name);
    let is_job = |line: &str| {
        line.trim_start()
            .starts_with(|c: char| c.is_ascii_digit() || "*@".contains(c))
    };
    for line in gone {
        assert!(
            line == marker || line.starts_with(&prefix(&name)) || is_job(line) || is_header(line),
            "{line:?} is of others"
        );
    }

    for block in [line.to_owned(), format!("{variable}\n{line}")] {
        let set = crontab::with(table, &name, Some(&block));
        let found = job(&set, &name).expect("what is set is there");
        let variables: &[&str] = if block == line { &[] } else { &[&variable] };
        assert_eq!((found.line, found.variables.as_slice()), (line, variables));
        assert_eq!(parted(&set, &name), None, "the job is right below its marker");
        assert_eq!(
            crontab::with(&set, &name, Some(&block)),
            set,
            "once more changes nothing"
        );
        let again = crontab::with(&set, &name, None);
        assert_eq!(
            again.trim_end_matches('\n'),
            removed.trim_end_matches('\n'),
            "lines of others stay"
        );
    }
}
