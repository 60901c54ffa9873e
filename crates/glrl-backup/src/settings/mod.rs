//! The settings, `/etc/glrl/backup.yml`. Every key has a default that fits the bundled roles, so that an empty file is a good one.

pub(crate) mod encryption;
pub(crate) mod keep;
pub(crate) mod login_file;
pub(crate) mod notify;
pub(crate) mod server_options;

use std::{os::unix::fs::MetadataExt, path::Path, time::Duration};

use glrl_node::value::{self, AbsPath, Size};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::{
        error::{Error, Kind, Result},
        id::{BackupId, Instance},
    },
    settings::{encryption::EncryptionSettings, keep::Keep, notify::NotifySettings},
};

/// What the backup programs are told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Names this server's backups; unique in the target directory. The host's name, unless said otherwise.
    #[schemars(with = "String")]
    pub instance: Instance,
    /// How to log in to the server.
    pub server: ServerSettings,
    /// The volume group of the volume that holds the datadir. Found from the datadir, unless said otherwise.
    pub volume_group: Option<String>,
    /// The logical volume that holds the datadir. Found from the datadir, unless said otherwise.
    pub volume: Option<String>,
    /// Where backups go.
    pub target: TargetSettings,
    /// The lock's budget.
    pub lock: LockSettings,
    /// The snapshot.
    pub snapshot: SnapshotSettings,
    /// The archive.
    pub archive: ArchiveSettings,
    /// Who can read the backups.
    pub encryption: EncryptionSettings,
    /// The proof that a backup restores.
    pub verify: VerifySettings,
    /// Which backups are kept; all of them, unless said otherwise.
    pub keep: Keep,
    /// Who is told of starts, successes, failures and staleness.
    pub notify: NotifySettings,
    /// The archive of binary logs.
    pub binlogs: BinlogSettings,
    /// Where snapshots are mounted.
    pub run_directory: AbsPath,
    /// Where locks and verdicts are kept; a local directory.
    pub state_directory: AbsPath,
}

/// How to log in: by unix socket, as the user that the server takes by the uid of its peer, or as an option file says.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// The server's socket. The option file's, unless said otherwise.
    pub socket: Option<AbsPath>,
    /// The account. The option file's, unless said otherwise, or `root`. It needs RELOAD and PROCESS, on MySQL `BACKUP_ADMIN` too,
    /// on MariaDB with `innodb_flush_log_at_trx_commit=0` SUPER; and SELECT, TRIGGER and EVENT on `*.*` for a verification to compare
    /// everything that the server has.
    pub user: Option<String>,
    /// An option file (`[client]`), mode 0600. The one place for a password.
    pub option_file: Option<AbsPath>,
}

/// Where backups go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSettings {
    /// The directory.
    pub directory: AbsPath,
    /// What must be mounted for it to be the real one: itself, unless said otherwise.
    pub mount_point: Option<AbsPath>,
    /// False for a target that is a plain directory on purpose.
    pub mounted: bool,
    /// How long a run waits for what must be mounted, if fstab or a unit of systemd declares it, and tries to mount it: after a boot the
    /// server of the target may come up later than this node. 0s: not at all; at most 24h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub wait: Duration,
    /// When nothing at all has gone forward for so long, a run is given up, and others are told: an NFS server that is gone holds up
    /// a hard mount without end. Writing out what the machine's memory holds for the target must take less. 1s to 168h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub stall_timeout: Duration,
}

/// The lock is a budget.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LockSettings {
    /// So long the run waits for the lock at most, and so long it keeps it at most; 10ms to 1h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub budget: Duration,
    /// MySQL only: with a statement under way that has run longer than this, the lock is not even asked for, since all writers
    /// would queue up behind it; at most 24h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub long_statement: Duration,
}

/// The snapshot.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSettings {
    /// Room for what changes while the copy is made. Unless said otherwise 20 % of the volume, or twice what was written into the last
    /// snapshot, if that is more; or what the volume group has.
    pub size: Option<Size>,
}

/// The archive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveSettings {
    /// zstd's level, 1 to 19.
    pub level: i32,
    /// Threads that compress. As many as there are processors, unless said otherwise; at most 200.
    pub threads: Option<u32>,
}

/// The proof that a backup restores.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifySettings {
    /// Whether `glrl backup run` hands over to a verification, here on the database's node, when the backup is complete.
    pub after_backup: bool,
    /// Where the archive is unpacked; needs the room of the whole data. It and what is above it may be root's alone: the server sees
    /// its data at the place of the original.
    pub scratch: AbsPath,
    /// A newest backup older than this is stale.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub max_age: Duration,
    /// The newest backup that is known to restore may be this old, or `glrl backup status` calls it stale. Not asked, unless set.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    #[schemars(with = "Option<value::Duration>")]
    pub max_proven_age: Option<Duration>,
    /// A directory that the node that verifies can write and the node that makes backups can read, mounted: how verdicts come back.
    pub verdicts: Option<AbsPath>,
    /// The server to start: `mariadbd` or `mysqld` of PATH, unless said otherwise.
    pub server: Option<AbsPath>,
    /// The account it runs as.
    pub user: String,
    /// Its buffer pool; 6MiB or more.
    pub memory: Size,
    /// Tables (`SCHEMA.TABLE`) that must be there and have rows. The verdict says how many, and their checksum (`CHECKSUM TABLE`).
    pub tables: Vec<String>,
    /// Options that the server is given besides those that the manifest has: where the keys of encrypted data are, `--plugin-dir`. Not one
    /// that glrl sets itself. Secrets stay in the files that they name. Also for the server of `glrl restore`.
    pub server_options: Vec<String>,
    /// How long it may take to recover and answer; 1s to 168h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub start_timeout: Duration,
}

