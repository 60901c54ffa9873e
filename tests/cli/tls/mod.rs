//! Notifications over TLS, by the built program: a webhook and a ping by HTTPS, mail by STARTTLS and by TLS from the start. Certificates that
//! are not to be trusted end it, and nothing goes in the clear that should not.
//!
//! Whom a node trusts, its certificate store says (`rustls-native-certs`), in whose place `SSL_CERT_FILE` can be set.

mod authority;
mod receiver;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use authority::Authority;
use receiver::Receiver;

/// In a URL.
const TOKEN: &str = "T0ken-of-the-webhook";
const PASSWORD: &str = "pass-word-7";
/// NUL glrl NUL pass-word-7, RFC 4616.
const AUTH: &str = "AUTH PLAIN AGdscmwAcGFzcy13b3JkLTc=";
/// As long as these tests are run.
const GOOD: i32 = 2999;

/// A node without a backup, of which a verification tells.
struct Node(TempDir);

impl Node {
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        fs::create_dir(node.0.path().join("target")).unwrap();
        node.file("password", PASSWORD);
        node
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Verifies, and returns all that is said about that, and how many notifications wait.
    fn verify(&self, notify: &Value, trusted: &Authority) -> (String, usize) {
        self.verify_trusting(notify, &trusted.pem())
    }

    fn verify_trusting(&self, notify: &Value, trusted: &str) -> (String, usize) {
        let directory = |name: &str| self.0.path().join(name);
        let mut settings = json!({
            "instance": "db1",
            "target": { "directory": directory("target"), "mounted": false },
            "state_directory": directory("state"),
            "verify": { "scratch": directory("scratch") },
            "notify": notify,
        });
        settings["notify"]["timeout"] = json!("5s");
        let output = Command::new(env!("CARGO_BIN_EXE_glrl"))
            .args(["verify", "--debug", "--settings"])
            .arg(self.file("backup.yml", &settings.to_string()))
            .env("SSL_CERT_FILE", self.file("trusted.pem", trusted))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(15), "{said}");
        for secret in [TOKEN, PASSWORD, AUTH] {
            assert!(!said.contains(secret), "{said}");
        }
        let mut letters = 0;
        for entry in fs::read_dir(directory("state/notify/db1")).unwrap() {
            let path = entry.unwrap().path();
            // Beside them lies the lock.
            if path.extension().is_some_and(|kind| kind == "json") {
                fs::remove_file(path).unwrap();
                letters += 1;
            }
        }
        (said, letters)
    }

    fn mail(&self, port: u16, tls: &str) -> Value {
        json!({ "mail": {
            "to": ["ops@example.org"], "from": "glrl@example.org",
            "smtp": { "host": "localhost", "port": port, "tls": tls, "user": "glrl", "password_file": self.0.path().join("password") },
        }})
    }
}

fn url(port: u16) -> String {
    format!("https://localhost:{port}/{TOKEN}")
}

/// Whether nothing of what was said could be read on the way, or off glrl's processes.
fn nobody_else_saw(receiver: &Receiver) {
    let (wire, processes) = (receiver.wire(), receiver.processes());
    assert!(processes.contains("verify --debug --settings "), "{processes}");
    for secret in [TOKEN, PASSWORD, AUTH, "AUTH", "MAIL FROM", "no backup"] {
        assert!(!wire.contains(secret), "{secret} went over the wire: {wire}");
    }
    for secret in [TOKEN, PASSWORD] {
        assert!(!processes.contains(secret), "{secret} is there to see: {processes}");
    }
}

#[test]
fn a_webhook_and_a_ping_go_by_https() {
    let authority = Authority::new("ours");
    let node = Node::new();
    let [hook, ping] = [(); 2].map(|()| Receiver::http(Some(authority.server("localhost", GOOD))));
    let notify =
        json!({ "webhook": { "url": url(hook.port) }, "ping": { "url_file": node.file("url", &url(ping.port)) } });
    let (said, letters) = node.verify(&notify, &authority);
    assert!(!said.contains("was not told") && letters == 0, "{said}");
    let heard = hook.heard();
    assert!(
        heard
            .last()
            .is_some_and(|said| said.starts_with(&format!("/{TOKEN} {{"))),
        "{heard:?}"
    );
    assert!(
        heard.last().is_some_and(|said| said.contains("\"event\":\"stale\"")),
        "{heard:?}"
    );
    let heard = ping.heard();
    assert!(
        heard
            .last()
            .is_some_and(|said| said.starts_with(&format!("/{TOKEN}/fail "))),
        "{heard:?}"
    );
    nobody_else_saw(&hook);
    nobody_else_saw(&ping);
}

