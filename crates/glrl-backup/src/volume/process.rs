//! Who began something that may be left when the machine, or only the process, is gone: a process, named for as long as the machine's
//! disk lasts.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

/// A process of a boot of this machine, as text: `BOOT PROCESS`, neither with a space in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// The boot's id, random(4).
    pub(crate) boot: String,
    /// Its number and when it began, in ticks since the boot (field 22 of `proc_pid_stat(5)`): `123-4567`.
    pub(crate) began: String,
}

impl Process {
    /// This process.
    pub(crate) fn this() -> Result<Self> {
        Ok(Self {
            boot: boot()?,
            began: began("self").context("this process is not in /proc")?,
        })
    }

    /// As it is written.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (boot, process) = text.split_once(' ').unwrap_or((text, ""));
        ensure!(!process.is_empty(), "'{text}' names no process");
        Ok(Self {
            boot: boot.to_owned(),
            began: process.to_owned(),
        })
    }

    /// Whether it is still there; where that cannot be known, it may be. One that was killed is gone, though one of its threads may wait in the
    /// kernel for a disk.
    pub(crate) fn is_alive(&self) -> bool {
        match boot() {
            Ok(now) if now == self.boot => {
                let number = self.began.split('-').next().unwrap_or_default();
                began(number).is_some_and(|found| found == self.began)
            }
            Ok(_) => false,
            Err(_) => true,
        }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.boot, self.began)
    }
}

fn boot() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading the boot's id")?;
    Ok(id.trim().to_owned())
}

fn began(number: &str) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(number).join("stat")).ok()?;
    let (front, back) = stat.rsplit_once(')')?;
    let number = front.split(' ').next()?;
    let mut fields = back.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let began = fields.nth(18)?;
    Some(format!("{number}-{began}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_told_from_the_living() {
        let this = Process::this().unwrap();
        assert!(this.is_alive());
        assert_eq!(Process::parse(&this.to_string()).unwrap(), this);
        let of = |boot: &str, began: &str| Process {
            boot: boot.to_owned(),
            began: began.to_owned(),
        };
        assert!(!of("another-boot", &this.began).is_alive());
        // Another process has had this number.
        assert!(!of(&this.boot, &format!("{}-1", std::process::id())).is_alive());
        assert!(!of(&this.boot, "4194305-1").is_alive());
        Process::parse(" ").unwrap_err();
    }
}
