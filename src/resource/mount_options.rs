//! Mount options: which the kernel shows, which only fstab can bear witness of, and which are for programs alone (mount(8), nfs(5)).

/// How access times are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AccessTime {
    No,
    Relative,
    Strict,
}

/// The options that every mount has and the kernel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the flags of mount(2), each of its own"
)]
struct Flags {
    read_only: bool,
    no_suid: bool,
    no_dev: bool,
    no_exec: bool,
    no_directory_time: bool,
    access_time: AccessTime,
}

impl Flags {
    const DEFAULT: Self = Self {
        read_only: false,
        no_suid: false,
        no_dev: false,
        no_exec: false,
        no_directory_time: false,
        access_time: AccessTime::Relative,
    };

    /// What a list of declared options asks for; the later of two that contradict each other wins.
    fn declared(options: &[String]) -> Self {
        Self::DEFAULT.with(options)
    }

    /// These, and what a list of declared options says otherwise.
    fn with(self, options: &[String]) -> Self {
        let mut flags = self;
        for option in options {
            match option.as_str() {
                "ro" => flags.read_only = true,
                "rw" => flags.read_only = false,
                "nosuid" => flags.no_suid = true,
                "suid" => flags.no_suid = false,
                "nodev" => flags.no_dev = true,
                "dev" => flags.no_dev = false,
                "noexec" => flags.no_exec = true,
                "exec" => flags.no_exec = false,
                "nodiratime" => flags.no_directory_time = true,
                "diratime" => flags.no_directory_time = false,
                "noatime" => flags.access_time = AccessTime::No,
                "atime" | "relatime" => flags.access_time = AccessTime::Relative,
                "strictatime" => flags.access_time = AccessTime::Strict,
                "user" | "users" => (flags.no_suid, flags.no_dev, flags.no_exec) = (true, true, true),
                "owner" | "group" => (flags.no_suid, flags.no_dev) = (true, true),
                _ => {}
            }
        }
        flags
    }

    /// What mountinfo shows: the mount's own options come first.
    fn live(options: &[String]) -> Self {
        let has = |name: &str| options.iter().any(|option| option == name);
        Self {
            read_only: options
                .iter()
                .find(|option| matches!(option.as_str(), "ro" | "rw"))
                .is_some_and(|option| option == "ro"),
            no_suid: has("nosuid"),
            no_dev: has("nodev"),
            no_exec: has("noexec"),
            no_directory_time: has("nodiratime"),
            access_time: match (has("noatime"), has("relatime")) {
                (true, _) => AccessTime::No,
                (false, true) => AccessTime::Relative,
                (false, false) => AccessTime::Strict,
            },
        }
    }

    /// All of them, spelled out: what a remount has to be told so that nothing stays as it was.
    fn spelled(self) -> Vec<String> {
        let choose = |no: bool, negative: &'static str, positive: &'static str| if no { negative } else { positive };
        let mut options = vec![
            choose(self.read_only, "ro", "rw"),
            choose(self.no_suid, "nosuid", "suid"),
            choose(self.no_dev, "nodev", "dev"),
            choose(self.no_exec, "noexec", "exec"),
            choose(self.no_directory_time, "nodiratime", "diratime"),
        ];
        options.push(match self.access_time {
            AccessTime::No => "noatime",
            AccessTime::Relative => "relatime",
            AccessTime::Strict => "strictatime",
        });
        options.into_iter().map(str::to_owned).collect()
    }

    /// As mountinfo will show them.
    fn shown(self) -> Vec<String> {
        let positive = ["suid", "dev", "exec", "diratime", "strictatime"];
        self.spelled()
            .into_iter()
            .filter(|option| !positive.contains(&option.as_str()))
            .collect()
    }
}

const FLAGS: [&str; 16] = [
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "nodiratime",
    "diratime",
    "noatime",
    "atime",
    "relatime",
    "strictatime",
    "defaults",
    "norelatime",
];

/// Whether an option is for mount(8), systemd or fstab's readers, and never reaches the kernel.
fn is_for_programs(option: &str) -> bool {
    matches!(
        option,
        "defaults"
            | "auto"
            | "noauto"
            | "nofail"
            | "_netdev"
            | "user"
            | "users"
            | "nouser"
            | "owner"
            | "group"
            | "bg"
            | "fg"
    ) || ["x-", "X-", "comment=", "retry="]
        .iter()
        .any(|prefix| option.starts_with(prefix))
}

