//! exports(5): who else exports a directory, and the file that glrl writes for one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::{
    system::octal,
    value::{AbsPath, NfsClient},
};

/// A directory exported to one client, in some exports file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line it begins on, counted from 1.
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) client: String,
}

/// Every directory and client of an exports file. What exportfs would reject is left out.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (line, content) in lines(text) {
        let mut words = words(&content).into_iter();
        let Some(path) = words.next() else { continue };
        let mut any = false;
        // A word with a hyphen in front holds options for the clients behind it.
        for word in words.filter(|word| !word.starts_with('-')) {
            let client = word.split('(').next().unwrap_or_default();
            any = true;
            entries.push(Entry {
                line,
                path: path.clone(),
                // Options without a client are for everybody.
                client: if client.is_empty() {
                    "*".to_owned()
                } else {
                    client.to_owned()
                },
            });
        }
        if !any {
            entries.push(Entry {
                line,
                path,
                client: "*".to_owned(),
            });
        }
    }
    entries
}

/// Lines without comments, those that a backslash joins made one, with the number of the first.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let joins = line.ends_with('\\');
        let line = line.strip_suffix('\\').unwrap_or(line);
        match lines.last_mut() {
            Some((_, before)) if open => before.push_str(line),
            _ => lines.push((at + 1, line.to_owned())),
        }
        open = joins;
    }
    for (_, line) in &mut lines {
        let mut quoted = false;
        let comment = line.find(|char| {
            quoted ^= char == '"';
            char == '#' && !quoted
        });
        line.truncate(comment.unwrap_or(line.len()));
    }
    lines
}

/// Words between blanks; quotes keep blanks, octal escapes are undone.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for char in line.chars().chain([' ']) {
        match char {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                if !word.is_empty() {
                    words.push(octal::decode(&std::mem::take(&mut word)));
                }
            }
            char => word.push(char),
        }
    }
    words
}

/// The file for one directory: a comment, and one line.
pub(super) fn render(path: &AbsPath, clients: &BTreeMap<NfsClient, Vec<String>>) -> String {
    let mut text = format!("# Written by glrl for nfs_export:{path}: changes here are overwritten.\n");
    text.push_str(&field(path.as_str()));
    for (client, options) in clients {
        let _ = write!(text, " {client}({})", spelled(options).join(","));
    }
    text.push('\n');
    text
}