#[test]
fn mail_goes_by_starttls_and_by_tls_from_the_start() {
    let authority = Authority::new("ours");
    let node = Node::new();
    let server = || authority.server("localhost", GOOD);
    for (tls, receiver) in [
        ("starttls", Receiver::smtp(Some(server()))),
        ("implicit", Receiver::smtps(server())),
    ] {
        let (said, letters) = node.verify(&node.mail(receiver.port, tls), &authority);
        assert!(!said.contains("was not told") && letters == 0, "{tls}: {said}");
        let heard = receiver.heard();
        assert_eq!(heard.len(), 1, "{tls}: {heard:?}");
        for part in [
            AUTH,
            "MAIL FROM:<glrl@example.org>",
            "RCPT TO:<ops@example.org>",
            "Subject: [glrl] ",
        ] {
            assert!(heard[0].contains(part), "{tls}: no {part} in {heard:?}");
        }
        nobody_else_saw(&receiver);
    }
}

#[test]
fn who_cannot_be_trusted_is_told_nothing() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let node = Node::new();
    for (server, wrong) in [
        (others.server("localhost", GOOD), "UnknownIssuer"),
        (
            ours.server("elsewhere.example.org", GOOD),
            "not valid for name \"localhost\"",
        ),
        (ours.server("localhost", 2020), "certificate expired"),
    ] {
        let [hook, starttls, implicit] = [
            Receiver::http(Some(server.clone())),
            Receiver::smtp(Some(server.clone())),
            Receiver::smtps(server),
        ];
        for (receiver, notify) in [
            (&hook, json!({ "webhook": { "url": url(hook.port) } })),
            (&starttls, node.mail(starttls.port, "starttls")),
            (&implicit, node.mail(implicit.port, "implicit")),
        ] {
            let (said, letters) = node.verify(&notify, &ours);
            assert!(said.contains("was not told") && said.contains(wrong), "{wrong}: {said}");
            assert_eq!((receiver.heard(), letters), (Vec::new(), 1), "{wrong}: {said}");
            nobody_else_saw(receiver);
        }
    }
}

#[test]
fn what_is_to_be_sealed_never_goes_in_the_clear() {
    let authority = Authority::new("ours");
    let node = Node::new();
    // A server that takes mail and a password in the clear, and has no STARTTLS: or somebody on the way has struck it out.
    let bare = Receiver::smtp(None);
    let (said, letters) = node.verify(&node.mail(bare.port, "starttls"), &authority);
    assert!(said.contains("STARTTLS is not supported on this server"), "{said}");
    assert!(bare.wire().contains("EHLO"), "{}", bare.wire());
    assert_eq!(letters, 1);
    nobody_else_saw(&bare);
    for (receiver, notify) in [
        (&bare, node.mail(bare.port, "implicit")),
        (&bare, json!({ "webhook": { "url": url(bare.port) } })),
    ] {
        let (said, letters) = node.verify(&notify, &authority);
        assert!(said.contains("was not told") && letters == 1, "{said}");
        nobody_else_saw(receiver);
    }
    let plain = Receiver::http(None);
    let (said, letters) = node.verify(&json!({ "webhook": { "url": url(plain.port) } }), &authority);
    assert!(said.contains("was not told") && letters == 1, "{said}");
    assert_eq!(plain.heard(), Vec::<String>::new());
    nobody_else_saw(&plain);
}

#[test]
fn a_node_that_trusts_nobody_says_so() {
    let authority = Authority::new("ours");
    let receiver = Receiver::http(Some(authority.server("localhost", GOOD)));
    let node = Node::new();
    let notify = json!({ "webhook": { "url": url(receiver.port) } });
    let (said, letters) = node.verify_trusting(&notify, "");
    assert!(
        said.contains("No CA certificates were loaded from the system") && letters == 1,
        "{said}"
    );
    nobody_else_saw(&receiver);
}
