//! Others, on loopback, who are told: one that speaks HTTP and one that speaks SMTP, as much of it as is needed.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::spawn,
};

/// Somebody who listens, and what came.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub(crate) fn start(answer: impl Fn(TcpStream) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let log = heard.clone();
        spawn(move || {
            for stream in listener.incoming() {
                let Some(said) = answer(stream.unwrap()) else { continue };
                log.lock().unwrap().push(said);
            }
        });
        Self { port, heard }
    }

    /// Answers each POST with the next status, the last one for ever. What it hears: `PATH BODY`.
    pub(crate) fn http(statuses: &'static [u16]) -> Self {
        let turn = Mutex::new(0);
        Self::start(move |mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            reader.read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1)?.to_owned();
            loop {
                line.clear();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let mut turn = turn.lock().unwrap();
            let status = statuses[(*turn).min(statuses.len() - 1)];
            *turn += 1;
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            (status < 300).then(|| format!("{path} {}", String::from_utf8_lossy(&body)))
        })
    }

    /// Takes mail as RFC 5321 has it, as little of it as is needed. What it hears: all that is said.
    pub(crate) fn smtp() -> Self {
        Self::start(|mut stream| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut said = String::new();
            stream.write_all(b"220 test\r\n").unwrap();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 {
                    break;
                }
                said.push_str(&line);
                let word = line.split(' ').next().unwrap_or_default().trim().to_ascii_uppercase();
                let answer = match word.as_str() {
                    "EHLO" => "250-test\r\n250 AUTH PLAIN LOGIN\r\n",
                    "AUTH" => "235 ok\r\n",
                    "DATA" => {
                        stream.write_all(b"354 go on\r\n").unwrap();
                        loop {
                            let mut line = String::new();
                            reader.read_line(&mut line).unwrap();
                            if line == ".\r\n" {
                                break;
                            }
                            said.push_str(&line);
                        }
                        "250 taken\r\n"
                    }
                    "QUIT" => {
                        stream.write_all(b"221 bye\r\n").unwrap();
                        break;
                    }
                    _ => "250 ok\r\n",
                };
                stream.write_all(answer.as_bytes()).unwrap();
            }
            Some(said)
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}
