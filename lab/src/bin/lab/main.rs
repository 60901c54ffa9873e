//! `lab`: nodes that outlive the command, for the demo and for humans.

mod control;
mod serve;
mod up;

use std::{
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use glrl_lab::{Lab, Release};

use control::{Answer, Place, Request};

/// Throw-away real machines: nodes of Debian or Ubuntu in QEMU on a private network segment.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Arguments {
    /// Where the running lab is recorded; one lab a folder [default: `up` in the lab's cache]
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build all that nodes need: image, saved state. Does nothing where it is there
    Images {
        /// What the nodes run: bookworm (Debian 12) or noble (Ubuntu 24.04) [default: both, noble where a mirror of Ubuntu answers]
        #[arg(long, value_name = "SUITE", value_parser = up::release)]
        release: Option<Release>,
    },
    /// Start nodes; they run until `lab down`
    Up(up::Options),
    /// Run the nodes and answer the other commands; what `up` starts in the background
    #[command(hide = true)]
    Serve(up::Options),
    /// Run a command on a node, or open a shell there
    Ssh {
        node: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Copy a file, or what a folder holds, to a node
    Put {
        node: String,
        local: PathBuf,
        remote: String,
    },
    /// Copy a file of a node here
    Get {
        node: String,
        remote: String,
        local: PathBuf,
    },
    /// Cut a node's power: its QEMU is killed, its disks are kept
    Cut { node: String },
    /// Boot a node whose power was cut
    Boot { node: String },
    /// Grow a disk of a node, to a size such as 3G
    Grow {
        node: String,
        serial: String,
        #[arg(value_parser = up::bytes)]
        size: u64,
    },
    /// Tell which nodes there are and whether they run
    Status,
    /// End all nodes; nothing of them is left
    Down,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody to tell it to: the exit code remains.
            let _ = writeln!(io::stderr(), "lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let folder = match arguments.state_dir {
        Some(folder) => folder,
        None => glrl_lab::cache_folder()?.join("up"),
    };
    let place = Place::new(&folder)?;
    match arguments.command {
        Verb::Images { release } => images(release),
        Verb::Up(options) => up::up(&place, &options),
        Verb::Serve(options) => serve::serve(&place, &options),
        Verb::Ssh { node, command } => ssh(&place, &node, &command),
        Verb::Put { node, local, remote } => {
            let local = existing(&local)?;
            done(&place, &Request::Put { node, local, remote })
        }
        Verb::Get { node, remote, local } => {
            let local = std::path::absolute(local)?;
            done(&place, &Request::Get { node, remote, local })
        }
        Verb::Cut { node } => done(&place, &Request::Cut { node }),
        Verb::Boot { node } => done(&place, &Request::Boot { node }),
        Verb::Grow { node, serial, size } => done(&place, &Request::Grow { node, serial, size }),
        Verb::Status => status(&place),
        Verb::Down if place.is_up() => done(&place, &Request::Down),
        Verb::Down => Ok(()),
    }
}

/// Builds what nodes of a release need, or of all that can be had here.
fn images(release: Option<Release>) -> Result<()> {
    if let Some(release) = release {
        return Lab::build(release);
    }
    for release in Release::ALL {
        match Lab::unavailable(release)? {
            Some(why) if release != Release::default() => {
                writeln!(io::stderr(), "lab: no nodes of {}: {why}", release.suite())?;
            }
            _ => Lab::build(release)?,
        }
    }
    Ok(())
}

fn done(place: &Place, request: &Request) -> Result<()> {
    place.ask(request).map(drop)
}

fn existing(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("reading {}", path.display()))
}

/// Becomes ssh: a terminal, signals and the exit status are its own.
fn ssh(place: &Place, node: &str, command: &[String]) -> Result<()> {
    let Answer::Ssh(arguments) = place.ask(&Request::Ssh { node: node.to_owned() })? else {
        bail!("the lab gave another answer than was asked for");
    };
    Err(Command::new("ssh").args(arguments).args(command).exec()).context("starting ssh")
}

fn status(place: &Place) -> Result<()> {
    if !place.is_up() {
        bail!("no lab is up (start one with `lab up`)");
    }
    let Answer::Nodes(nodes) = place.ask(&Request::Status)? else {
        bail!("the lab gave another answer than was asked for");
    };
    let mut out = io::stdout().lock();
    for node in nodes {
        let state = match node.pid {
            Some(pid) => format!("running (QEMU {pid})"),
            None => "off".to_owned(),
        };
        writeln!(out, "{:<10} {:<15} {state}", node.name, node.address)?;
    }
    Ok(())
}
