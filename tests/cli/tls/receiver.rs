//! Others, on loopback, who are told over TLS: one that speaks HTTP and one that speaks SMTP, as much of it as is needed. They keep what
//! was said to them, what went over the wire for it, and what anybody could see of glrl in /proc meanwhile.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread::spawn,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Shared<T> = Arc<Mutex<T>>;

/// Somebody who listens.
pub(super) struct Receiver {
    pub(super) port: u16,
    heard: Shared<Vec<String>>,
    wire: Shared<Vec<u8>>,
    processes: Shared<String>,
}

impl Receiver {
    fn start(serve: impl Fn(Tap) -> io::Result<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Shared::default(),
            wire: Shared::default(),
            processes: Shared::default(),
        };
        let (heard, wire, processes) = (
            receiver.heard.clone(),
            receiver.wire.clone(),
            receiver.processes.clone(),
        );
        spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                processes.lock().unwrap().push_str(&seen());
                // An error is a client that has gone: what it thought of the certificate, it says itself.
                if let Ok(said) = serve(Tap(stream, wire.clone())) {
                    heard.lock().unwrap().push(said);
                }
            }
        });
        receiver
    }

    /// Takes POSTs, over TLS where it has a certificate. What it hears: `PATH BODY`.
    pub(super) fn http(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start(move |tap| match &tls {
            Some(config) => post(&mut sealed(config, tap)),
            None => post(&mut BufReader::new(tap)),
        })
    }

    /// Takes mail over TLS from the first byte on. What it hears: all that is said.
    pub(super) fn smtps(tls: Arc<ServerConfig>) -> Self {
        Self::start(move |tap| {
            let mut stream = sealed(&tls, tap);
            stream.get_mut().write_all(GREETING)?;
            mail(&mut stream, &[])
        })
    }

    /// Takes mail, in the clear too, and offers STARTTLS where it has a certificate. What it hears is all that is said; after STARTTLS,
    /// what was said over TLS.
    pub(super) fn smtp(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start(move |tap| {
            let mut stream = BufReader::new(tap);
            stream.get_mut().write_all(GREETING)?;
            match &tls {
                None => mail(&mut stream, &[]),
                Some(config) => {
                    let said = mail(&mut stream, &["STARTTLS"])?;
                    if !said.ends_with("STARTTLS\r\n") {
                        return Ok(said);
                    }
                    mail(&mut sealed(config, stream.into_inner()), &[])
                }
            }
        })
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// All bytes that came, as who listens on the way has them.
    pub(super) fn wire(&self) -> String {
        String::from_utf8_lossy(&self.wire.lock().unwrap()).into_owned()
    }

    /// Arguments and environment of glrl's processes.
    pub(super) fn processes(&self) -> String {
        self.processes.lock().unwrap().clone()
    }
}

const GREETING: &[u8] = b"220 test\r\n";

/// A stream that keeps a copy of what comes.
struct Tap(TcpStream, Shared<Vec<u8>>);

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.lock().unwrap().extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn sealed(config: &Arc<ServerConfig>, tap: Tap) -> BufReader<StreamOwned<ServerConnection, Tap>> {
    let connection = ServerConnection::new(config.clone()).unwrap();
    BufReader::new(StreamOwned::new(connection, tap))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

fn post<S: Read + Write>(stream: &mut BufReader<S>) -> io::Result<String> {
    let first = line(stream)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    stream.get_mut().write_all(answer)?;
    Ok(format!("{path} {}", String::from_utf8_lossy(&body)))
}

/// Until QUIT, STARTTLS or the end of the stream.
fn mail<S: Read + Write>(stream: &mut BufReader<S>, offers: &[&str]) -> io::Result<String> {
    let mut said = String::new();
    loop {
        let command = match line(stream) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(said),
            other => other?,
        };
        said.push_str(&command);
        let word = command
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" => {
                let offers: String = offers.iter().map(|offer| format!("250-{offer}\r\n")).collect();
                // A password is welcome at any time.
                format!("250-test\r\n{offers}250 AUTH PLAIN LOGIN\r\n")
            }
            "AUTH" => "235 ok\r\n".to_owned(),
            "STARTTLS" => "220 go on\r\n".to_owned(),
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                while !said.ends_with("\r\n.\r\n") {
                    said.push_str(&line(stream)?);
                }
                "250 taken\r\n".to_owned()
            }
            "QUIT" => "221 bye\r\n".to_owned(),
            _ => "250 ok\r\n".to_owned(),
        };
        stream.get_mut().write_all(answer.as_bytes())?;
        if ["STARTTLS", "QUIT"].contains(&word.as_str()) {
            return Ok(said);
        }
    }
}

/// What /proc shows of glrl: how it was started, and with what environment.
fn seen() -> String {
    let mut all = String::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let path = process.path();
        if fs::read_link(path.join("exe")).is_ok_and(|exe| exe == Path::new(env!("CARGO_BIN_EXE_glrl"))) {
            for name in ["cmdline", "environ"] {
                let bytes = fs::read(path.join(name)).unwrap_or_default();
                all.push_str(&String::from_utf8_lossy(&bytes).replace('\0', " "));
            }
        }
    }
    all
}
