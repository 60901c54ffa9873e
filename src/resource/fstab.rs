//! fstab(5), read and edited by the line: what is not about the declared mount point comes back byte for byte.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::Plan;
use crate::system::{Meta, Op, UnitVerb, octal};

/// Where it is.
pub(super) const FSTAB: &str = "/etc/fstab";
/// There where systemd runs (`sd_booted(3)`).
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// A line that mounts something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its line, counted from 1.
    pub(super) line: usize,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) fs_type: String,
    pub(super) options: Vec<String>,
}

/// What a line is to say. `pass` is written on a new line only.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) source: &'a str,
    pub(super) target: &'a str,
    pub(super) fs_type: &'a str,
    pub(super) options: &'a [String],
    /// When fsck(8) looks at it at boot: 0 never, 2 after the root.
    pub(super) pass: u8,
}

/// Every line that mounts something, in order.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    text.split('\n')
        .enumerate()
        .filter_map(|(at, line)| entry(at + 1, line))
        .collect()
}

/// The text with the lines of this mount point saying what is wanted; a new line at the end where there is none.
pub(super) fn set(text: &str, wanted: &Wanted) -> String {
    set_where(text, wanted, |entry| entry.target == wanted.target)
}

/// The same with the lines that are told by something else.
pub(super) fn set_where(text: &str, wanted: &Wanted, is_it: impl Fn(&Entry) -> bool) -> String {
    let options = join(wanted.options);
    let values = [wanted.source, wanted.target, wanted.fs_type, &options];
    let mut found = false;
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        match entry(0, line) {
            Some(entry) if is_it(&entry) => {
                found = true;
                lines.push(edit(line, &entry, wanted));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    if !found {
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let fields = values.map(octal::encode).join(" ");
        lines.extend([format!("{fields} 0 {}", wanted.pass), String::new()]);
    }
    lines.join("\n")
}

/// The text without the lines of this mount point.
pub(super) fn remove(text: &str, target: &str) -> String {
    remove_where(text, |entry| entry.target == target)
}

/// The text without lines that are told by something else.
pub(super) fn remove_where(text: &str, is_it: impl Fn(&Entry) -> bool) -> String {
    text.split_inclusive('\n')
        .filter(|line| !entry(0, line.strip_suffix('\n').unwrap_or(line)).is_some_and(|entry| is_it(&entry)))
        .collect()
}

/// Writes fstab, and has systemd, where it runs, make its units of it.
pub(super) fn write(mut plan: Plan, text: String, systemd: bool) -> Plan {
    plan = plan.op(Op::WriteFile {
        path: FSTAB.parse().unwrap_or_else(|_| unreachable!("it is an absolute path")),
        contents: text.into_bytes().into(),
        meta: Meta::default(),
        validate: None,
    });
    if systemd {
        // A reload concerns all units; this one names why.
        plan = plan.op(Op::Unit {
            name: "local-fs.target"
                .parse()
                .unwrap_or_else(|_| unreachable!("it is a unit's name")),
            verb: UnitVerb::DaemonReload,
        });
    }
    plan
}

/// Where the fields of a line are, between blanks. A carriage return at its end belongs to none (libmount, `mnt_parse_table_line`).
fn fields(line: &str) -> Vec<Range<usize>> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut fields = Vec::new();
    let mut start = None;
    for (at, byte) in line.bytes().chain([b' ']).enumerate() {
        match (byte, start) {
            (b' ' | b'\t', Some(from)) => {
                fields.push(from..at);
                start = None;
            }
            (b' ' | b'\t', None) | (_, Some(_)) => {}
            (_, None) => start = Some(at),
        }
    }
    fields
}

fn entry(number: usize, line: &str) -> Option<Entry> {
    let fields = fields(line);
    let [source, target, fs_type, rest @ ..] = fields.as_slice() else {
        return None;
    };
    if line[source.clone()].starts_with('#') {
        return None;
    }
    Some(Entry {
        line: number,
        source: octal::decode(&line[source.clone()]),
        target: one_spelling(octal::decode(&line[target.clone()])),
        fs_type: octal::decode(&line[fs_type.clone()]),
        options: rest
            .first()
            .map(|options| split(&octal::decode(&line[options.clone()])))
            .unwrap_or_default(),
    })
}

/// A mount point without doubled slashes, `.` and a slash at its end; what is no path (`none`) as it is.
fn one_spelling(target: String) -> String {
    if target.starts_with('/') {
        let path: PathBuf = Path::new(&target).components().collect();
        path.to_str().map(str::to_owned).unwrap_or(target)
    } else {
        target
    }
}

/// Puts the wanted values in, where they differ; blanks, order of options, fsck's pass and what follows stay as they are.
fn edit(line: &str, entry: &Entry, wanted: &Wanted) -> String {
    let fields = fields(line);
    let mut line = line.to_owned();
    // From the back, so that the places in front stay right.
    if let Some((at, place)) = unreadable(&line, &fields) {
        let before = if at == 4 { "0 " } else { "" };
        line.insert_str(place.start, &format!("{before}{} ", wanted.pass));
    }
    if !same(&entry.options, wanted.options) {
        let options = octal::encode(&join(wanted.options));
        match fields.get(3) {
            Some(place) => line.replace_range(place.clone(), &options),
            None => line.insert_str(fields[2].end, &format!(" {options}")),
        }
    }
    if entry.fs_type != wanted.fs_type {
        line.replace_range(fields[2].clone(), &octal::encode(wanted.fs_type));
    }
    if entry.source != wanted.source {
        line.replace_range(fields[0].clone(), &octal::encode(wanted.source));
    }
    line
}

/// The first of the fifth and the sixth field that is not the number that it has to be: mount(8) ignores such a line as a whole, also
/// where it is a comment that begins too early.
fn unreadable<'f>(line: &str, fields: &'f [Range<usize>]) -> Option<(usize, &'f Range<usize>)> {
    let mut numbers = fields.iter().enumerate().take(6).skip(4);
    numbers.find(|(_, place)| line[(*place).clone()].parse::<i64>().is_err())
}

