//! Real receivers on loopback: one that speaks HTTP, one that speaks SMTP, and programs.

pub(crate) mod receiver;

use std::{fs, io::Read, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::{
    fixtures,
    model::{
        error::{Error, Kind as ErrorKind},
        notice::EventKind,
        program::Program,
        verdict::Grade,
    },
    operate::notify::{tests::receiver::Receiver, *},
    retention::prune::Pruned,
    settings::notify::{CommandSettings, MailSettings, PingSettings, SmtpSettings, Tls, WebhookSettings},
};

/// A port that nobody listens on.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/nobody", listener.local_addr().unwrap())
}

fn settings(directory: &tempfile::TempDir) -> Settings {
    let mut settings = fixtures::settings(directory.path());
    settings.notify.timeout = Duration::from_secs(5);
    settings
}

fn webhook(url: &str) -> WebhookSettings {
    WebhookSettings {
        url: Some(url.parse().unwrap()),
        ..WebhookSettings::default()
    }
}

fn ping(url: &str) -> PingSettings {
    PingSettings {
        url: Some(url.parse().unwrap()),
        url_file: None,
    }
}

fn failed(why: &str) -> Event {
    let error = Error::new(ErrorKind::Target, why);
    Event::fail(Program::Backup, &"db1".parse().unwrap(), None, &error)
}

/// Tells, and returns the warnings.
fn told(settings: &Settings, event: &Event) -> Vec<String> {
    let mut warnings = Vec::new();
    tell(settings, event, &mut |step| match step {
        Step::Warning { message } => warnings.push(message),
        step => panic!("{step:?}"),
    });
    warnings
}

fn private(directory: &tempfile::TempDir, name: &str, text: &str) -> glrl_node::value::AbsPath {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path.to_str().unwrap().parse().unwrap()
}

#[test]
fn a_webhook_gets_every_event_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::http(&[204]);
    let mut settings = settings(&directory);
    settings.notify.webhook = Some(webhook(&receiver.url("/hook?token=secret-token-1")));
    let manifest = fixtures::backup(&settings, 0);
    let events = [
        Event::start(Program::Backup, &settings.instance),
        Event::backed_up(&manifest),
        failed("the disk is full"),
        Event::verified(&settings.instance, &fixtures::verdict(&manifest, Grade::Stale)),
    ];
    for event in &events {
        assert_eq!(told(&settings, event), Vec::<String>::new());
    }
    let heard: Vec<Value> = receiver
        .heard()
        .iter()
        .map(|said| serde_json::from_str(said.strip_prefix("/hook?token=secret-token-1 ").unwrap()).unwrap())
        .collect();
    let words: Vec<_> = heard.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["start", "success", "fail", "stale"]);
    assert_eq!(heard[1]["lock_ms"], json!(132.4));
    assert_eq!(heard[2]["exit_code"], json!(14));
    assert_eq!(waiting(&settings), 0);
}

#[test]
fn a_ping_url_is_told_by_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::http(&[200]);
    let mut settings = settings(&directory);
    let url = private(&directory, "url", &format!("{}\n", receiver.url("/0c1f-uuid?rid=1")));
    settings.notify.ping = Some(PingSettings {
        url: None,
        url_file: Some(url),
    });
    let manifest = fixtures::backup(&settings, 0);
    told(&settings, &Event::start(Program::Backup, &settings.instance));
    told(&settings, &Event::backed_up(&manifest));
    told(&settings, &Event::pruned(&settings.instance, &Pruned::default()));
    told(&settings, &failed("x"));
    let paths: Vec<_> = receiver
        .heard()
        .iter()
        .map(|said| said.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        ["/0c1f-uuid/start?rid=1", "/0c1f-uuid?rid=1", "/0c1f-uuid/fail?rid=1"]
    );
}

#[test]
fn what_was_not_delivered_is_told_to_nobody_of_another_instance() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::http(&[204]);
    let mut one = settings(&directory);
    one.notify.webhook = Some(webhook(&nobody()));
    one.notify.ping = Some(ping(&nobody()));
    told(&one, &failed("one"));
    let mut other = settings(&directory);
    other.instance = "db2".parse().unwrap();
    other.notify.webhook = Some(webhook(&receiver.url("/hook")));
    other.notify.ping = Some(ping(&receiver.url("/ping")));
    assert_eq!(
        told(&other, &Event::pruned(&other.instance, &Pruned::default())),
        Vec::<String>::new()
    );
    assert_eq!(receiver.heard().len(), 1);
    assert_eq!((waiting(&one), waiting(&other)), (2, 0));
}