/// The archive of binary logs, from which a restore goes on to any later moment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BinlogSettings {
    /// Whether a backup archives them too; `glrl backup binlogs` does it in any case.
    pub archive: bool,
    /// Whether the log that is being written is closed, so that all there is can be archived. Otherwise it waits for the server to close it.
    pub flush: bool,
}

impl Default for BinlogSettings {
    fn default() -> Self {
        Self {
            archive: false,
            flush: true,
        }
    }
}

impl Settings {
    /// Refuses a file of settings that holds secrets and that others can read.
    pub fn check_mode(&self, path: &Path) -> Result<()> {
        let Ok(meta) = path.metadata() else { return Ok(()) };
        if self.notify.holds_secrets() && meta.mode() & 0o077 != 0 {
            return Err(Error::new(
                Kind::Settings,
                format!(
                    "{} can be read by others than its owner: chmod 600 it, it holds a URL that is a secret, or keep that in a url_file",
                    path.display()
                ),
            ));
        }
        Ok(())
    }

    /// Refuses numbers that no run could do anything with, before one has done anything.
    pub fn check_values(&self) -> Result<()> {
        let (day, second) = (Duration::from_hours(24), Duration::from_secs(1));
        let within = |time: Duration, least: Duration, most: Duration| (least..=most).contains(&time);
        let wrong = [
            (
                within(self.lock.budget, Duration::from_millis(10), Duration::from_hours(1)),
                "lock.budget is from 10ms to 1h",
            ),
            (self.lock.long_statement <= day, "lock.long_statement is at most 24h"),
            (self.target.wait <= day, "target.wait is at most 24h"),
            (
                within(self.target.stall_timeout, second, 7 * day),
                "target.stall_timeout is from 1s to 168h: nothing goes forward in no time",
            ),
            (
                within(self.verify.start_timeout, second, 7 * day),
                "verify.start_timeout is from 1s to 168h",
            ),
            (
                self.verify.max_age >= second && self.verify.max_proven_age.is_none_or(|age| age >= second),
                "verify.max_age and verify.max_proven_age are at least 1s: with less, every backup is too old",
            ),
            (
                self.verify.memory >= Size::mib(6),
                "verify.memory is at least 6MiB, which is the least that a server starts with",
            ),
            (
                self.verify.tables.iter().all(|table| table.contains('.')),
                "verify.tables names tables with their schemas: shop.sale",
            ),
            (
                (1..=19).contains(&self.archive.level),
                "archive.level is a number from 1 to 19",
            ),
            (
                self.archive.threads.is_none_or(|threads| (1..=200).contains(&threads)),
                "archive.threads is a number from 1 to 200",
            ),
            (
                self.keep.within.is_none_or(|time| !time.get().is_zero()),
                "keep.within of no time keeps nothing but the newest: say keep.last=1 for that",
            ),
        ];
        if let Some((_, rule)) = wrong.iter().find(|(good, _)| !good) {
            return Err(Error::new(Kind::Settings, *rule));
        }
        match self
            .verify
            .server_options
            .iter()
            .find_map(|option| server_options::wrong(option))
        {
            Some(why) => Err(Error::new(Kind::Settings, format!("verify.server_options: {why}"))),
            None => Ok(()),
        }
    }

    /// These, for the instance that a backup which was named is of: its lock, its scratch directory and its binary logs, not those of another.
    pub(crate) fn of_backup(&self, id: Option<&BackupId>) -> Self {
        Self {
            instance: id.map_or_else(|| self.instance.clone(), |id| id.instance().clone()),
            ..self.clone()
        }
    }
}

/// A path that is written in this file.
fn fixed(path: &str) -> AbsPath {
    path.parse().unwrap_or_else(|_| unreachable!("{path} is absolute"))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance: Instance::of_host(),
            server: ServerSettings::default(),
            volume_group: None,
            volume: None,
            target: TargetSettings::default(),
            lock: LockSettings::default(),
            snapshot: SnapshotSettings::default(),
            archive: ArchiveSettings::default(),
            encryption: EncryptionSettings::default(),
            verify: VerifySettings::default(),
            keep: Keep::default(),
            notify: NotifySettings::default(),
            binlogs: BinlogSettings::default(),
            run_directory: fixed("/run/glrl/backup"),
            state_directory: fixed("/var/lib/glrl"),
        }
    }
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self {
            directory: fixed("/backup"),
            mount_point: None,
            mounted: true,
            wait: Duration::from_mins(5),
            stall_timeout: Duration::from_mins(15),
        }
    }
}