/// exports(5) knows octal escapes for any byte; these are all it could stumble over.
fn field(path: &str) -> String {
    let mut out = String::new();
    for char in path.chars() {
        match char {
            ' ' | '\t' | '\n' | '\r' | '\\' | '"' | '#' | '(' | ')' => {
                let _ = write!(out, "\\{:03o}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out
}

/// Options as they are written: exportfs wants to hear about subtree checks, or it warns.
fn spelled(options: &[String]) -> Vec<String> {
    let mut all = options.to_vec();
    if !all.iter().any(|option| option.ends_with("subtree_check")) {
        all.push("no_subtree_check".to_owned());
    }
    all
}

/// Pairs of which an export always has one; the default comes first.
const PAIRS: [(&str, &str); 12] = [
    ("ro", "rw"),
    ("sync", "async"),
    ("wdelay", "no_wdelay"),
    ("hide", "nohide"),
    ("nocrossmnt", "crossmnt"),
    ("secure", "insecure"),
    ("root_squash", "no_root_squash"),
    ("no_all_squash", "all_squash"),
    ("no_subtree_check", "subtree_check"),
    ("secure_locks", "insecure_locks"),
    ("acl", "no_acl"),
    ("no_pnfs", "pnfs"),
];

/// Other names of the same option.
const SYNONYMS: [(&str, &str); 2] = [("auth_nlm", "secure_locks"), ("no_auth_nlm", "insecure_locks")];

/// Options that have a value, and those that stand by themselves.
const VALUED: [&str; 9] = [
    "anonuid",
    "anongid",
    "fsid",
    "sec",
    "refer",
    "replicas",
    "mountpoint",
    "mp",
    "xprtsec",
];
const PLAIN: [&str; 3] = ["security_label", "mountpoint", "mp"];

/// What is wrong with an option; nothing if exports(5) knows it.
pub(super) fn check_option(option: &str) -> Result<(), String> {
    let known = match option.split_once('=') {
        Some((name, value)) => VALUED.contains(&name) && !value.is_empty(),
        None => {
            PLAIN.contains(&option)
                || PAIRS.iter().any(|(one, other)| [*one, *other].contains(&option))
                || SYNONYMS.iter().any(|(name, _)| *name == option)
        }
    };
    if !known || option.contains([' ', '\t', '\n', ',', '(', ')', '"', '#', '\\']) {
        return Err(format!("'{option}' is not an option of an export (exports(5))"));
    }
    Ok(())
}

/// The options that are in effect, defaults spelled out, as far as `/var/lib/nfs/etab` shows them.
pub(super) fn effective(options: &[String]) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = PAIRS.iter().map(|(default, _)| (*default).to_owned()).collect();
    for option in options {
        let option = SYNONYMS
            .iter()
            .find(|(name, _)| name == option)
            .map_or(option.as_str(), |(_, name)| name);
        if let Some((one, other)) = PAIRS.iter().find(|(one, other)| [*one, *other].contains(&option)) {
            all.remove(*one);
            all.remove(*other);
        }
        all.insert(option.to_owned());
    }
    all
}

/// Whether the live options are those that are wanted. The server adds some of its own.
pub(super) fn in_effect(live: &[String], wanted: &[String]) -> bool {
    effective(wanted).iter().all(|option| {
        // These two are shown under either name, or not at all.
        option.starts_with("mp") || option.starts_with("mountpoint") || live.contains(option)
    })
}

/// The name of a directory's file below /etc/exports.d: its path, with what is no letter or digit escaped as systemd does.
pub(super) fn file_name(path: &AbsPath) -> String {
    let path = path.as_str().trim_start_matches('/');
    let mut name = String::from("glrl-");
    if path.is_empty() {
        name.push('-');
    }
    for byte in path.bytes() {
        match byte {
            b'/' => name.push('-'),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') => name.push(char::from(byte)),
            byte => drop(write!(name, "\\x{byte:02x}")),
        }
    }
    name.push_str(".exports");
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(text: &str) -> Vec<(usize, String, String)> {
        entries(text)
            .into_iter()
            .map(|entry| (entry.line, entry.path, entry.client))
            .collect()
    }

    #[test]
    fn every_client_of_every_line_is_seen() {
        let text = "# comment\n/a host(rw) 10.0.0.0/8(ro)\n\n\"/my files\" *(ro) # all\n/b\\\n  x(rw) \\\n y\n/c\n/d -ro,sync z\n/e\\040f (rw)\n";
        let expected = [
            (2, "/a", "host"),
            (2, "/a", "10.0.0.0/8"),
            (4, "/my files", "*"),
            (5, "/b", "x"),
            (5, "/b", "y"),
            (8, "/c", "*"),
            (9, "/d", "z"),
            (10, "/e f", "*"),
        ];
        let expected: Vec<_> = expected
            .map(|(line, path, client)| (line, path.to_owned(), client.to_owned()))
            .into();
        assert_eq!(seen(text), expected);
    }

    #[test]
    fn names_of_files_do_not_collide() {
        let names: BTreeSet<String> = ["/a/b", "/a-b", "/a_b", "/a", "/", "/a b", "/a.b"]
            .iter()
            .map(|path| file_name(&path.parse().unwrap()))
            .collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert_eq!(file_name(&"/srv/backup".parse().unwrap()), "glrl-srv-backup.exports");
    }

    #[test]
    fn live_options_are_compared_with_defaults_spelled_out() {
        let list = |text: &str| {
            text.split(',')
                .filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // From nfs-utils 2.6.2.
        let live = list(
            "rw,sync,wdelay,hide,nocrossmnt,secure,no_root_squash,no_all_squash,no_subtree_check,secure_locks,acl,no_pnfs,anonuid=65534,anongid=65534,sec=sys,rw,secure,no_root_squash,no_all_squash",
        );
        assert!(in_effect(&live, &list("rw,no_root_squash")));
        assert!(in_effect(
            &live,
            &list("rw,sync,no_root_squash,no_subtree_check,auth_nlm,sec=sys,mp")
        ));
        for other in [
            "",
            "rw",
            "ro,no_root_squash",
            "rw,no_root_squash,async",
            "rw,no_root_squash,fsid=0",
            "rw,no_root_squash,sec=krb5",
        ] {
            assert!(!in_effect(&live, &list(other)), "{other}");
        }
    }

    #[test]
    fn unknown_options_are_named() {
        for right in ["rw", "fsid=0", "sec=krb5:krb5p", "anonuid=1000", "crossmnt"] {
            assert_eq!(check_option(right), Ok(()));
        }
        for wrong in ["", "rw,async", "readwrite", "fsid=", "fsid", "rw)", "anonuid=1 2"] {
            assert!(check_option(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(path in "/[a-z \"#()\\\\\té/]{0,12}", clients in proptest::collection::btree_set("[a-z*@0-9./:]{1,8}", 1..4)) {
            let Ok(path) = path.parse::<AbsPath>() else { return Ok(()) };
            let clients: BTreeMap<NfsClient, Vec<String>> =
                clients.iter().filter_map(|client| Some((client.parse().ok()?, vec!["rw".to_owned()]))).collect();
            let text = render(&path, &clients);
            let expected: Vec<_> = clients.keys().map(|client| (2, path.to_string(), client.to_string())).collect();
            prop_assert_eq!(seen(&text), expected);
        }
    }
}
