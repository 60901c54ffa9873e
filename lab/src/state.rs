//! Saved states: a machine booted once, from which others start in a second.
//!
//! A state is three files that never change again: `ram` (memory, mapped copy-on-write by each
//! machine), `devices` (all else) and `disk.qcow2` (the root disk, under each machine's own layer).
//! The technique is QEMU's "VM templating" (docs/system/vm-templating.rst).

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    accelerator::Accelerator,
    cache::{self, Cache, say},
    disk, host,
    image::Image,
    machine::{self, Hardware, Machine, Memory, Setup, Start},
    release::Release,
    segment::{Mac, Segment},
    ssh::{self, Ssh},
};

/// How long a cold boot may take. Emulated on a busy machine it was seen to take three minutes.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_mins(10);

/// How long the command that prepares a state may take.
const PREPARATION_LIMIT: Duration = Duration::from_mins(30);

/// The machine that is saved: no node, the twin of all.
const TWIN_MAC: Mac = [0x52, 0x54, 0, 0, 0, 1];

/// What all states of a release on this host have in common.
#[derive(Debug, Clone)]
pub(crate) struct Workshop {
    pub(crate) cache: Cache,
    pub(crate) image: Image,
    pub(crate) accelerator: Accelerator,
    pub(crate) qemu: String,
}

impl Workshop {
    /// Builds or finds the image, and decides how machines run.
    pub(crate) fn open(release: Release) -> Result<Self> {
        host::check()?;
        let cache = Cache::open()?;
        let image = Image::get(&cache, release)?;
        let qemu = machine::qemu_version()?;
        let accelerator = Accelerator::choose(&cache, &image, &qemu)?;
        Ok(Self {
            cache,
            image,
            accelerator,
            qemu,
        })
    }
}

/// A saved state in the cache.
#[derive(Debug, Clone)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// The state of a booted node with this hardware, on which `preparation` (a shell command line)
    /// has been run; made where the cache has none.
    pub(crate) fn get(workshop: &Workshop, hardware: Hardware, preparation: Option<&str>) -> Result<Self> {
        let base = match preparation {
            Some(_) => Some(Self::get(workshop, hardware, None)?),
            None => None,
        };
        let key = cache::key([
            workshop.image.key(),
            &workshop.accelerator.key(),
            &workshop.qemu,
            &machine::description(&workshop.image, workshop.accelerator, hardware),
            preparation.unwrap_or_default(),
        ]);
        let folder = workshop.cache.entry(&format!("state-{key}"), |folder| {
            let twin = Twin {
                workshop,
                hardware,
                folder,
            };
            match (&base, preparation) {
                (Some(base), Some(preparation)) => twin.prepare(base, preparation),
                _ => twin.boot(),
            }
        })?;
        Ok(Self { folder })
    }

    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join("ram")
    }

    pub(crate) fn devices(&self) -> PathBuf {
        self.folder.join("devices")
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }
}

/// A state in the making.
struct Twin<'a> {
    workshop: &'a Workshop,
    hardware: Hardware,
    folder: &'a Path,
}

impl Twin<'_> {
    fn boot(&self) -> Result<()> {
        say("booting a node, to be saved (once, about a minute where there is no KVM)");
        disk::overlay(&self.disk(), &self.workshop.image.root(), "raw")?;
        self.run_and_save(Start::Boot, "true")
    }

    fn prepare(&self, base: &State, preparation: &str) -> Result<()> {
        say(&format!("preparing a node, to be saved (once): {preparation}"));
        disk::overlay(&self.disk(), &base.disk(), "qcow2")?;
        let (from, to) = (base.memory(), self.memory());
        let copy = ["--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()];
        host::run("cp", copy, Duration::from_mins(5))?;
        self.run_and_save(Start::Resume(&base.devices()), preparation)
    }

    fn run_and_save(&self, start: Start, command: &str) -> Result<()> {
        let started = Instant::now();
        let serial = self.folder.join("serial.log");
        let mut machine = Machine::start(&Setup {
            image: &self.workshop.image,
            accelerator: self.workshop.accelerator,
            hardware: self.hardware,
            memory: Memory::File(&self.memory()),
            root: &self.disk(),
            disks: &[],
            segment: &Segment::default(),
            mac: TWIN_MAC,
            start,
            serial: &serial,
            messages: &self.folder.join("qemu.log"),
        })?;
        let port = machine.ssh_port();
        ssh::wait_for_server(port, BOOT_LIMIT, || machine.check_alive())
            .with_context(|| format!("booting; the console is in {}", serial.display()))?;
        // No shared connection: none may be open in the state, and its socket would need a short path.
        let ssh = Ssh::new(&self.workshop.image, port, "none".into());
        let script = format!(
            "date --utc --set @{} >/dev/null; systemctl is-system-running --wait >/dev/null\n\
             export DEBIAN_FRONTEND=noninteractive; {{ {command}\n}} && sync",
            now()
        );
        let output = ssh.run(&script, PREPARATION_LIMIT)?;
        if !output.success() {
            bail!("{command} failed on the node: {}", host::tail(output.stderr.as_bytes()));
        }
        machine.save(&self.folder.join("devices"))?;
        say(&format!("saved after {} s", started.elapsed().as_secs()));
        Ok(())
    }

    fn memory(&self) -> PathBuf {
        self.folder.join("ram")
    }

    fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }
}

/// Seconds since 1970, for a node's clock.
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