#[test]
fn what_was_not_delivered_is_kept_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.notify.webhook = Some(webhook(&nobody()));
    settings.notify.ping = Some(ping(&nobody()));
    let warnings = told(&settings, &Event::start(Program::Backup, &settings.instance));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(waiting(&settings), 0, "that a run has begun is no news later");
    for (why, wait) in [("one", 2), ("two", 3)] {
        let warnings = told(&settings, &failed(why));
        assert!(
            warnings.iter().all(|said| said.ends_with("; the next run tries again")),
            "{warnings:?}"
        );
        // Of a ping only the last word counts.
        assert_eq!(waiting(&settings), wait);
    }
    // They are there again; the webhook refuses once more.
    let (hook, pinged) = (Receiver::http(&[500, 200]), Receiver::http(&[200]));
    settings.notify.webhook = Some(webhook(&hook.url("/hook")));
    settings.notify.ping = Some(ping(&pinged.url("/p")));
    let manifest = fixtures::backup(&settings, 0);
    let warnings = told(&settings, &Event::backed_up(&manifest));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("the webhook was not told: http status: 500"),
        "{warnings:?}"
    );
    assert_eq!((hook.heard().len(), waiting(&settings)), (0, 3));
    assert_eq!(pinged.heard().len(), 1, "the last word, and not the failures before it");
    assert_eq!(told(&settings, &failed("three")), Vec::<String>::new());
    let heard = hook.heard();
    let heard: Vec<&str> = ["three", "archived in", "two", "one"]
        .into_iter()
        .zip(&heard)
        .filter(|(word, said)| said.contains(*word))
        .map(|(word, _)| word)
        .collect();
    assert_eq!(heard, ["three", "archived in", "two", "one"], "{:?}", hook.heard());
    assert_eq!(waiting(&settings), 0);
}

#[test]
fn a_redirection_is_no_delivery() {
    let directory = tempfile::tempdir().unwrap();
    let moved = Receiver::http(&[302, 200]);
    let mut settings = settings(&directory);
    settings.notify.webhook = Some(webhook(&moved.url("/hook")));
    let warnings = told(&settings, &failed("x"));
    assert!(warnings[0].contains("http status: 302"), "{warnings:?}");
    assert_eq!((moved.heard().len(), waiting(&settings)), (0, 1));
}

#[test]
fn one_that_hangs_costs_its_bound_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let silent = Receiver::start(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
        None
    });
    let mut settings = settings(&directory);
    settings.notify.timeout = Duration::from_secs(1);
    settings.notify.webhook = Some(webhook(&silent.url("/")));
    settings.notify.ping = Some(ping(&silent.url("/")));
    settings.notify.command = Some(CommandSettings {
        run: vec!["sleep".to_owned(), "60".to_owned()],
        events: None,
    });
    settings.notify.mail = Some(MailSettings {
        smtp: Some(smtp(silent.port)),
        ..mail()
    });
    let began = Instant::now();
    assert_eq!(told(&settings, &failed("x")).len(), 4);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(waiting(&settings), 4);
}

#[test]
fn a_command_gets_json_and_no_shell() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    let heard = directory.path().join("heard");
    settings.notify.command = Some(CommandSettings {
        run: vec![
            "tee".to_owned(),
            heard.to_str().unwrap().to_owned(),
            "/dev/null".to_owned(),
        ],
        events: Some(vec![EventKind::Fail]),
    });
    told(&settings, &Event::start(Program::Backup, &settings.instance));
    assert!(!heard.exists());
    assert_eq!(told(&settings, &failed("$(id); `id`")), Vec::<String>::new());
    let event: Value = serde_json::from_slice(&fs::read(&heard).unwrap()).unwrap();
    assert_eq!(event["message"], json!("$(id); `id`"));
    settings.notify.command.as_mut().unwrap().run = vec!["false".to_owned()];
    assert_eq!(told(&settings, &failed("x")).len(), 1);
    assert_eq!(waiting(&settings), 1);
}

fn mail() -> MailSettings {
    serde_json::from_value(
        json!({ "to": ["ops@example.org", "Second <b@example.org>"], "from": "glrl@db.example.org" }),
    )
    .unwrap()
}

fn smtp(port: u16) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        tls: Tls::None,
        user: None,
        password_file: None,
    }
}

