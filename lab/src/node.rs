//! A node: one machine of a lab, driven by ssh from inside and by QEMU from outside.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    cache,
    disk::{self, Disk, DiskFile},
    host,
    logs::Logs,
    machine::{Hardware, Machine, Memory, Setup, Start},
    run_folder::RunFolder,
    segment::{Mac, Segment},
    ssh::{self, Output, Ssh, quote},
    state::{self, State, Workshop},
};

/// What a node is to be.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    pub(crate) name: String,
    pub(crate) hardware: Hardware,
    pub(crate) disks: Vec<Disk>,
    pub(crate) preparation: Option<String>,
}

impl NodeSpec {
    /// A node with one processor, 1 GiB of memory and no disk but its root. `name` is its host name;
    /// `backup`, `mysql` and `verify` have the addresses that the roles expect.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            hardware: Hardware {
                memory_mib: 1024,
                cpus: 1,
            },
            disks: Vec::new(),
            preparation: None,
        }
    }

    /// Other memory, in MiB. The first start with a size boots a machine to save.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.hardware.memory_mib = mib;
        self
    }

    /// Other number of processors; as [`Self::memory`].
    #[must_use]
    pub fn cpus(mut self, cpus: u8) -> Self {
        self.hardware.cpus = cpus;
        self
    }

    /// One more disk.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// A node on which this shell command line has been run once, as root, before its state was
    /// saved: the first start takes as long as the command, each later one a second. For tests that
    /// begin after an installation. The command sees no extra disk and no other node.
    #[must_use]
    pub fn prepared(mut self, command: &str) -> Self {
        self.preparation = Some(command.to_owned());
        self
    }
}

/// What the nodes of one lab share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) workshop: Workshop,
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
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Inner {
    machine: Option<Machine>,
    ssh: Option<Ssh>,
    disks: Vec<DiskFile>,
    checkpoints: u32,
}

/// A running node as it was at one moment; see [`Node::checkpoint`].
#[derive(Debug, Clone)]
pub struct Checkpoint {
    tag: String,
    disks: Vec<DiskFile>,
}

/// How long a command may take that was given no other limit.
const COMMAND_LIMIT: Duration = Duration::from_mins(20);

impl Node {
    /// Starts a node from its saved state.
    pub(crate) fn start(spec: &NodeSpec, address: Ipv4Addr, shared: &Arc<Shared>) -> Result<Self> {
        let state = State::get(&shared.workshop, spec.hardware, spec.preparation.as_deref())?;
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

    /// Arguments for a human's own `ssh` to the node, up to the host.
    ///
    /// # Errors
    /// When the node is off.
    pub fn ssh_arguments(&self) -> Result<Vec<String>> {
        Ok(self.connection()?.arguments())
    }

    /// Runs a shell command line as root, within twenty minutes. How it ends is the caller's to judge.
    ///
    /// # Errors
    /// When the node is off, or the time is over.
    pub fn ssh(&self, command: &str) -> Result<Output> {
        self.ssh_within(command, COMMAND_LIMIT)
    }

    /// As [`Self::ssh`], with another limit.
    ///
    /// # Errors
    /// When the node is off, or the time is over; the command may then still run on the node.
    pub fn ssh_within(&self, command: &str, limit: Duration) -> Result<Output> {
        self.told(self.connection().and_then(|ssh| ssh.run(command, limit)))
    }

    /// Runs a shell command line that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.ssh(command)?;
        if output.success() {
            return Ok(output.stdout);
        }
        let said = format!("{}\n{}", output.stdout, output.stderr);
        let tail = host::tail(said.as_bytes());
        self.told(Err(anyhow::anyhow!("`{command}` exited {}: {tail}", output.status)))
    }

