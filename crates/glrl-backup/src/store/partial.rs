//! Whose a file is that is being written: its name ends in `.NODE-BOOT.partial`. Several machines may write to one directory over NFS, where
//! neither flock(2) nor the number of a process says whether another machine's run is alive; so nobody removes what another is writing.
//!
//! `NODE` stands for a machine's id, its host name and the state directory, which holds the run lock; `BOOT` for the boot of the machine.
//! Who holds the run lock knows that what has both its own is left by a run that died. A copy of a machine may have all but the boot in common
//! with it, so that what has another boot is removed only when this node's record says that it began it (`state::made`), or when it has not changed
//! for an hour. Names without an owner are those of versions before.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use glrl_node::{system::clock, value::text};

use crate::{
    model::{layout::PARTIAL, machine},
    settings::Settings,
};

/// A file of this node's, of another boot, has not changed for so long when no run writes it any more: a run that does not go forward for
/// `target.stall_timeout` is given up.
const STILL: Duration = Duration::from_hours(1);
/// The same of one without an owner, which may be another machine's.
const LONG_STILL: Duration = Duration::from_hours(24);

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    node: String,
    boot: String,
}

/// What is to be done with a file that is left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Remove it: the run that wrote it is dead.
    Ours,
    /// Leave it alone.
    Alone,
    /// Leave it alone, and say why.
    Doubtful(String),
}

impl Writer {
    /// Returns this machine's, for runs with these settings.
    pub(crate) fn this(settings: &Settings) -> Self {
        Self::of(
            &machine::id().unwrap_or_default(),
            &machine::host(),
            &settings.state_directory,
            &fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        )
    }

    fn of(machine: &str, host: &str, state: &Path, boot: &str) -> Self {
        let node = format!("{machine}\0{host}\0{}", state.display());
        Self {
            node: machine::short(blake3::hash(node.as_bytes()).as_bytes()),
            boot: machine::short(blake3::hash(boot.trim().as_bytes()).as_bytes()),
        }
    }

    /// Returns the name of a file while it is written.
    pub(crate) fn partial(&self, name: &str) -> String {
        format!("{name}.{}-{}{PARTIAL}", self.node, self.boot)
    }

    /// Judges a file that is left; `begun`: whether this node's record says that it began what the file is of. The caller holds the run lock, so
    /// that no run of this node's is writing it now.
    pub(crate) fn judge(&self, path: &Path, owner: Option<&Self>, begun: bool) -> Left {
        let still = fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|written| SystemTime::from(clock::now()).duration_since(written).ok())
            .unwrap_or_default();
        let ago = || text::duration(u64::try_from(still.as_millis()).unwrap_or(u64::MAX));
        let leave = |who: &str| {
            let path = path.display();
            let message = format!(
                "{path} was left alone: it is {who}, and was last written {} ago; once no run writes it any more, remove it: rm '{path}'",
                ago()
            );
            Left::Doubtful(message)
        };
        match owner {
            Some(owner) if owner == self => Left::Ours,
            Some(owner) if owner.node == self.node => {
                if begun || still >= STILL {
                    Left::Ours
                } else {
                    leave("of another boot of this machine, or of a copy of it")
                }
            }
            Some(_) if still >= LONG_STILL => leave("another machine's"),
            Some(_) => Left::Alone,
            None if still >= LONG_STILL => Left::Ours,
            None => leave("of an earlier version of glrl, maybe on another machine"),
        }
    }
}

/// Returns what a partial file is to be called in the end, and whose it is, if it says so; `None` for a file that is not partial.
pub(crate) fn parse(name: &str) -> Option<(&str, Option<Writer>)> {
    let name = name.strip_suffix(PARTIAL)?;
    let owned = || {
        let (name, owner) = name.rsplit_once('.')?;
        let (node, boot) = owner.split_once('-')?;
        let is_short = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_short(node) && is_short(boot)).then(|| {
            let [node, boot] = [node, boot].map(str::to_owned);
            (name, Some(Writer { node, boot }))
        })
    };
    Some(owned().unwrap_or((name, None)))
}

/// Whether a file's name, also while it is written, is this and a suffix.
pub(crate) fn is_of(name: &str, stem: &str) -> bool {
    let whole = parse(name).map_or(name, |(whole, _)| whole);
    whole.strip_prefix(stem).is_some_and(|suffix| suffix.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn writer(machine: &str, host: &str, state: &str, boot: &str) -> Writer {
        Writer::of(machine, host, Path::new(state), boot)
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let this = writer("m", "db1", "/var/lib/glrl", "b");
        let name = this.partial("mysql-db-20261101T031500Z.tar.zst");
        assert_eq!(parse(&name), Some(("mysql-db-20261101T031500Z.tar.zst", Some(this))));
        assert_eq!(parse("a.tar.zst.partial"), Some(("a.tar.zst", None)));
        assert_eq!(parse("a.zst.0123-4567.partial"), Some(("a.zst.0123-4567", None)));
        assert_eq!(parse("a.tar.zst"), None);
    }

    #[test]
    fn only_what_is_surely_nobodys_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let this = writer("m", "db1", "/var/lib/glrl", "b");
        let copy = writer("m", "db1", "/var/lib/glrl", "other boot");
        let others = [
            writer("m2", "db1", "/var/lib/glrl", "b"),
            writer("m", "db2", "/var/lib/glrl", "b"),
            writer("m", "db1", "/srv/other", "b"),
        ];
        let ours = |hours: u64, owner: Option<&Writer>| {
            let file = File::create(&path).unwrap();
            let written = SystemTime::from(clock::now()) - Duration::from_hours(hours);
            file.set_modified(written).unwrap();
            this.judge(&path, owner, false) == Left::Ours
        };
        assert!(ours(0, Some(&this)));
        assert!(!ours(0, Some(&copy)) && ours(2, Some(&copy)));
        // After a power cut.
        File::create(&path).unwrap();
        assert_eq!(this.judge(&path, Some(&copy), true), Left::Ours);
        assert!(!ours(2, None) && ours(25, None));
        for other in &others {
            assert!(!ours(0, Some(other)) && !ours(10_000, Some(other)));
        }
        let Left::Doubtful(said) = this.judge(&path, Some(&others[0]), true) else {
            panic!()
        };
        assert!(said.contains("another machine's") && said.contains("rm '"), "{said}");
    }
}