/// The options for the mount(8) command itself: `nofail` would hide its failure, and so on.
pub(super) fn for_mounting(options: &[String]) -> Vec<String> {
    options
        .iter()
        .filter(|option| !is_for_programs(option) || matches!(option.as_str(), "user" | "users" | "owner" | "group"))
        .cloned()
        .collect()
}

/// The options for a remount that leaves nothing of the old ones.
pub(super) fn for_remounting(options: &[String]) -> Vec<String> {
    let mut all = vec!["remount".to_owned()];
    all.extend(Flags::declared(options).spelled());
    all.extend(of_filesystem(options));
    all
}

/// What mountinfo will show of a mount with these options, as far as that can be predicted.
pub(super) fn predicted(options: &[String]) -> Vec<String> {
    let mut all = Flags::declared(options).shown();
    all.extend(of_filesystem(options));
    all
}

/// Whether what is mounted with these options cannot be written to.
pub(super) fn is_read_only(options: &[String]) -> bool {
    Flags::declared(options).read_only
}

/// Whether an option says that a directory is mounted a second time.
pub(super) fn binds(option: &str) -> bool {
    matches!(option, "bind" | "rbind")
}

/// Whether an option is of a mount, and not of the filesystem, which a directory that is mounted a second time has already.
pub(super) fn is_for_binding(option: &str) -> bool {
    binds(option) || FLAGS.contains(&option) || is_for_programs(option)
}

/// Whether a directory is mounted a second time as declared. What is not declared may be as it is on the filesystem that the directory is
/// on, or as if it were mounted by itself: of what a boot mounts, mount(8) makes the one or the other, by its release.
pub(super) fn is_bound_as(live: &[String], origin: &[String], declared: &[String]) -> bool {
    let (live, own, plain) = (
        Flags::live(live),
        Flags::live(origin).with(declared),
        Flags::declared(declared),
    );
    let is = |flag: fn(&Flags) -> bool| [own, plain].iter().any(|wanted| flag(wanted) == flag(&live));
    is(|flags| flags.read_only)
        && is(|flags| flags.no_suid)
        && is(|flags| flags.no_dev)
        && is(|flags| flags.no_exec)
        && is(|flags| flags.no_directory_time)
        && [own, plain].iter().any(|wanted| wanted.access_time == live.access_time)
}

/// The options for a remount of a directory that is mounted a second time; `origin` are those of the filesystem that it is on.
pub(super) fn for_rebinding(origin: &[String], declared: &[String]) -> Vec<String> {
    let mut all = vec!["remount".to_owned(), "bind".to_owned()];
    all.extend(Flags::live(origin).with(declared).spelled());
    all
}

/// What mountinfo will show of it.
pub(super) fn predicted_of_bound(origin: &[String], declared: &[String]) -> Vec<String> {
    Flags::live(origin).with(declared).shown()
}

/// The options that the filesystem itself reads.
fn of_filesystem(options: &[String]) -> Vec<String> {
    options
        .iter()
        .filter(|option| !is_for_programs(option) && !FLAGS.contains(&option.as_str()))
        .cloned()
        .collect()
}

/// Options that differ between fstab and what is declared, and may differ in what is mounted too, as far as the kernel's own list tells. It
/// shows all flags, so they need no witness. One that is declared and not in fstab is in effect if it is shown; one that is in fstab and
/// not declared is in effect if it is shown and is no default.
pub(super) fn in_doubt(live: &[String], before: &[String], wanted: &[String], fs_type: &str) -> Vec<String> {
    let (before, wanted) = (of_filesystem(before), of_filesystem(wanted));
    let missing = wanted
        .iter()
        .filter(|option| !before.contains(option) && !is_shown(live, option, fs_type));
    let undeclared = before
        .iter()
        .filter(|option| !wanted.contains(option) && is_shown(live, option, fs_type) && !is_default(option, fs_type));
    missing.chain(undeclared).cloned().collect()
}

