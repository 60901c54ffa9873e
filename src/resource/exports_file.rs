//! exports(5): who else exports a directory, and the file that glrl writes for one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::{
    system::octal,
    value::{AbsPath, NfsClient, secret::rewrite},
};

/// A directory exported to one client, in some exports file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line it begins on, counted from 1.
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) client: String,
    /// Its own, without those that the line has for all of its clients.
    pub(super) options: Vec<String>,
}

/// Every directory and client of an exports file. exportfs stops at the first thing that it cannot make sense of; what follows is
/// listed here all the same.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut words = Words::of(text);
    while words.skip(" \t\n\r\u{b}\u{c}") {
        let line = words.line;
        let Some(path) = words.word() else { continue };
        let mut clients = Vec::new();
        while words.skip(" \t") && words.peek() != Some('\n') {
            // A word with a hyphen in front holds options for the clients behind it.
            clients.extend(words.word().filter(|word| !word.starts_with('-')));
        }
        if clients.is_empty() {
            clients.push(String::new());
        }
        entries.extend(clients.into_iter().map(|word| Entry {
            line,
            path: path.clone(),
            client: match word.split('(').next() {
                // Options without a client are for everybody.
                None | Some("") => "*".to_owned(),
                Some(client) => client.to_owned(),
            },
            options: word.split_once('(').map_or_else(Vec::new, |(_, options)| {
                options
                    .trim_end_matches(')')
                    .split(',')
                    .filter(|option| !option.is_empty())
                    .map(str::to_owned)
                    .collect()
            }),
        }));
    }
    entries
}

/// The words of an exports file, taken apart as nfs-utils does it (2.6.2, `support/nfs/xio.c`): what exports(5) says of comments,
/// quotes and joined lines leaves room, and only one reading is the server's.
struct Words<'t> {
    text: std::iter::Peekable<std::str::Chars<'t>>,
    /// The line that comes next, counted from 1.
    line: usize,
    /// The blank that stands for joined lines.
    joined: bool,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            text: text.chars().peekable(),
            line: 1,
            joined: false,
        }
    }

    /// What comes next: a backslash at the end of a line, with the blanks that begin the next one, is a blank.
    fn peek(&mut self) -> Option<char> {
        if self.joined {
            return Some(' ');
        }
        let next = *self.text.peek()?;
        let mut ahead = self.text.clone();
        ahead.next();
        if next == '\\' && ahead.next() == Some('\n') {
            self.text = ahead;
            self.line += 1;
            while self.text.next_if(|&char| char == ' ' || char == '\t').is_some() {}
            self.joined = true;
            return Some(' ');
        }
        Some(next)
    }

    fn take(&mut self) -> Option<char> {
        let char = self.peek()?;
        if std::mem::take(&mut self.joined) {
            return Some(char);
        }
        self.line += usize::from(char == '\n');
        self.text.next()
    }

    /// Skips these, and comments, which begin a word and end with their line, whatever it ends with. False at the end.
    fn skip(&mut self, blanks: &str) -> bool {
        while let Some(char) = self.peek() {
            if char == '#' && !self.joined {
                while self.text.next_if(|&char| char != '\n').is_some() {}
            } else if blanks.contains(char) {
                self.take();
            } else {
                return true;
            }
        }
        false
    }

    /// The word that begins here, without its quotes and escapes; `None` at the end of a line, or for one that is empty.
    fn word(&mut self) -> Option<String> {
        let mut word: Vec<u8> = Vec::new();
        let mut quoted = false;
        while let Some(char) = self.peek() {
            if !quoted && char == '\n' {
                break;
            }
            self.take();
            match char {
                '"' => quoted = !quoted,
                char if !quoted && (char.is_ascii_whitespace() || char == '\u{b}') => break,
                char => {
                    word.extend(char.encode_utf8(&mut [0; 4]).bytes());
                    // What an escape stands for may be a part of the next one.
                    if let Some(at) = word.len().checked_sub(4)
                        && let Some(byte) = octal::escape(&word[at..])
                    {
                        word.splice(at.., [byte]);
                    }
                }
            }
        }
        (!word.is_empty()).then(|| String::from_utf8_lossy(&word).into_owned())
    }
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

/// exports(5) knows octal escapes for any byte; these are all it could stumble over. Digits behind a backslash are among them, as it
/// would take the two for an escape once more.
fn field(path: &str) -> String {
    rewrite(path, escaped)
}

