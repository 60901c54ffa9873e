//! `notify`: who is told what, and how. Secrets are known to `value::secret` from the moment that they are read.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context, bail};
use glrl_node::value::{self, AbsPath, secret};
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    model::{error::Result, notice::EventKind},
    settings::login_file,
};

/// Who is told of starts, successes, failures and staleness. Nobody, unless said otherwise.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifySettings {
    /// How long one delivery may take.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "value::Duration")]
    pub timeout: Duration,
    /// A program that gets the event as JSON on its standard input.
    pub command: Option<CommandSettings>,
    /// A URL that gets the event as JSON by POST.
    pub webhook: Option<WebhookSettings>,
    /// A URL of healthchecks.io's kind: itself for a success, `/start` and `/fail` below it.
    pub ping: Option<PingSettings>,
    /// Mail.
    pub mail: Option<MailSettings>,
    /// The directory of `node_exporter`'s textfile collector, for metrics.
    pub metrics: Option<AbsPath>,
}

/// A program.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// Its path and its arguments; no shell.
    pub run: Vec<String>,
    /// Of what it is told: all, unless said otherwise.
    pub events: Option<Vec<EventKind>>,
}

/// A webhook.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// Its URL. The settings are then for their owner's eyes alone (mode 0600).
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretUrl>,
    /// A file that holds the URL, mode 0600.
    pub url_file: Option<AbsPath>,
    /// Of what it is told: all, unless said otherwise.
    pub events: Option<Vec<EventKind>>,
}

/// A ping URL.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PingSettings {
    /// The URL. The settings are then for their owner's eyes alone (mode 0600).
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretUrl>,
    /// A file that holds the URL, mode 0600.
    pub url_file: Option<AbsPath>,
}

/// Mail.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// Who gets it.
    #[schemars(with = "Vec<String>")]
    pub to: Vec<Address>,
    /// Who it is from; `root` at this node, unless said otherwise.
    #[schemars(with = "Option<String>")]
    pub from: Option<Address>,
    /// Of what they are told: of failures and staleness, unless said otherwise.
    #[serde(default = "bad_news")]
    pub events: Vec<EventKind>,
    /// The mail server. The node's own `sendmail`, unless said otherwise.
    pub smtp: Option<SmtpSettings>,
    /// The program that takes mail on its standard input.
    #[serde(default = "sendmail")]
    pub sendmail: String,
}

/// A mail server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Its name.
    pub host: String,
    /// Its port: 587, 465 or 25, as `tls` says, unless said otherwise.
    pub port: Option<u16>,
    /// How it is spoken to.
    #[serde(default)]
    pub tls: Tls,
    /// The account, where one is needed.
    pub user: Option<String>,
    /// A file that holds its password, mode 0600.
    pub password_file: Option<AbsPath>,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// In the clear first, then encrypted, or not at all (RFC 3207).
    #[default]
    Starttls,
    /// Encrypted from the first byte (RFC 8314).
    Implicit,
    /// In the clear: for a relay on this machine.
    None,
}

fn bad_news() -> Vec<EventKind> {
    vec![EventKind::Fail, EventKind::Stale]
}

fn sendmail() -> String {
    "/usr/sbin/sendmail".to_owned()
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            command: None,
            webhook: None,
            ping: None,
            mail: None,
            metrics: None,
        }
    }
}

impl NotifySettings {
    /// Whether a secret stands in the settings themselves.
    pub(crate) fn holds_secrets(&self) -> bool {
        let webhook = self.webhook.as_ref().and_then(|webhook| webhook.url.as_ref());
        let ping = self.ping.as_ref().and_then(|ping| ping.url.as_ref());
        webhook.or(ping).is_some()
    }
}

/// A URL whose path is as good as a password.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The URL.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(secret::SHOWN)
    }
}

impl FromStr for SecretUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        secret::register(text);
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or_default();
        // Errors of what speaks HTTP name the path alone.
        if let Some(path) = rest.find('/').map(|start| &rest[start..])
            && path.len() > 8
        {
            secret::register(path);
        }
        if rest.is_empty()
            || rest.starts_with(['/', '?', '#'])
            || text.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err("this is not a URL: write it whole, as in https://example.org/path".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The URL that was given in one of two ways.
pub(crate) fn url(url: Option<&SecretUrl>, file: Option<&AbsPath>) -> anyhow::Result<SecretUrl> {
    match (url, file) {
        (Some(url), None) => Ok(url.clone()),
        (None, Some(file)) => {
            let text = login_file::private(file, "it holds a URL that is a secret")?;
            let parsed = text.trim().parse().map_err(anyhow::Error::msg);
            parsed.with_context(|| format!("reading {file}"))
        }
        _ => bail!("it wants 'url' or 'url_file', one of them"),
    }
}

/// An address of mail (RFC 5322, 3.4): `ops@example.org`, `Operations <ops@example.org>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub(crate) Mailbox);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.parse().map(Self);
        parsed.map_err(|_| D::Error::custom(format!("'{text}' is not an address: write it as in ops@example.org")))
    }
}
