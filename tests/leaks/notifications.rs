//! Hard texts as the secrets of the backup programs: URLs, a mail password, a database's password, an identity. They are looked for in all
//! that is said, told and kept, while everybody who is told answers with an error that repeats them.

#[path = "../../crates/glrl-backup/src/operate/notify/tests/receiver.rs"]
#[allow(dead_code)]
mod receiver;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use base64::{Engine, prelude::BASE64_STANDARD};

use self::receiver::Receiver;
use super::{
    Outputs,
    texts::{Traces, all, percent_encoded},
    walk,
};

/// A sample of the texts, for each run of the tests.
#[test]
fn what_others_are_told_holds_no_secret() {
    try_texts(|index| index % 8 == 1);
}

/// All of them.
#[test]
#[ignore = "takes minutes: make test-long"]
fn what_others_are_told_holds_none_of_all_hard_texts() {
    try_texts(|_| true);
}

fn try_texts(wanted: impl Fn(usize) -> bool) {
    let open: Vec<u8> = outputs("neutral-token-of-27-letters").into_values().flatten().collect();
    let mut leaks = Vec::new();
    let (mut said, mut kinds) = (0, 0);
    for (_, (name, text)) in all().into_iter().enumerate().filter(|(index, _)| wanted(*index)) {
        let traces = Traces::of(&text, &open);
        let outputs = outputs(&text);
        kinds = outputs.len();
        for (output, bytes) in outputs {
            said += bytes.len();
            leaks.extend(
                traces
                    .find(&bytes)
                    .map(|around| format!("{name}, {output}: {around}\n")),
            );
        }
    }
    println!("{kinds} outputs, {said} bytes: {} found", leaks.len());
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// One that refuses all, and repeats the text.
fn web(text: &str) -> Receiver {
    Receiver::start({
        let text = text.replace(['\r', '\n'], " ");
        move |mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 0 && !line.ends_with("\r\n\r\n") {}
            reader.fill_buf().unwrap();
            let _ = write!(
                stream,
                "HTTP/1.1 500 {text}\r\nLocation: /{text}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            None
        }
    })
}

/// One that takes no password, and repeats it.
fn mail_server(text: &str) -> Receiver {
    Receiver::start({
        let text = text.to_owned();
        move |mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            stream.write_all(b"220 test\r\n").unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 0 {
                let answer = match line.get(..4) {
                    Some("EHLO") => "250-test\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
                    Some("AUTH") => {
                        let lines: String = text.split('\n').map(|line| format!("535-5.7.8 {line}\r\n")).collect();
                        format!("{lines}535 5.7.8 {}\r\n", BASE64_STANDARD.encode(&text))
                    }
                    _ => "250 ok\r\n".to_owned(),
                };
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
                line.clear();
            }
            None
        }
    })
}

/// What is said, told and kept where this text is each of the secrets.
fn outputs(text: &str) -> Outputs {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["target", "metrics", "told"] {
        fs::create_dir(at(name)).unwrap();
    }
    let in_url = percent_encoded(text);
    let (web, mail_server) = (web(text), mail_server(text));
    for (name, text) in [
        ("url", web.url(&format!("/{in_url}?{in_url}"))),
        ("not-a-url", text.to_owned()),
        ("password", text.to_owned()),
        ("identity", text.to_owned()),
        (
            "my.cnf",
            format!("[client]\nuser = root\npassword = \"{text}\"\n{text}\n"),
        ),
        (
            "tee",
            format!(
                "#!/bin/sh\ncat >> {}/$1\necho {} >&2; exit 1\n",
                at("told").display(),
                web.url(&format!("/{in_url}"))
            ),
        ),
    ] {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(
            at(name),
            PermissionsExt::from_mode(if name == "tee" { 0o700 } else { 0o600 }),
        )
        .unwrap();
    }
    let base = directory.path().display();
    let port = mail_server.port;
    let [by_smtp, by_program] = [
        format!("smtp: {{ host: 127.0.0.1, port: {port}, tls: none, user: ops, password_file: {base}/password }}"),
        format!("sendmail: {base}/sendmail"),
    ];
    fs::write(at("sendmail"), format!("#!/bin/sh\nexec {base}/tee mail\n")).unwrap();
    fs::set_permissions(at("sendmail"), PermissionsExt::from_mode(0o700)).unwrap();
    let mut outputs = Outputs::new();
    for (name, url_file, mail) in [("smtp", "url", by_smtp), ("sendmail", "not-a-url", by_program)] {
        let settings = format!(
            "instance: db1\ntarget: {{ directory: {base}/target, mounted: false, wait: 0s }}\nserver: {{ socket: {base}/none, option_file: {base}/my.cnf }}\n\
             encryption: {{ identity_file: {base}/identity }}\nverify: {{ scratch: {base}/scratch, verdicts: {base}/verdicts }}\n\
             state_directory: {base}/state\nrun_directory: {base}/run\nkeep: {{ last: 1 }}\nnotify:\n  timeout: 10s\n  metrics: {base}/metrics\n  \
             command: {{ run: [{base}/tee, command] }}\n  webhook: {{ url_file: {base}/{url_file} }}\n  ping: {{ url: '{}' }}\n  \
             mail: {{ to: [ops@example.org], from: glrl@example.org, {mail} }}\n",
            web.url(&format!("/{in_url}")),
        );
        fs::write(at("backup.yml"), settings).unwrap();
        fs::set_permissions(at("backup.yml"), PermissionsExt::from_mode(0o600)).unwrap();
        for command in [
            "backup run",
            "backup run --json",
            "backup run --debug",
            "verify",
            "verify --json",
            "backup prune",
            "backup binlogs",
            "backup status",
            "backup status --json",
            "restore --to restored",
            "backup list",
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_glrl"))
                .args(command.split(' '))
                .arg("--settings")
                .arg(at("backup.yml"))
                .current_dir(&directory)
                .env("NO_COLOR", "1")
                .output()
                .unwrap();
            outputs.insert(format!("{command}, {name}"), [output.stdout, output.stderr].concat());
        }
    }
    for kept in ["state", "metrics", "told", "target", "verdicts"].map(at) {
        for path in kept.exists().then(|| walk(&kept)).into_iter().flatten() {
            let name = path.strip_prefix(&directory).unwrap().display().to_string();
            outputs.insert(name, fs::read(&path).unwrap());
        }
    }
    outputs
}
