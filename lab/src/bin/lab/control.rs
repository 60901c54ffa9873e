//! What the commands ask of the process that runs the nodes: one JSON line each way, over a Unix
//! socket in the state folder. Whoever answers there is the lab: no pid is recorded, and none can
//! be mistaken.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Status,
    Ssh {
        node: String,
    },
    Put {
        node: String,
        local: PathBuf,
        remote: String,
    },
    Get {
        node: String,
        remote: String,
        local: PathBuf,
    },
    Cut {
        node: String,
    },
    Boot {
        node: String,
    },
    Grow {
        node: String,
        serial: String,
        size: u64,
    },
    Down,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Nodes(Vec<NodeStatus>),
    /// Arguments for ssh.
    Ssh(Vec<String>),
    Failed(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) pid: Option<u32>,
}

/// The state folder.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self {
            folder: folder.canonicalize()?,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the serving process said.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("lab.log")
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connect().is_ok()
    }

    /// Sends a request; an answer that it failed is an error.
    pub(crate) fn ask(&self, request: &Request) -> Result<Answer> {
        let mut stream = self.connect().context("no lab is up (start one with `lab up`)")?;
        writeln!(stream, "{}", serde_json::to_string(request)?)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        match serde_json::from_str(&line).context("the lab ended without an answer")? {
            Answer::Failed(error) => bail!("{error}"),
            answer => Ok(answer),
        }
    }

    /// Binds the socket, for the one process that serves here (it holds the folder's lock).
    pub(crate) fn listen(&self) -> Result<UnixListener> {
        self.enter()?;
        let _ = fs::remove_file(SOCKET); // of a lab that was killed
        UnixListener::bind(SOCKET).context("binding the lab's socket")
    }

    fn connect(&self) -> Result<UnixStream> {
        let back = std::env::current_dir();
        self.enter()?;
        let stream = UnixStream::connect(SOCKET);
        if let Ok(back) = back {
            std::env::set_current_dir(back)?;
        }
        Ok(stream?)
    }

    /// A socket's path is limited to 107 bytes, a folder's is not: so it is named from inside.
    fn enter(&self) -> Result<()> {
        std::env::set_current_dir(&self.folder).with_context(|| format!("entering {}", self.folder.display()))
    }
}

const SOCKET: &str = "control";