/// Whether the live options show that one is in effect.
fn is_shown(live: &[String], option: &str, fs_type: &str) -> bool {
    let value = |name: &str| {
        live.iter()
            .find_map(|shown| shown.strip_prefix(name)?.strip_prefix('='))
    };
    if live.iter().any(|shown| shown == option) {
        return true;
    }
    match (fs_type, option.split_once('=')) {
        // As many of them as both sides can.
        ("nfs" | "nfs4", Some(("vers" | "nfsvers" | "rsize" | "wsize", _))) => !nfs_contradicts(live, option),
        ("xfs", Some((name, wanted))) => {
            value(name).is_some_and(|found| bytes(found).is_some() && bytes(found) == bytes(wanted))
        }
        ("xfs", None) => {
            option == "noquota" && !xfs_contradicts(live, option)
                || QUOTAS
                    .iter()
                    .any(|(name, names)| names.contains(&option) && live.iter().any(|shown| shown == name))
        }
        _ => false,
    }
}

/// Whether a filesystem would have this option without being told (nfs(5), xfs(5)); of others a remount changes nothing that was right.
fn is_default(option: &str, fs_type: &str) -> bool {
    let is = |names: &[&str]| names.contains(&option);
    match fs_type {
        "nfs" | "nfs4" => {
            let chosen = [
                "vers=",
                "nfsvers=",
                "rsize=",
                "wsize=",
                "namlen=",
                "addr=",
                "clientaddr=",
                "local_lock=",
            ];
            is(&[
                "hard",
                "proto=tcp",
                "timeo=600",
                "retrans=2",
                "sec=sys",
                "lookupcache=all",
                "ac",
                "cto",
                "acl",
            ]) || chosen.iter().any(|prefix| option.starts_with(prefix))
        }
        "xfs" => {
            let sized = |name: &str, size: u64| option.strip_prefix(name).and_then(bytes) == Some(size);
            is(&["attr2", "inode64", "noquota", "nolargeio"]) || sized("logbufs=", 8) || sized("logbsize=", 32 << 10)
        }
        _ => false,
    }
}

/// Whether the live options show that the declared ones are not in effect. What the kernel rewrites or does not show is not looked at.
pub(super) fn contradict(live: &[String], declared: &[String], fs_type: &str) -> bool {
    let contradicts = match fs_type {
        "nfs" | "nfs4" => nfs_contradicts,
        "xfs" => xfs_contradicts,
        _ => |_: &[String], _: &str| false,
    };
    Flags::live(live) != Flags::declared(declared)
        || of_filesystem(declared).iter().any(|option| contradicts(live, option))
}

/// Whether a filesystem has to be mounted anew to follow its options, as a remount says yes and keeps the old ones: NFS does so with
/// most of them (nfs(5)), XFS with all but the size of its inode numbers (`xfs_fs_reconfigure`). `before` is what it was mounted with,
/// as fstab has it.
pub(super) fn need_a_new_mount(live: &[String], before: Option<&[String]>, wanted: &[String], fs_type: &str) -> bool {
    let fixed = |option: &&String| *option != "inode32" && *option != "inode64";
    match fs_type {
        "nfs" | "nfs4" => true,
        "xfs" => {
            of_filesystem(wanted)
                .iter()
                .filter(fixed)
                .any(|option| xfs_contradicts(live, option))
                || before.is_some_and(|before| {
                    in_doubt(live, before, wanted, fs_type)
                        .iter()
                        .any(|option| fixed(&option))
                })
        }
        _ => false,
    }
}

/// The options of a live mount, to mount it again with the same; without those that the kernel adds and does not take.
pub(super) fn as_they_were(live: &[String]) -> Vec<String> {
    let added =
        |option: &&String| *option != "seclabel" && !option.starts_with("addr=") && !option.starts_with("clientaddr=");
    live.iter().filter(added).cloned().collect()
}

/// Whether the kernel has turned a filesystem read-only that is mounted for writing: it does so after an error.
pub(super) fn failed_to_read_only(live: &[String]) -> bool {
    let mut ways = live.iter().filter(|option| matches!(option.as_str(), "ro" | "rw"));
    ways.next().is_some_and(|own| own == "rw") && ways.next().is_some_and(|shared| shared == "ro")
}

