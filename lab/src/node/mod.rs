//! A node: one machine of a lab. How it starts; what can be done with it is in [`inside`] and [`outside`].

mod inside;
mod outside;

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};

use crate::{
    cache,
    disk::{self, DiskFile},
    logs::Logs,
    machine::{Hardware, Machine, Memory, Setup, Start},
    run_folder::RunFolder,
    segment::{Mac, Segment},
    spec::NodeSpec,
    ssh::{self, Ssh, quote},
    state::{self, State, Workshop},
};

pub use outside::Checkpoint;

/// What the nodes of one lab share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) segment: Segment,
    /// `ADDRESS NAME` of every node, as arguments of `lab-node`.
    pub(crate) hosts: Vec<String>,
    // Last: the nodes' files, and then the logs, outlive the nodes.
    pub(crate) run: RunFolder,
    pub(crate) logs: Logs,
}

/// A node of a lab. All methods take `&self`: one thread may cut the power while another waits for
/// a command.
#[derive(Debug)]
pub struct Node {
    name: String,
    address: Ipv4Addr,
    hardware: Hardware,
    folder: PathBuf,
    inner: Mutex<Inner>,
    workshop: Workshop,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Inner {
    machine: Option<Machine>,
    ssh: Option<Ssh>,
    disks: Vec<DiskFile>,
    checkpoints: u32,
}

impl Inner {
    fn disk(&self, serial: &str, node: &str) -> Result<&DiskFile> {
        let disk = self.disks.iter().find(|disk| disk.serial == serial);
        disk.with_context(|| format!("{node} has no disk {serial}"))
    }
}

impl Node {
    /// Starts a node from its saved state.
    pub(crate) fn start(spec: &NodeSpec, address: Ipv4Addr, workshop: Workshop, shared: &Arc<Shared>) -> Result<Self> {
        let state = State::get(&workshop, spec.hardware, spec.preparation.as_deref())?;
        let folder = shared.run.path().join(&spec.name);
        fs::create_dir(&folder)?;
        disk::overlay(&folder.join("root.qcow2"), &state.disk(), "qcow2")?;
        let mut disks = Vec::new();
        for disk in &spec.disks {
            disks.push(DiskFile::make(disk, &folder, &disks)?);
        }
        let node = Self {
            name: spec.name.clone(),
            address,
            hardware: spec.hardware,
            folder,
            inner: Mutex::new(Inner {
                machine: None,
                ssh: None,
                disks: Vec::new(),
                checkpoints: 0,
            }),
            workshop,
            shared: Arc::clone(shared),
        };
        node.told(node.resume(&state, disks))
            .context("starting it from its saved state")?;
        Ok(node)
    }

    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the private segment.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The pid of its QEMU, where it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.inner().machine.as_ref().map(Machine::pid)
    }

    /// The serial console's log so far.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn console(&self) -> Result<String> {
        let log = fs::read(self.serial()).context("reading the serial console's log")?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    fn resume(&self, state: &State, disks: Vec<DiskFile>) -> Result<()> {
        let mut inner = self.inner();
        let (memory, devices) = (state.memory(), state.devices());
        let start = Start::Resume(&devices);
        // The saved machine had no disks: they are plugged in while it wakes up.
        inner.machine = Some(self.machine(Memory::CopyOf(&memory), start, &[])?);
        for disk in &disks {
            inner.machine.as_mut().context("no machine")?.add_disk(disk)?;
        }
        self.connect(&mut inner)?;
        let wait = wait_for_disks(&disks);
        inner.disks = disks;
        drop(inner);
        let mac = self.mac().map(|byte| format!("{byte:02x}")).join(":");
        let address = self.address.to_string();
        let (epoch, seed) = (state::now().to_string(), seed()?);
        let own = [self.name.as_str(), &address, &mac, &epoch, &seed];
        let words = own.into_iter().chain(self.shared.hosts.iter().map(String::as_str));
        let arguments: Vec<_> = words.map(quote).collect();
        self.run(&format!("lab-node {} && {wait}", arguments.join(" ")))
            .map(drop)
    }

    fn machine(&self, memory: Memory, start: Start, disks: &[DiskFile]) -> Result<Machine> {
        let Workshop { image, accelerator, .. } = &self.workshop;
        Machine::start(&Setup {
            image,
            accelerator: *accelerator,
            hardware: self.hardware,
            memory,
            root: &self.folder.join("root.qcow2"),
            disks,
            segment: &self.shared.segment,
            mac: self.mac(),
            start,
            serial: &self.serial(),
            messages: &self.shared.logs.file(&self.name, "qemu"),
        })
    }

    /// Waits for the ssh server of the machine and opens the shared connection.
    fn connect(&self, inner: &mut Inner) -> Result<()> {
        if let Some(ssh) = inner.ssh.take() {
            ssh.forget();
        }
        let machine = inner.machine.as_mut().context("the node is off")?;
        let port = machine.ssh_port();
        ssh::wait_for_server(port, state::BOOT_LIMIT, || machine.check_alive())?;
        let control = self.shared.run.path().join(format!("{}.ssh", self.name));
        let ssh = Ssh::new(&self.workshop.image, port, control);
        ssh.connect()?;
        inner.ssh = Some(ssh);
        Ok(())
    }

    /// Adds to an error where to look; the logs then stay.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        result.with_context(|| {
            let logs = self.shared.logs.keep();
            format!("node {} (its logs: {})", self.name, logs.display())
        })
    }

    fn serial(&self) -> PathBuf {
        self.shared.logs.file(&self.name, "serial")
    }

    /// Unique on the segment; 52:54:00 is QEMU's range.
    fn mac(&self) -> Mac {
        let [_, _, _, last] = self.address.octets();
        [0x52, 0x54, 0, 0, 1, last]
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.power_cut();
    }
}

/// A shell command line that waits until the node's udev has made the disks' links.
fn wait_for_disks(disks: &[DiskFile]) -> String {
    let links = disks
        .iter()
        .map(|disk| format!("/dev/disk/by-id/virtio-{}", disk.serial));
    let tests: Vec<_> = links.map(|link| format!("[ -e {link} ]")).collect();
    if tests.is_empty() {
        return "true".to_owned();
    }
    format!("timeout 300 sh -c 'until {}; do sleep 0.1; done'", tests.join(" && "))
}

/// Random bytes in hex: restored twins would otherwise draw the same UUIDs.
fn seed() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(cache::hex(&bytes))
}