    /// Copies a file to the node, with its mode; missing folders are made. Of a folder, all it holds
    /// is put into the folder `remote`.
    ///
    /// # Errors
    /// When it cannot be read here or written there.
    pub fn put(&self, local: &Path, remote: &str) -> Result<()> {
        let metadata = fs::metadata(local).with_context(|| format!("reading {}", local.display()))?;
        let target = quote(remote);
        if metadata.is_dir() {
            let ssh = self.connection()?;
            let unpack = ssh.expression(&format!("mkdir -p {target} && tar -xf - -C {target}"));
            let pack = duct::cmd!("tar", "-cf", "-", "-C", local, ".");
            return self.transfer(&format!("putting {}", local.display()), &pack.pipe(unpack));
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let command = format!("install -D -m {mode:04o} /dev/stdin {target}");
        let expression = self.connection()?.expression(&command).stdin_file(File::open(local)?);
        self.transfer(&format!("putting {}", local.display()), &expression)
    }

    /// Copies a file of the node here.
    ///
    /// # Errors
    /// When it cannot be read there or written here.
    pub fn get(&self, remote: &str, local: &Path) -> Result<()> {
        let command = format!("cat {}", quote(remote));
        let file = File::create(local).with_context(|| format!("making {}", local.display()))?;
        let expression = self.connection()?.expression(&command).stdin_null().stdout_file(file);
        self.transfer(&format!("getting {remote}"), &expression)
    }

    /// Cuts the power: QEMU is killed. The disks keep what had reached them.
    pub fn power_cut(&self) {
        let mut inner = self.inner();
        inner.machine = None;
        if let Some(ssh) = inner.ssh.take() {
            ssh.forget();
        }
        self.shared.segment.unplug(self.mac());
    }

    /// Boots the node from its disks, after a [`Self::power_cut`].
    ///
    /// # Errors
    /// When it runs already, or no ssh server answers within ten minutes.
    pub fn boot(&self) -> Result<()> {
        self.told(self.start_off(Start::Boot)).context("booting the node")
    }

    /// Restarts the node's operating system in good order.
    ///
    /// # Errors
    /// When it is not back within twenty minutes.
    pub fn reboot(&self) -> Result<()> {
        let before = self.run("cat /proc/sys/kernel/random/boot_id")?;
        self.run("systemctl --no-block reboot")?;
        let started = Instant::now();
        let back = || {
            let mut inner = self.inner();
            self.connect(&mut inner)?;
            let ssh = inner.ssh.as_ref().context("no connection")?;
            let now = ssh.run("cat /proc/sys/kernel/random/boot_id", COMMAND_LIMIT)?;
            Ok(now.success() && now.stdout != before)
        };
        let wait = || loop {
            // On its way down the node may refuse or break a connection.
            match back() {
                Ok(true) => return Ok(()),
                Err(error) if started.elapsed() > COMMAND_LIMIT => return Err(error),
                Ok(false) if started.elapsed() > COMMAND_LIMIT => bail!("it did not go down"),
                _ => thread::sleep(Duration::from_millis(500)),
            }
        };
        self.told(wait()).context("rebooting the node")
    }

    /// Gives the node one more disk while it runs.
    ///
    /// # Errors
    /// When the node is off or does not see the disk within five minutes.
    pub fn add_disk(&self, disk: &Disk) -> Result<()> {
        let mut inner = self.inner();
        let file = DiskFile::make(disk, &self.folder, &inner.disks)?;
        inner.machine.as_mut().context("the node is off")?.add_disk(&file)?;
        let wait = wait_for_disks(std::slice::from_ref(&file));
        inner.disks.push(file);
        drop(inner);
        self.run(&wait).map(drop)
    }

    /// Grows a disk to a size in bytes, whether the node runs or not.
    ///
    /// # Errors
    /// When there is no such disk, or it would shrink.
    pub fn grow_disk(&self, serial: &str, bytes: u64) -> Result<()> {
        let mut inner = self.inner();
        let Inner { machine, disks, .. } = &mut *inner;
        let disk = disks
            .iter()
            .find(|disk| disk.serial == serial)
            .with_context(|| format!("{} has no disk {serial}", self.name))?;
        match machine {
            Some(machine) => machine.resize(disk, bytes),
            None => disk.grow(bytes),
        }
    }

    /// Cuts the node off from the private segment (`true`) or joins it again: frames are lost, as
    /// when a cable breaks beyond the next switch. ssh goes on.
    pub fn cut_off(&self, cut_off: bool) {
        self.shared.segment.cut_off(self.mac(), cut_off);
    }

    /// Keeps the running node as it is now: memory, devices, disks. Takes a second or two.
    ///
    /// # Errors
    /// When the node is off.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let mut inner = self.inner();
        inner.checkpoints += 1;
        let tag = format!("checkpoint-{}", inner.checkpoints);
        let Inner { machine, disks, .. } = &mut *inner;
        let saved = machine.as_mut().context("the node is off")?.snapshot(&tag, disks);
        self.told(saved).context("making a checkpoint")?;
        Ok(Checkpoint {
            tag,
            disks: disks.clone(),
        })
    }

    /// Puts the node back to a checkpoint, also after a power cut. Its clock is set.
    ///
    /// # Errors
    /// When disks were added since.
    pub fn rollback(&self, checkpoint: &Checkpoint) -> Result<()> {
        let mut inner = self.inner();
        if inner.disks != checkpoint.disks {
            bail!("{} has other disks than at the checkpoint", self.name);
        }
        let Inner { machine, disks, .. } = &mut *inner;
        let running = match machine {
            Some(machine) => machine.restore(&checkpoint.tag, disks).map(|()| true),
            None => Ok(false),
        };
        let done = running.and_then(|running| {
            if running {
                self.connect(&mut inner)?;
            } else {
                drop(inner);
                self.start_off(Start::Snapshot(&checkpoint.tag))?;
            }
            self.run(&format!("date --utc --set @{} >/dev/null", state::now()))
        });
        self.told(done).context("going back to a checkpoint").map(drop)
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

    /// Starts a node that is off.
    fn start_off(&self, start: Start) -> Result<()> {
        let mut inner = self.inner();
        if inner.machine.is_some() {
            bail!("the node runs");
        }
        inner.machine = Some(self.machine(Memory::Fresh, start, &inner.disks)?);
        self.connect(&mut inner)?;
        let wait = wait_for_disks(&inner.disks);
        drop(inner);
        self.run(&wait).map(drop)
    }

    fn machine(&self, memory: Memory, start: Start, disks: &[DiskFile]) -> Result<Machine> {
        let Workshop { image, accelerator, .. } = &self.shared.workshop;
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
        let ssh = Ssh::new(&self.shared.workshop.image, port, control);
        ssh.connect()?;
        inner.ssh = Some(ssh);
        Ok(())
    }

    fn transfer(&self, what: &str, expression: &duct::Expression) -> Result<()> {
        let output = host::wait(expression, COMMAND_LIMIT).with_context(|| what.to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        let said = host::tail(&output.stderr);
        self.told(Err(anyhow::anyhow!("{what} failed: {said}")))
    }

    /// Adds to an error where to look; the logs then stay.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        result.with_context(|| {
            let logs = self.shared.logs.keep();
            format!("node {} (its logs: {})", self.name, logs.display())
        })
    }

    fn connection(&self) -> Result<Ssh> {
        self.inner()
            .ssh
            .clone()
            .with_context(|| format!("node {} is off", self.name))
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