#[test]
fn mail_goes_to_a_server_with_a_password_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let server = Receiver::smtp();
    let mut settings = settings(&directory);
    let password = private(&directory, "password", "pass-word-7\n");
    settings.notify.mail = Some(MailSettings {
        smtp: Some(SmtpSettings {
            user: Some("glrl".to_owned()),
            password_file: Some(password.clone()),
            ..smtp(server.port)
        }),
        ..mail()
    });
    assert_eq!(
        told(&settings, &failed("Die Platte ist völlig voll")),
        Vec::<String>::new()
    );
    // Success is no bad news.
    told(&settings, &Event::backed_up(&fixtures::backup(&settings, 0)));
    let heard = server.heard();
    assert_eq!(heard.len(), 1);
    for part in [
        "MAIL FROM:<glrl@db.example.org>",
        "RCPT TO:<ops@example.org>",
        "RCPT TO:<b@example.org>",
        "Subject: [glrl] FAILED: backup of db1 on ",
        // NUL glrl NUL pass-word-7, RFC 4616.
        "AUTH PLAIN AGdscmwAcGFzcy13b3JkLTc=",
        "v=C3=B6llig voll",
    ] {
        assert!(heard[0].contains(part), "no {part} in {}", heard[0]);
    }
    // Not in the clear to another machine, and not from a file that others read.
    let smtp = |settings: &mut Settings, host: &str| {
        settings.notify.mail.as_mut().unwrap().smtp.as_mut().unwrap().host = host.to_owned();
    };
    smtp(&mut settings, "mail.example.org");
    let warnings = told(&settings, &failed("x"));
    assert!(warnings[0].contains("in the clear"), "{warnings:?}");
    smtp(&mut settings, "127.0.0.1");
    fs::set_permissions(&*password, PermissionsExt::from_mode(0o644)).unwrap();
    let warnings = told(&settings, &failed("y"));
    assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn mail_goes_through_sendmail() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    let sendmail = directory.path().join("sendmail");
    let heard = directory.path().join("heard");
    fs::write(
        &sendmail,
        format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} > {}\n", heard.display()),
    )
    .unwrap();
    fs::set_permissions(&sendmail, PermissionsExt::from_mode(0o755)).unwrap();
    settings.notify.mail = Some(MailSettings {
        sendmail: sendmail.to_str().unwrap().to_owned(),
        ..mail()
    });
    assert_eq!(told(&settings, &failed("full")), Vec::<String>::new());
    let text = fs::read_to_string(&heard).unwrap();
    assert!(
        text.starts_with("-i -f glrl@db.example.org -- ops@example.org b@example.org\n"),
        "{text}"
    );
    assert!(text.contains("Subject: [glrl] FAILED"), "{text}");
}

#[test]
fn secrets_are_in_no_warning_and_in_no_letter() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    let secret = "T0psecret-T0ken-9";
    let refusing = Receiver::http(&[403, 302]);
    for url in [
        refusing.url(&format!("/{secret}")),
        format!("{}/{secret}", nobody()),
        format!("https://{secret}.invalid/x"),
    ] {
        settings.notify.webhook = Some(webhook(&url));
        settings.notify.ping = Some(ping(&url));
        assert!(!format!("{settings:?}").contains(secret));
        let warnings = told(&settings, &failed(&format!("posting to {url}")));
        assert!(
            !warnings.is_empty() && !warnings.concat().contains(secret),
            "{warnings:?}"
        );
    }
    let letters = fs::read_dir(settings.state_directory.join("notify/db1")).unwrap();
    let letters: Vec<_> = letters
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(letters.len() > 3 && !letters.concat().contains(secret), "{letters:?}");
}

#[test]
fn a_file_that_holds_a_url_is_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    let file = private(&directory, "backup.yml", "");
    settings.notify.webhook = Some(webhook("https://example.org/secret-hook-3"));
    settings.check_mode(&file).unwrap();
    fs::set_permissions(&*file, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(settings.check_mode(&file).unwrap_err().kind, ErrorKind::Settings);
    settings.notify.webhook = None;
    settings.check_mode(&file).unwrap();
    settings.check_mode(Path::new("/no/such/file")).unwrap();
}

#[test]
fn old_letters_are_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.notify.webhook = Some(webhook(&nobody()));
    for _ in 0..3 {
        told(&settings, &failed("x"));
    }
    let outbox = Outbox::open(&settings).unwrap();
    let days = |days: i64| now() + jiff::SignedDuration::from_hours(24 * days);
    assert_eq!(outbox.letters(days(6)).unwrap().0.len(), 3);
    let (letters, dropped) = outbox.letters(days(8)).unwrap();
    assert_eq!((letters.len(), dropped, waiting(&settings)), (0, 3, 0));
}
