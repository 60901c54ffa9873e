//! The settings of a backup command: `/etc/glrl/backup.yml`, and over it what the command line says. `--set` reaches every key; the flags
//! with names of their own are other spellings of it, so that there is one list of settings, and one place that checks them.

use std::path::{Path, PathBuf};

use super::Error;
use crate::{
    backup::Settings,
    config::{self, Setting},
    system::texts,
};

/// The usual file.
const FILE: &str = "/etc/glrl/backup.yml";

/// Keys whose values are secrets.
const SECRET: [&str; 2] = ["notify.webhook.url", "notify.ping.url"];

/// Options of all that has to do with backups.
#[derive(Debug, clap::Args)]
#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "help texts: what is in brackets is a setting"
)]
pub(crate) struct Common {
    /// The settings [default: /etc/glrl/backup.yml, if it is there]
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    settings: Option<PathBuf>,
    /// Set any key of the settings, as in lock.budget=2s; may be repeated
    ///
    /// KEY is written with those above it, as in lock.budget; VALUE as in the file, lists and maps in brackets, as in
    /// notify.mail.to=[ops@example.org]. 'docs/reference/backup-settings.md' has all keys.
    ///
    /// Not for a secret, which ps would show: each key that can hold one has another beside it that names a file.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Where backups are [target.directory]
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    target: Option<String>,
    /// Whose backups [instance]
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    instance: Option<String>,
    /// Print JSON, one object a line
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Do the work, for a supervisor at the other end of standard input
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
}

impl Common {
    /// Reads the settings. Where nobody named a file and the usual one is not there, the usual settings hold. `flags` are those of the
    /// command itself: name, key, value.
    pub(crate) fn settings(&self, flags: &[(&str, &str, Option<&str>)]) -> Result<Settings, Error> {
        let path = self.settings.as_deref().unwrap_or(Path::new(FILE));
        if self.settings.is_some() && !texts::exists(path) {
            return Err(Error::Usage {
                message: format!("there is no file {}", path.display()),
                hint: Some(format!("without --settings, {FILE} is read if it is there")),
            });
        }
        let own = [
            ("--target", "target.directory", self.target.as_deref()),
            ("--instance", "instance", self.instance.as_deref()),
        ];
        for key in self
            .set
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(key, _)| key)
        {
            if SECRET.contains(&key) {
                tracing::warn!(
                    "--set {key}: every user of this machine can see it in the list of processes; write it to a file of mode 0600 and give \
                     --set {key}_file=FILE"
                );
            }
        }
        let mut set = self.set.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        let named = own.iter().chain(flags).filter_map(|(called, key, value)| {
            Some(Setting {
                called: (*called).to_owned(),
                key: (*key).to_owned(),
                value: (*value)?.to_owned(),
            })
        });
        set.extend(named);
        let settings: Settings = config::settings(path, &set)?.unwrap_or_default();
        settings.check_mode(path)?;
        settings.check_values()?;
        settings.check_encryption()?;
        Ok(settings)
    }
}

fn parse(text: &str) -> Result<Setting, Error> {
    match text.split_once('=') {
        Some((key, value)) if key.split('.').all(|part| !part.is_empty()) => Ok(Setting {
            called: format!("--set {key}"),
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err(Error::Usage {
            message: "--set sets nothing".to_owned(),
            hint: Some("write --set KEY=VALUE, as in --set lock.budget=2s".to_owned()),
        }),
    }
}