/// Whether two lists of options mean the same: their order is of no matter, and `defaults` says nothing.
pub(super) fn same(one: &[String], other: &[String]) -> bool {
    let sorted = |options: &[String]| {
        let mut options: Vec<String> = options.iter().filter(|option| *option != "defaults").cloned().collect();
        options.sort_unstable();
        options.dedup();
        options
    };
    sorted(one) == sorted(other)
}

fn split(options: &str) -> Vec<String> {
    // A comma inside quotes belongs to its option, as in SELinux contexts.
    let mut quoted = false;
    options
        .split(|char| {
            quoted ^= char == '"';
            char == ',' && !quoted
        })
        .filter(|option| !option.is_empty())
        .map(str::to_owned)
        .collect()
}

fn join(options: &[String]) -> String {
    if options.is_empty() {
        "defaults".to_owned()
    } else {
        options.join(",")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FSTAB: &str = "# /etc/fstab: static file system information.\n\
        UUID=0a1b / ext4 errors=remount-ro 0 1\n\
        \n\
        \t/dev/mysql/data\t/var/lib/mysql   xfs  noatime,nofail  0\t2  # the database\n\
        backup:/srv /my\\040files nfs4 defaults 0 0";

    fn options(all: &[&str]) -> Vec<String> {
        all.iter().map(|&one| one.to_owned()).collect()
    }

    fn wanted<'a>(source: &'a str, target: &'a str, options: &'a [String]) -> Wanted<'a> {
        Wanted {
            source,
            target,
            fs_type: "xfs",
            options,
            pass: 0,
        }
    }

    #[test]
    fn only_what_differs_is_edited() {
        let options = options(&["noatime"]);
        let edited = set(FSTAB, &wanted("/dev/mysql/data", "/var/lib/mysql", &options));
        insta::assert_snapshot!(edited, @r"
        # /etc/fstab: static file system information.
        UUID=0a1b / ext4 errors=remount-ro 0 1

        	/dev/mysql/data	/var/lib/mysql   xfs  noatime  0	2  # the database
        backup:/srv /my\040files nfs4 defaults 0 0
        ");
        let reordered = super::tests::options(&["nofail", "noatime"]);
        assert_eq!(
            set(FSTAB, &wanted("/dev/mysql/data", "/var/lib/mysql", &reordered)),
            FSTAB
        );
    }

    #[test]
    fn a_new_line_ends_the_file() {
        let new = set(FSTAB, &wanted("/dev/vdb", "/a b", &[]));
        assert_eq!(new, format!("{FSTAB}\n/dev/vdb /a\\040b xfs defaults 0 0\n"));
        assert_eq!(
            set("", &wanted("/dev/vdb", "/x", &[])),
            "/dev/vdb /x xfs defaults 0 0\n"
        );
        assert_eq!(remove(&new, "/a b"), format!("{FSTAB}\n"));
    }

    /// Whatever editors and panels do to it: the line is found again, changes only in what differs, and goes as a whole.
    #[test]
    fn a_line_is_found_again_whatever_was_done_to_its_file() {
        let noatime = options(&["noatime"]);
        let own = wanted("/dev/mysql/data", "/var/lib/mysql", &noatime);
        let text = set(FSTAB, &own);
        let mut sorted: Vec<&str> = text.lines().collect();
        sorted.sort_unstable();
        for mangled in [
            text.replace('\n', "\r\n"),
            text.replace('\n', " \t\n"),
            text.replace(' ', "\t"),
            text.replace('\n', "\n\n# mine\n"),
            text.trim_end().to_owned(),
            sorted.join("\n"),
        ] {
            assert_eq!(set(&mangled, &own), mangled);
            let changed = set(&mangled, &wanted("/dev/mysql/data", "/var/lib/mysql", &[]));
            assert_eq!(entries(&changed).len(), entries(&mangled).len(), "{changed}");
            let gone = remove(&mangled, "/var/lib/mysql");
            assert_eq!(entries(&gone).len() + 1, entries(&mangled).len(), "{gone}");
            assert!(!gone.contains("/dev/mysql"), "{gone}");
        }
    }

    #[test]
    fn comments_and_fragments_are_no_entries() {
        for none in ["", "   ", "# /dev/vdb /x xfs", "/dev/vdb", "/dev/vdb /x"] {
            assert_eq!(entries(none), [], "{none}");
        }
        let [entry] = entries("/dev/vdb /x/ xfs").try_into().unwrap();
        assert_eq!((entry.target.as_str(), entry.options.len()), ("/x", 0));
        assert_eq!(entries("/dev/vdb / xfs")[0].target, "/");
        let [entry] = entries("/dev/vdb /x xfs context=\"a,b\",ro").try_into().unwrap();
        assert_eq!(entry.options, ["context=\"a,b\"", "ro"]);
    }

    /// What findmnt(8), which is libmount, reads from the same text.
    fn findmnt(text: &str) -> Vec<(String, String, String, Vec<String>)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
        let json = crate::system::programs::Program::new("findmnt")
            .args([
                "--json",
                "--nocanonicalize",
                "--output",
                "SOURCE,TARGET,FSTYPE,OPTIONS",
                "--tab-file",
            ])
            .args([file.path()])
            .output()
            .unwrap()
            .stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap_or_default();
        let field = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let entries = json["filesystems"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| {
                (
                    field(entry, "source"),
                    field(entry, "target"),
                    field(entry, "fstype"),
                    split(&field(entry, "options")),
                )
            })
            .collect()
    }

    /// The lines that `findmnt --verify` says are ignored.
    fn ignored(text: &str) -> Vec<usize> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
        let said = crate::system::programs::Program::new("findmnt")
            .args(["--verify", "--tab-file"])
            .args([file.path()])
            .output()
            .unwrap();
        let numbers = String::from_utf8_lossy(&said.stderr).into_owned();
        let numbers = numbers
            .lines()
            .filter_map(|line| line.strip_suffix(" -- ignored")?.rsplit(' ').next()?.parse().ok());
        numbers
            .collect::<std::collections::BTreeSet<usize>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn libmount_reads_the_same() {
        let texts = [
            FSTAB,
            "/dev/vdb /x xfs\n/dev/vdc /y\n \nnone /z tmpfs size=1G,mode=0700 0 0 # why\n",
            "\t/dev/my\\040disk /a\\011b xfs context=\"system_u:object_r:tmp_t:s0:c127,c456\",noatime\n#/dev/x /x xfs\n",
            "LABEL=\\134x /\\134y xfs defaults 0 0",
        ];
        for text in texts {
            let own: Vec<_> = entries(text)
                .into_iter()
                .map(|entry| (entry.source, entry.target, entry.fs_type, entry.options))
                .collect();
            assert_eq!(own, findmnt(text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn libmount_reads_what_is_written(
            source in "/dev/[a-z \\t\\\\#\u{e4}]{1,8}", target in "/[a-z \\t\\\\#\u{e4}]{0,8}[a-z]", option in "[a-z]{1,4}=[a-z\\\\]{1,4}"
        ) {
            let options = vec![option];
            let text = set(FSTAB, &wanted(&source, &target, &options));
            let mut expected = findmnt(FSTAB);
            expected.push((source, target, "xfs".to_owned(), options));
            prop_assert_eq!(findmnt(&text), expected);
        }
    }

    #[test]
    fn a_line_that_mount_ignores_is_mended() {
        for (line, expected) in [
            ("/dev/vdb /x xfs ro # why", "/dev/vdb /x xfs ro 0 0 # why"),
            ("/dev/vdb /x xfs ro 0 # why", "/dev/vdb /x xfs ro 0 0 # why"),
            ("/dev/vdb /x xfs ro zero 0", "/dev/vdb /x xfs ro 0 0 zero 0"),
            ("/dev/vdb /x xfs ro 0 2 # why", "/dev/vdb /x xfs ro 0 2 # why"),
        ] {
            let edited = set(line, &wanted("/dev/vdb", "/x", &options(&["ro"])));
            assert_eq!(edited, expected);
            assert_eq!(findmnt(&edited).len(), 1, "{edited}");
        }
    }

    /// A line as people write them, and the mount point that it has.
    fn line() -> impl Strategy<Value = (String, Option<&'static str>)> {
        const TARGETS: [(&str, &str); 8] = [
            ("/my\\040files", "/my files"),
            ("/my\\040files/", "/my files"),
            ("//my\\040files", "/my files"),
            ("/my", "/my"),
            ("/my\\040files/in", "/my files/in"),
            ("/a\\011b\\134", "/a\tb\\"),
            ("none", "none"),
            ("/", "/"),
        ];
        let sources = "(/dev/[a-z]{1,4}(\\\\040|#)?x|UUID=\"?[0-9a-f]{4}\"?|LABEL=[a-z]{3}|host:/[a-z]{1,4}|tmpfs)";
        let options = "([a-z]{1,6}(=[a-z0-9:]{1,6})?(,[a-z-]{1,8}(=\"[a-z,]{1,6}\")?){0,30})";
        let rest =
            format!("([ \t]{{1,3}}{options}([ \t]{{1,2}}[0-9]([ \t]{{1,3}}[0-9]([ \t]{{1,3}}#?[ a-z]{{0,9}})?)?)?)?");
        let entry = (
            "[ \t]{0,2}",
            sources,
            "[ \t]{1,3}",
            proptest::sample::select(&TARGETS[..]),
            "[ \t]{1,9}(xfs|ext4|nfs4|auto|swap)",
            proptest::string::string_regex(&rest).expect("a pattern"),
        );
        prop_oneof![
            2 => "[ \t]{0,2}#[ -~\\u{e4}]{0,20}".prop_map(|comment| (comment, None)),
            1 => "[ \t]{0,3}".prop_map(|blank| (blank, None)),
            1 => "/dev/[a-z]{1,3}([ \t]/[a-z]{1,3})?".prop_map(|fragment| (fragment, None)),
            6 => entry.prop_map(|(indent, source, gap, (spelled, target), fs_type, rest)| {
                (format!("{indent}{source}{gap}{spelled}{fs_type}{rest}"), Some(target))
            }),
        ]
    }

    /// A whole file: its lines with their ends, of which the last may be missing.
    fn file() -> impl Strategy<Value = Vec<(String, Option<&'static str>)>> {
        (
            proptest::collection::vec((line(), any::<bool>()), 0..12),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(lines, foreign, ended)| {
                let last = lines.len().saturating_sub(1);
                let end = |at, carriage| match (at == last && !ended, foreign && carriage) {
                    (true, _) => "",
                    (_, true) => "\r\n",
                    _ => "\n",
                };
                let lines = lines.into_iter().enumerate();
                lines
                    .map(|(at, ((line, target), carriage))| (line + end(at, carriage), target))
                    .filter(|(line, _)| !line.is_empty())
                    .collect()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn libmount_reads_the_same_of_any_file(file in file()) {
            let text: String = file.into_iter().map(|(line, _)| line).collect();
            let own: Vec<_> = entries(&text)
                .into_iter()
                .map(|entry| (entry.source, entry.target, entry.fs_type, entry.options))
                .collect();
            let libmount: Vec<_> = findmnt(&text)
                .into_iter()
                .map(|(source, target, fs_type, options)| (source, one_spelling(target), fs_type, options))
                .collect();
            prop_assert_eq!(own, libmount, "{}", text);
            // And the lines that are no entries are those that mount(8) ignores.
            let mut lines = ignored(&text);
            lines.extend(entries(&text).iter().map(|entry| entry.line));
            lines.sort_unstable();
            let said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
            let all: Vec<usize> = text.lines().enumerate().filter(|(_, line)| said(line)).map(|(at, _)| at + 1).collect();
            prop_assert_eq!(lines, all, "{}", text);
        }
    }

    proptest! {
        #[test]
        fn lines_of_others_come_back(
            file in file(), source in "/dev/[a-z ]{1,6}", list in proptest::collection::vec("[a-z]{1,5}", 0..4),
        ) {
            const MINE: &str = "/my files";
            let text: String = file.iter().map(|(line, _)| line.as_str()).collect();
            let wanted = wanted(&source, MINE, &list);
            let edited = set(&text, &wanted);
            let mut after = edited.split_inclusive('\n');
            let mut mine = Vec::new();
            let mut others = String::new();
            let is_new = file.iter().all(|(_, target)| *target != Some(MINE));
            for (at, (before, target)) in file.iter().enumerate() {
                let after = after.next().unwrap_or_default();
                if *target == Some(MINE) {
                    mine.push(after);
                } else {
                    // A last line that did not end does when another comes after it.
                    let missing = if is_new && at + 1 == file.len() && !before.ends_with('\n') { "\n" } else { "" };
                    prop_assert_eq!(format!("{before}{missing}"), after);
                    others.push_str(after);
                }
            }
            mine.extend(after);
            prop_assert_eq!(mine.is_empty(), false);
            for line in mine {
                let [entry] = entries(line).try_into().expect("one");
                prop_assert_eq!((&entry.source, entry.target.as_str(), entry.fs_type.as_str()), (&source, MINE, "xfs"));
                prop_assert!(same(&entry.options, &list));
            }
            prop_assert_eq!(set(&edited, &wanted), edited.clone());
            prop_assert_eq!(remove(&edited, MINE), others);
        }
    }
}
