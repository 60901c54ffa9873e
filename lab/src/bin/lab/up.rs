//! `lab up`: starts the serving process and waits until its nodes are there.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use glrl_lab::{Disk, NodeSpec, Release};

use crate::control::Place;

/// What nodes there are to be.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Names of the nodes; backup, mysql and verify have the addresses that the roles expect
    #[arg(long = "name", value_name = "NAME", num_args = 1.., default_values = ["backup", "mysql"])]
    names: Vec<String>,
    /// What the nodes run: bookworm (Debian 12) or noble (Ubuntu 24.04)
    #[arg(long, value_name = "SUITE", default_value = Release::default().suite(), value_parser = release)]
    release: Release,
    /// Size of each node's empty disk, /dev/disk/by-id/virtio-data; 0: no disk
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = bytes)]
    disk: u64,
    /// Memory of each node, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// Processors of each node
    #[arg(long, value_name = "N", default_value_t = 1)]
    cpus: u8,
}

impl Options {
    pub(crate) fn specs(&self) -> Vec<NodeSpec> {
        let spec = |name: &String| {
            let spec = NodeSpec::new(name)
                .release(self.release)
                .memory(self.memory)
                .cpus(self.cpus);
            match self.disk {
                0 => spec,
                bytes => spec.disk(Disk::sized("data", bytes)),
            }
        };
        self.names.iter().map(spec).collect()
    }

    /// The same options for the serving process.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--release={}", self.release.suite()),
            format!("--disk={}", self.disk),
            format!("--memory={}", self.memory),
            format!("--cpus={}", self.cpus),
        ];
        arguments.extend(self.names.iter().map(|name| format!("--name={name}")));
        arguments
    }
}

/// Finds a release by its code name.
pub(crate) fn release(text: &str) -> Result<Release> {
    let known = Release::ALL.map(Release::suite).join(" or ");
    let found = Release::ALL.into_iter().find(|release| release.suite() == text);
    found.with_context(|| format!("nodes run {known}"))
}

/// Parses a size: bytes, or with the suffix M or G for MiB and GiB.
pub(crate) fn bytes(text: &str) -> Result<u64> {
    let (number, unit) = match text.strip_suffix(['M', 'G']) {
        Some(number) if text.ends_with('M') => (number, 1 << 20),
        Some(number) => (number, 1 << 30),
        None => (text, 1),
    };
    let number: u64 = number.parse().context("a size is a number, or one with M or G")?;
    number.checked_mul(unit).context("too large")
}

pub(crate) fn up(place: &Place, options: &Options) -> Result<()> {
    if place.is_up() {
        bail!(
            "a lab is up already in {} (see `lab status`, `lab down`)",
            place.folder().display()
        );
    }
    let log = File::create(place.log())?;
    let mut server = Command::new(std::env::current_exe()?)
        .arg("--state-dir")
        .arg(place.folder())
        .arg("serve")
        .args(options.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("starting the process that runs the nodes")?;
    let mut said = 0;
    loop {
        let ended = server.try_wait()?;
        relay(place, &mut said)?;
        match ended {
            Some(status) => bail!("the nodes did not start ({status})"),
            None if place.is_up() => return Ok(()),
            None => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Passes on what the server said since last time: builds take minutes.
fn relay(place: &Place, said: &mut usize) -> Result<()> {
    let mut text = Vec::new();
    File::open(place.log())?.read_to_end(&mut text)?;
    io::stderr().write_all(&text[(*said).min(text.len())..])?;
    *said = text.len();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found_by_their_code_names() {
        assert_eq!(release("noble").unwrap(), Release::Noble);
        assert_eq!(release("jammy").unwrap_err().to_string(), "nodes run bookworm or noble");
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("512").unwrap(), 512);
        assert_eq!(bytes("3M").unwrap(), 3 << 20);
        assert_eq!(bytes("2G").unwrap(), 2 << 30);
        for wrong in ["", "G", "1K", "-1", "99999999999G"] {
            bytes(wrong).unwrap_err();
        }
    }
}