fn escaped(path: &str) -> String {
    let mut out = String::new();
    let mut since_backslash = usize::MAX;
    for char in path.chars() {
        since_backslash = if char == '\\' {
            0
        } else {
            since_backslash.saturating_add(1)
        };
        match char {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\\' | '"' | '#' | '(' | ')' => {
                let _ = write!(out, "\\{:03o}", u32::from(char));
            }
            '0'..='7' if since_backslash <= 3 => {
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
    if !known || option.contains(|c: char| c.is_whitespace() || c.is_control() || ",()\"#\\".contains(c)) {
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
        // What exportfs of nfs-utils 2.6.2 makes of it.
        let text = "# comment \\\n/a host(rw) 10.0.0.0/8(ro)\n\n\"/my files\" *(ro) # all\n/b\\\n  x(rw) \\\n y\n/c\n/d -ro,sync z\n/e\\040f (rw)\n\
            /g\\\nh(ro)\n/p#q h#i(ro) # c\\\n\"/i j\" \"k\"(ro) l\"(ro, m)\"\\\n# n\r\n\r\n/o\\134040p *(ro)\r\n/q";
        let expected = [
            (2, "/a", "host"),
            (2, "/a", "10.0.0.0/8"),
            (4, "/my files", "*"),
            (5, "/b", "x"),
            (5, "/b", "y"),
            (8, "/c", "*"),
            (9, "/d", "z"),
            (10, "/e f", "*"),
            (11, "/g", "h"),
            (13, "/p#q", "h#i"),
            (14, "/i j", "k"),
            (14, "/i j", "l"),
            (17, "/o p", "*"),
            (18, "/q", "*"),
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
        for wrong in [
            "",
            "rw,async",
            "readwrite",
            "fsid=",
            "fsid",
            "rw)",
            "anonuid=1 2",
            "sec=sys\r",
            "mp=/a\u{b}",
        ] {
            assert!(check_option(wrong).is_err(), "{wrong}");
        }
    }

    /// What exportfs(8) makes of a file, with mounts of its own over what it reads and writes. Paths and clients, of the table that it
    /// keeps; nothing without root, or where it is not installed: the lab asks it too.
    fn exportfs(text: &str) -> Option<BTreeSet<(String, String)>> {
        use crate::system::programs::{Program, find};
        find("exportfs").ok().filter(|_| nix::unistd::geteuid().is_root())?;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
        let script = "set -e; for path in /srv /var/lib/nfs; do mount -t tmpfs none $path; done; mount --bind \"$0\" /etc/exports; \
                      mkdir -p '/srv/a b' '/srv/c#d' /srv/e/f '/srv/g\"(h)'; exportfs -ra || true; cat /var/lib/nfs/etab";
        let output = Program::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .args([file.path()])
            .output()
            .unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        let line = |line: &str| {
            let (path, rest) = line.split_once('\t').unwrap();
            let client = rest.split('(').next().unwrap();
            (
                octal::decode(path),
                if client.is_empty() { "*" } else { client }.to_owned(),
            )
        };
        Some(table.lines().map(line).collect())
    }

    /// A line as people write them, exported to addresses only: names would be looked up.
    fn line() -> impl Strategy<Value = String> {
        let paths = [
            "/srv/a\\040b",
            "\"/srv/a b\"",
            "/srv/c#d",
            "/srv/e/f",
            "/srv/e/f/",
            "/srv//e",
            "/srv/g\\042\\050h\\051",
        ];
        let options = "((ro|rw)(,sync)?(,anonuid=[0-9]{1,3}){0,30})?";
        let client = format!(
            "(10\\.[0-9]\\.[0-9]\\.[1-9]|\"10\\.0\\.0\\.9\"|10\\.[0-9]\\.0\\.0/16|\\*|@g|h\\?)?(\\({options}\\)|\"\\({options}\\)\")"
        );
        let gap = "([ \\t]{1,2}|[ ]?\\\\\n[ \\t]{0,2})";
        let entry = format!("({gap}{client}){{0,9}}([ ]{{1,2}}#[ -~]{{0,9}}|[ ])?\r?");
        let entry = proptest::string::string_regex(&entry).expect("a pattern");
        prop_oneof![
            2 => "[ \t]{0,2}#[ -~]{0,12}\\\\?",
            1 => "[ \t]{0,3}",
            6 => ("[ \t]{0,2}", proptest::sample::select(paths.to_vec()), entry)
                .prop_map(|(indent, path, entry)| format!("{indent}{path}{entry}")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn the_server_reads_the_same(lines in proptest::collection::vec(line(), 0..8), end in "\n?") {
            let text = lines.join("\n") + &end;
            let own: BTreeSet<(String, String)> = entries(&text)
                .into_iter()
                .map(|entry| (entry.path.parse::<AbsPath>().map_or(entry.path, |path| path.to_string()), entry.client))
                .collect();
            if let Some(server) = exportfs(&text) {
                prop_assert_eq!(own, server, "{}", text);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(path in "/[a-z047 \"#()\\\\\té/]{0,12}", clients in proptest::collection::btree_set("[a-z*@0-9./:]{1,8}", 1..4)) {
            let Ok(path) = path.parse::<AbsPath>() else { return Ok(()) };
            let clients: BTreeMap<NfsClient, Vec<String>> =
                clients.iter().filter_map(|client| Some((client.parse().ok()?, vec!["rw".to_owned()]))).collect();
            let text = render(&path, &clients);
            let expected: Vec<_> = clients.keys().map(|client| (2, path.to_string(), client.to_string())).collect();
            prop_assert_eq!(seen(&text), expected);
        }
    }
}
