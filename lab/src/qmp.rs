//! QEMU's machine protocol: JSON, a line each way
//! (<https://www.qemu.org/docs/master/interop/qmp-spec.html>).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long QEMU may take to answer or to finish a job.
const LIMIT: Duration = Duration::from_mins(5);

/// A connection to one QEMU.
#[derive(Debug)]
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Greets QEMU at the other end of `stream`.
    pub(crate) fn connect(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(LIMIT))?;
        let writer = stream.try_clone()?;
        let mut qmp = Self {
            reader: BufReader::new(stream),
            writer,
        };
        qmp.receive().context("waiting for QEMU's greeting")?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Executes a command and returns what it returns.
    pub(crate) fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let message = json!({ "execute": command, "arguments": arguments });
        // In one write: QEMU acts on the last brace, and may be gone before the end of the line.
        self.writer
            .write_all(format!("{message}\n").as_bytes())
            .with_context(|| format!("telling QEMU to {command}"))?;
        loop {
            let mut answer = self.receive().with_context(|| format!("QEMU on {command}"))?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {command}: {}", error["desc"].as_str().unwrap_or("?"));
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            // Else an event: nothing here waits for one.
        }
    }

    /// Starts a job (a command that takes `job-id`), waits for its end and dismisses it.
    pub(crate) fn job(&mut self, command: &str, mut arguments: Value) -> Result<()> {
        const ID: &str = "lab";
        arguments["job-id"] = json!(ID);
        self.execute(command, &arguments)?;
        self.poll(command, |qmp| {
            let jobs = qmp.execute("query-jobs", &json!({}))?;
            let job = jobs.as_array().into_iter().flatten().find(|job| job["id"] == ID);
            let job = job.context("the job is gone")?;
            if job["status"] != "concluded" {
                return Ok(None);
            }
            let error = job["error"].as_str().map(str::to_owned);
            qmp.execute("job-dismiss", &json!({ "id": ID }))?;
            match error {
                Some(error) => bail!("{error}"),
                None => Ok(Some(())),
            }
        })
    }

    /// Asks `ready` again and again until it answers `Some`.
    pub(crate) fn poll<T>(&mut self, what: &str, mut ready: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(value) = ready(self).with_context(|| format!("waiting for {what}"))? {
                return Ok(value);
            }
            if started.elapsed() > LIMIT {
                bail!("QEMU did not finish {what} within {} s", LIMIT.as_secs());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("QEMU has ended");
        }
        serde_json::from_str(&line).with_context(|| format!("reading {line:?}"))
    }
}