/// Options of NFS that the kernel shows as they were given (nfs(5)).
fn nfs_contradicts(live: &[String], declared: &str) -> bool {
    let value = |name: &str| {
        live.iter()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    };
    match declared.split_once('=') {
        None => {
            let opposite = match declared {
                "hard" => "soft",
                "soft" => "hard",
                _ => return false,
            };
            live.iter().any(|option| option == opposite)
        }
        // `vers=4` is whatever 4.x both sides speak.
        Some(("vers" | "nfsvers", wanted)) => value("vers").is_some_and(|found| {
            found != wanted && !found.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        }),
        Some((name @ ("timeo" | "retrans" | "sec" | "proto"), wanted)) => {
            value(name).is_some_and(|found| found != wanted)
        }
        // The server may grant less, and never more.
        Some((name @ ("rsize" | "wsize"), wanted)) => {
            let numbers = value(name).and_then(|found| Some((found.parse::<u64>().ok()?, wanted.parse::<u64>().ok()?)));
            numbers.is_some_and(|(found, wanted)| found > wanted && wanted >= 4096)
        }
        Some(_) => false,
    }
}

/// Quotas of XFS: what the kernel shows, and the names that it takes for it (xfs(5)).
const QUOTAS: [(&str, &[&str]); 6] = [
    ("usrquota", &["usrquota", "uquota", "quota"]),
    ("uqnoenforce", &["uqnoenforce", "qnoenforce"]),
    ("grpquota", &["grpquota", "gquota"]),
    ("gqnoenforce", &["gqnoenforce"]),
    ("prjquota", &["prjquota", "pquota"]),
    ("pqnoenforce", &["pqnoenforce"]),
];

/// Options of XFS that the kernel shows whenever they are in effect.
fn xfs_contradicts(live: &[String], declared: &str) -> bool {
    let shown = |name: &str| live.iter().any(|option| option == name);
    match declared.split_once('=') {
        None => match declared {
            "inode32" => shown("inode64"),
            "inode64" => shown("inode32"),
            "noquota" => QUOTAS.iter().any(|(name, _)| shown(name)),
            _ => QUOTAS
                .iter()
                .any(|(name, names)| names.contains(&declared) && !shown(name)),
        },
        Some((name @ ("logbufs" | "logbsize" | "allocsize"), wanted)) => {
            let found = live
                .iter()
                .find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
            found.and_then(bytes) != bytes(wanted)
        }
        Some(_) => false,
    }
}