impl TargetSettings {
    /// What must be mounted; `None` where nothing must.
    pub fn required_mount(&self) -> Option<&AbsPath> {
        self.mounted
            .then(|| self.mount_point.as_ref().unwrap_or(&self.directory))
    }
}

impl Default for LockSettings {
    fn default() -> Self {
        Self {
            budget: Duration::from_secs(5),
            long_statement: Duration::from_secs(5),
        }
    }
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self {
            level: 3,
            threads: None,
        }
    }
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self {
            after_backup: false,
            scratch: fixed("/var/lib/glrl/scratch"),
            max_age: Duration::from_hours(26),
            max_proven_age: None,
            verdicts: None,
            server: None,
            user: "mysql".to_owned(),
            memory: Size::mib(256),
            tables: Vec::new(),
            server_options: Vec::new(),
            start_timeout: Duration::from_mins(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_good_one() {
        let settings: Settings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings.lock.budget, Duration::from_secs(5));
        assert_eq!(settings.target.required_mount().unwrap().as_str(), "/backup");
        assert!(settings.verify.scratch.starts_with(&*settings.state_directory));
    }

    #[test]
    fn durations_and_sizes_are_written_with_units() {
        let settings: Settings = serde_json::from_str(
            r#"{"lock": {"budget": "2s 500ms"}, "snapshot": {"size": "10GiB"}, "verify": {"max_age": "50h"},
                "target": {"directory": "/backup/db", "mount_point": "/backup"}}"#,
        )
        .unwrap();
        assert_eq!(settings.lock.budget, Duration::from_millis(2500));
        assert_eq!(settings.snapshot.size, Some(Size::mib(10240)));
        assert_eq!(settings.verify.max_age, Duration::from_hours(50));
        assert_eq!(settings.target.required_mount().unwrap().as_str(), "/backup");
    }

    #[test]
    fn what_no_run_can_do_anything_with_is_refused() {
        let check = |text: &str| serde_json::from_str::<Settings>(text).unwrap().check_values();
        check("{}").unwrap();
        let keys = r#"["--file-key-management-filename=/etc/keys", "--plugin-load-add=x.so", "--plugin-dir=/x", "--aria-block-size=8192"]"#;
        check(&format!(r#"{{"verify": {{"server_options": {keys}}}}}"#)).unwrap();
        for (text, said) in [
            (r#"{"lock": {"budget": "0s"}}"#, "lock.budget"),
            (r#"{"lock": {"budget": "99999999999999h"}}"#, "lock.budget"),
            (r#"{"target": {"stall_timeout": "0s"}}"#, "target.stall_timeout"),
            (r#"{"target": {"wait": "25h"}}"#, "target.wait"),
            (
                r#"{"verify": {"start_timeout": "999999999999h"}}"#,
                "verify.start_timeout",
            ),
            (r#"{"verify": {"max_age": "0s"}}"#, "verify.max_age"),
            (r#"{"verify": {"memory": "1MiB"}}"#, "verify.memory"),
            (r#"{"verify": {"tables": ["sale"]}}"#, "verify.tables"),
            (
                r#"{"verify": {"server_options": ["socket=/x"]}}"#,
                "verify.server_options: 'socket=/x' is no option of a server",
            ),
            (
                r#"{"verify": {"server_options": ["--plugin-dir=/x", "--Loose_data=/x"]}}"#,
                "verify.server_options: --Loose_data is set by glrl itself (--datadir)",
            ),
            (
                r#"{"verify": {"server_options": ["--skip-event_scheduler"]}}"#,
                "verify.server_options: --skip-event_scheduler is set",
            ),
            (r#"{"archive": {"level": 99}}"#, "archive.level"),
            (r#"{"archive": {"level": 0}}"#, "archive.level"),
            (r#"{"archive": {"threads": 0}}"#, "archive.threads"),
            (r#"{"keep": {"within": "0s"}}"#, "keep.within"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.kind, Kind::Settings, "{text}");
            assert!(error.to_string().starts_with(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_backup_that_is_named_brings_its_instance() {
        let settings = Settings {
            instance: "db1".parse().unwrap(),
            ..Settings::default()
        };
        let id = "mysql-db2-20261101T031500Z".parse().unwrap();
        assert_eq!(settings.of_backup(Some(&id)).instance.as_str(), "db2");
        assert_eq!(settings.of_backup(None).instance, settings.instance);
    }

    #[test]
    fn a_key_nobody_knows_is_an_error() {
        for text in [
            r#"{"bugdet": 1}"#,
            r#"{"server": {"password": "x"}}"#,
            r#"{"instance": "../x"}"#,
        ] {
            assert!(serde_json::from_str::<Settings>(text).is_err(), "{text}");
        }
    }
}
