//! One delivery of one event to one of those who are told. Each has a bound in time, whatever the other end does.

use std::{
    fmt,
    sync::{Arc, mpsc::channel},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use glrl_node::{system::programs::Program, value::secret::redact};
use lettre::{
    Message, SmtpTransport, Transport,
    message::header::ContentType,
    transport::smtp::{
        authentication::Credentials,
        client::{Tls as Encryption, TlsParameters},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    model::{notice::EventKind, program::Program as Of},
    operate::notify::event::Event,
    settings::{
        login_file,
        notify::{MailSettings, NotifySettings, SmtpSettings, Tls, url},
    },
};

/// Those who can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Receiver {
    Command,
    Webhook,
    Ping,
    Mail,
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "the command",
            Self::Webhook => "the webhook",
            Self::Ping => "the ping URL",
            Self::Mail => "mail",
        })
    }
}

impl Receiver {
    pub(crate) const ALL: [Self; 4] = [Self::Command, Self::Webhook, Self::Ping, Self::Mail];

    /// Whether it is there, and wants to know.
    pub(crate) fn wants(self, settings: &NotifySettings, event: &Event) -> bool {
        let among = |events: &Option<Vec<EventKind>>| events.as_ref().is_none_or(|events| events.contains(&event.kind));
        match self {
            Self::Command => settings.command.as_ref().is_some_and(|command| among(&command.events)),
            Self::Webhook => settings.webhook.as_ref().is_some_and(|webhook| among(&webhook.events)),
            // One check stands for one job: that old backups went, or logs came, is not the job's success.
            Self::Ping => {
                let of_the_job = !matches!(event.program, Of::Prune | Of::Binlogs);
                settings.ping.is_some() && (of_the_job || event.kind == EventKind::Fail)
            }
            Self::Mail => settings
                .mail
                .as_ref()
                .is_some_and(|mail| mail.events.contains(&event.kind)),
        }
    }

    /// Whether only the last word counts: an earlier one that was not heard is not repeated.
    pub(crate) fn is_state(self) -> bool {
        self == Self::Ping
    }

    /// Tells it, within its time. What hangs beyond that is left behind, and ends with the process.
    pub(crate) fn tell(self, settings: &NotifySettings, event: &Event) -> Result<()> {
        let (done, when_done) = channel();
        let patience = settings.timeout + Duration::from_secs(1);
        let (settings, event) = (settings.clone(), event.clone());
        std::thread::spawn(move || {
            let result = match self {
                Self::Command => command(&settings, &event),
                Self::Webhook => webhook(&settings, &event),
                Self::Ping => ping(&settings, &event),
                Self::Mail => mail(&settings, &event),
            };
            let _ = done.send(result);
        });
        let late = |_| Err(anyhow!("there was no answer within {} s", patience.as_secs()));
        when_done
            .recv_timeout(patience)
            .unwrap_or_else(late)
            .map_err(|error| anyhow!("{}", redact(&format!("{error:#}"))))
    }
}

fn command(settings: &NotifySettings, event: &Event) -> Result<()> {
    let command = settings.command.as_ref().map(|command| command.run.as_slice());
    let Some([program, args @ ..]) = command else {
        bail!("'run' names no program");
    };
    let program = Program::new(program).args(args).stdin(event.json() + "\n");
    program.timeout(settings.timeout).stdout().map(drop)
}

fn webhook(settings: &NotifySettings, event: &Event) -> Result<()> {
    let webhook = settings.webhook.as_ref().context("there is no webhook any more")?;
    let url = url(webhook.url.as_ref(), webhook.url_file.as_ref())?;
    post(url.expose(), "application/json", &event.json(), settings.timeout)
}

fn ping(settings: &NotifySettings, event: &Event) -> Result<()> {
    let ping = settings.ping.as_ref().context("there is no ping URL any more")?;
    let url = url(ping.url.as_ref(), ping.url_file.as_ref())?;
    let (base, query) = match url.expose().split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (url.expose(), String::new()),
    };
    let below = match event.kind {
        EventKind::Start => "/start",
        EventKind::Success => "",
        EventKind::Fail | EventKind::Stale => "/fail",
    };
    let url = format!("{}{below}{query}", base.trim_end_matches('/'));
    post(&url, "text/plain; charset=utf-8", &event.text(), settings.timeout)
}

/// Sends it; anything but a status of success is an error.
fn post(url: &str, content_type: &str, body: &str, timeout: Duration) -> Result<()> {
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .user_agent(concat!("glrl/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        // What is told goes where it was to go: a redirection would make a GET of it, or send it to somebody else.
        .max_redirects(0)
        .build()
        .into();
    let status = agent.post(url).content_type(content_type).send(body)?.status();
    if !status.is_success() {
        bail!("http status: {status}");
    }
    Ok(())
}

fn mail(settings: &NotifySettings, event: &Event) -> Result<()> {
    let mail = settings.mail.as_ref().context("there is no mail any more")?;
    let message = message(mail, event)?;
    if let Some(smtp) = &mail.smtp {
        transport(smtp, settings.timeout)?.send(&message)?;
        return Ok(());
    }
    let envelope = message.envelope();
    let to = envelope.to().iter().map(ToString::to_string);
    let from = envelope.from().map(ToString::to_string).unwrap_or_default();
    Program::new(&mail.sendmail)
        .args(["-i", "-f", &from, "--"])
        .args(to)
        .stdin(message.formatted())
        .timeout(settings.timeout)
        .stdout()
        .map(drop)
}

fn message(mail: &MailSettings, event: &Event) -> Result<Message> {
    let from = if let Some(from) = &mail.from {
        from.0.clone()
    } else {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let from = format!("glrl <root@{}>", host.to_string_lossy());
        from.parse().context("this host's name is none for mail: set 'from'")?
    };
    if mail.to.is_empty() {
        bail!("'to' names nobody");
    }
    let to = mail
        .to
        .iter()
        .fold(Message::builder(), |message, to| message.to(to.0.clone()));
    to.from(from)
        .subject(format!("[glrl] {}", event.subject()))
        .header(ContentType::TEXT_PLAIN)
        .body(event.text())
        .context("writing the mail")
}

fn transport(smtp: &SmtpSettings, timeout: Duration) -> Result<SmtpTransport> {
    let host = smtp.host.as_str();
    let parameters = || TlsParameters::new(host.to_owned());
    let (encryption, port) = match smtp.tls {
        Tls::Starttls => (Encryption::Required(parameters()?), 587),
        Tls::Implicit => (Encryption::Wrapper(parameters()?), 465),
        Tls::None => (Encryption::None, 25),
    };
    let mut transport = SmtpTransport::builder_dangerous(host)
        .port(smtp.port.unwrap_or(port))
        .tls(encryption)
        .timeout(Some(timeout));
    if let Some(user) = &smtp.user {
        let file = smtp.password_file.as_ref().context("'user' wants a 'password_file'")?;
        if smtp.tls == Tls::None && !["localhost", "127.0.0.1", "::1"].contains(&host) {
            bail!("a password is not sent to {host} in the clear: set 'tls'");
        }
        let password = login_file::private(file, "it holds a password")?;
        let password = password.trim_end_matches(['\n', '\r']);
        glrl_node::value::secret::register(password);
        transport = transport.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    Ok(transport.build())
}