/// `32768`, `32k`, `1m`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_shl(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(options: &str) -> Vec<String> {
        options
            .split(',')
            .filter(|option| !option.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn what_the_kernel_shows_is_compared() {
        let xfs = "rw,relatime,attr2,inode64,logbufs=8,logbsize=32k,noquota";
        let nfs = "rw,relatime,vers=4.2,rsize=262144,hard,proto=tcp,timeo=600,retrans=2,sec=sys";
        let cases = [
            (xfs, "", "xfs", false),
            (xfs, "defaults", "xfs", false),
            (xfs, "noatime", "xfs", true),
            (xfs, "ro", "xfs", true),
            (xfs, "nosuid,nodev", "xfs", true),
            (
                xfs,
                "nofail,x-systemd.device-timeout=5,logbsize=32768,logbufs=8,noquota,inode64",
                "xfs",
                false,
            ),
            (xfs, "logbsize=256k", "xfs", true),
            (xfs, "logbufs=4", "xfs", true),
            (xfs, "allocsize=64k", "xfs", true),
            (xfs, "inode32", "xfs", true),
            (xfs, "uquota", "xfs", true),
            (xfs, "discard,largeio", "xfs", false),
            (
                "rw,relatime,inode32,usrquota,prjquota",
                "quota,pquota,inode32",
                "xfs",
                false,
            ),
            ("rw,relatime,inode64,usrquota", "noquota", "xfs", true),
            (xfs, "commit=9", "ext4", false),
            ("rw,nosuid,noatime", "noatime,nosuid", "xfs", false),
            ("rw,nosuid,noatime", "noatime", "xfs", true),
            (nfs, "_netdev,nofail,vers=4,hard,timeo=600", "nfs", false),
            (nfs, "vers=4.1", "nfs", true),
            (nfs, "vers=3", "nfs", true),
            (nfs, "soft", "nfs", true),
            (nfs, "timeo=100", "nfs", true),
            (nfs, "rsize=1048576", "nfs4", false),
            (nfs, "rsize=32768", "nfs4", true),
        ];
        for (live, declared, fs_type, expected) in cases {
            assert_eq!(
                contradict(&list(live), &list(declared), fs_type),
                expected,
                "{live} {declared}"
            );
        }
    }

    #[test]
    fn what_a_remount_would_keep_silent_about_needs_a_new_mount() {
        let live = list("rw,relatime,attr2,inode64,logbufs=8,logbsize=32k,noquota");
        let needs = |before: Option<&str>, wanted: &str, fs_type: &str| {
            let before = before.map(list);
            need_a_new_mount(&live, before.as_deref(), &list(wanted), fs_type)
        };
        assert!(
            needs(None, "prjquota", "xfs") && needs(Some(""), "discard", "xfs") && !needs(Some("discard"), "", "xfs")
        );
        assert!(
            !needs(Some("logbsize=32k"), "noatime", "xfs")
                && !needs(Some("attr2,inode64,noquota,logbufs=8"), "", "xfs")
        );
        assert!(!needs(None, "noatime,ro", "xfs") && !needs(Some("inode64"), "inode32,nofail", "xfs"));
        assert!(!needs(Some(""), "commit=9", "ext4") && needs(None, "ro", "nfs4"));
    }

    #[test]
    fn what_the_kernel_shows_needs_no_witness() {
        let xfs = "rw,noatime,attr2,inode64,logbufs=8,logbsize=32k,noquota";
        let nfs = "rw,noatime,vers=4.2,rsize=262144,wsize=262144,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,lookupcache=none";
        for (live, before, wanted, fs_type, expected) in [
            // Only in fstab, and not in effect; or as it is anyway.
            (xfs, "noatime,logbsize=32k", "noatime", "xfs", ""),
            (xfs, "noatime,logbsize=256k", "noatime", "xfs", ""),
            (xfs, "noatime,largeio,usrquota", "noatime", "xfs", ""),
            (
                xfs,
                "ro,noexec,comment=x,x-systemd.device-timeout=5",
                "noatime",
                "xfs",
                "",
            ),
            (nfs, "hard,noatime,soft,timeo=100", "hard,noatime", "nfs4", ""),
            (
                nfs,
                "noatime,hard,ro,nosuid,timeo=600,sec=sys,vers=4.2",
                "noatime",
                "nfs4",
                "",
            ),
            // Missing in fstab, and in effect.
            (xfs, "noatime", "noatime,logbufs=8,logbsize=32768,noquota", "xfs", ""),
            (
                nfs,
                "noatime",
                "noatime,hard,lookupcache=none,vers=4,rsize=1048576",
                "nfs4",
                "",
            ),
            // In effect and not declared; declared and perhaps not in effect.
            (
                "rw,logbsize=256k,largeio",
                "logbsize=256k,largeio",
                "",
                "xfs",
                "logbsize=256k,largeio",
            ),
            (nfs, "lookupcache=none", "", "nfs4", "lookupcache=none"),
            (nfs, "", "nconnect=4", "nfs4", "nconnect=4"),
            (xfs, "", "largeio", "xfs", "largeio"),
            ("rw,relatime", "", "journal_checksum", "ext4", "journal_checksum"),
        ] {
            assert_eq!(
                in_doubt(&list(live), &list(before), &list(wanted), fs_type),
                list(expected),
                "{live}: {before} -> {wanted}"
            );
        }
    }

    #[test]
    fn a_filesystem_that_failed_is_told_from_one_that_is_read_only() {
        assert!(failed_to_read_only(&list("rw,relatime,ro,errors=remount-ro")));
        for fine in ["rw,relatime,errors=remount-ro", "ro,relatime", "ro,relatime,rw"] {
            assert!(!failed_to_read_only(&list(fine)), "{fine}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_foreseen_is_as_declared(options in proptest::collection::vec(proptest::sample::select(&FLAGS[..]), 0..6)) {
            let options: Vec<String> = options.into_iter().map(str::to_owned).collect();
            proptest::prop_assert!(!contradict(&predicted(&options), &options, "ext4"));
            proptest::prop_assert!(!contradict(&predicted(&options), &for_remounting(&options), "ext4"));
        }
    }

    #[test]
    fn mounting_is_not_told_to_hide_its_failure() {
        assert_eq!(
            for_mounting(&list("nofail,_netdev,noatime,x-systemd.automount,user")),
            ["noatime", "user"]
        );
    }
}
