//! The process that runs the nodes. They are its children and end with it, however it ends.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, bail};
use glrl_lab::{Lab, Node};

use crate::{
    control::{Answer, NodeStatus, Place, Request},
    up::Options,
};

pub(crate) fn serve(place: &Place, options: &Options) -> Result<()> {
    // A session of its own: closing the terminal ends no lab.
    nix::unistd::setsid().context("leaving the terminal's session")?;
    let lock = File::create(place.folder().join("lock"))?;
    if lock.try_lock().is_err() {
        bail!("a lab is up already, or starting (see `lab status`, `lab down`)");
    }
    let running = Running::new(Some(Arc::new(Lab::start(options.specs())?)));
    let running = Arc::new(running);
    for stream in place.listen()?.incoming() {
        let (stream, running) = (stream?, Arc::clone(&running));
        thread::spawn(move || answer(&stream, &running));
    }
    Ok(())
}

/// The lab, until it is taken down.
type Running = Mutex<Option<Arc<Lab>>>;

/// Answers one request. A caller that is gone is no reason to end.
fn answer(stream: &UnixStream, running: &Running) {
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let request = serde_json::from_str(&line).context("reading the request");
    let down = matches!(request, Ok(Request::Down));
    let answer = request
        .and_then(|request| act(running, request))
        .unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
    if let Ok(answer) = serde_json::to_string(&answer) {
        let _ = writeln!(&mut &*stream, "{answer}");
    }
    if down {
        // Where another request still held the lab, its nodes end now, with their parent.
        std::process::exit(0);
    }
}

fn act(running: &Running, request: Request) -> Result<Answer> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(request, Request::Down) {
        drop(running.take());
        return Ok(Answer::Done);
    }
    let lab = running.clone().context("the lab is going down")?;
    drop(running);
    let node = |name: &str| lab.node(name).with_context(|| format!("this lab has no node {name}"));
    match request {
        Request::Status => return Ok(Answer::Nodes(lab.nodes().iter().map(describe).collect())),
        Request::Ssh { node: name } => return Ok(Answer::Ssh(node(&name)?.ssh_arguments()?)),
        Request::Put {
            node: name,
            local,
            remote,
        } => node(&name)?.put(&local, &remote)?,
        Request::Get {
            node: name,
            remote,
            local,
        } => node(&name)?.get(&remote, &local)?,
        Request::Cut { node: name } => node(&name)?.power_cut(),
        Request::Boot { node: name } => node(&name)?.boot()?,
        Request::Grow {
            node: name,
            serial,
            size,
        } => node(&name)?.grow_disk(&serial, size)?,
        Request::Down => {}
    }
    Ok(Answer::Done)
}

fn describe(node: &Node) -> NodeStatus {
    NodeStatus {
        name: node.name().to_owned(),
        address: node.address().to_string(),
        pid: node.pid(),
    }
}
