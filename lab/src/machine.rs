//! One running QEMU.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::Child,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    accelerator::Accelerator,
    disk::{self, DiskFile},
    host,
    image::Image,
    qmp::Qmp,
    segment::{Mac, Segment},
    spawn,
};

/// The hardware that a saved state fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) memory_mib: u32,
    pub(crate) cpus: u8,
}

/// What a machine's memory is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory<'a> {
    /// Nothing yet.
    Fresh,
    /// The file: what the machine writes is written there.
    File(&'a Path),
    /// The file's content, copied page by page as the machine writes to it.
    CopyOf(&'a Path),
}

/// How a machine comes to life.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Boots the kernel.
    Boot,
    /// Goes on from a state saved with [`Machine::save`], with that state's memory.
    Resume(&'a Path),
    /// Goes on from a snapshot inside its own disks.
    Snapshot(&'a str),
}

/// All that a machine is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) image: &'a Image,
    pub(crate) accelerator: Accelerator,
    pub(crate) hardware: Hardware,
    pub(crate) memory: Memory<'a>,
    pub(crate) root: &'a Path,
    pub(crate) disks: &'a [DiskFile],
    pub(crate) segment: &'a Segment,
    pub(crate) mac: Mac,
    pub(crate) start: Start<'a>,
    /// Serial console, appended to.
    pub(crate) serial: &'a Path,
    /// What QEMU says, appended to.
    pub(crate) messages: &'a Path,
}

/// A running QEMU; dropping it is a power cut.
#[derive(Debug)]
pub(crate) struct Machine {
    child: Child,
    qmp: Qmp,
    ssh_port: u16,
}

/// Block node of the root disk; a snapshot keeps the machine's memory there.
const ROOT: &str = "root";

/// The kernel's command line. Emulated, mitigations cost much and protect nothing. Code that lies elsewhere in each process is translated
/// anew for each: without `norandmaps` a process costs five times as much. On a host with other work to do the timer's ticks come late, and the
/// kernel's check of the timer ends in a panic ("IO-APIC + timer doesn't work").
const KERNEL_OPTIONS: &str =
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off nokaslr norandmaps audit=0 no_timer_check";

impl Machine {
    /// Starts QEMU and returns when the machine runs; its ssh server may be a minute away.
    pub(crate) fn start(setup: &Setup) -> Result<Self> {
        // A port found free may be taken before QEMU binds it: then another is tried.
        for _ in 0..5 {
            let port = free_port()?;
            let before = fs::metadata(setup.messages).map_or(0, |metadata| metadata.len());
            match Self::start_on(setup, port) {
                Ok(machine) => return Ok(machine),
                Err(error) => {
                    let messages = fs::read(setup.messages).unwrap_or_default();
                    let new = messages.get(usize::try_from(before)?..).unwrap_or_default();
                    if !host::contains(new, b"host forwarding rule") {
                        return Err(error.context(format!("QEMU said: {}", host::tail(new))));
                    }
                }
            }
        }
        bail!("five ports in a row were taken between looking and binding");
    }

    fn start_on(setup: &Setup, ssh_port: u16) -> Result<Self> {
        let cable = setup.segment.plug(setup.mac)?;
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = spawn::command("qemu-system-x86_64");
        command
            .args(arguments(setup, ssh_port))
            // The two sockets go by the numbers a child has anyway: no other way to hand one down
            // without unsafe code, and no path in a file system.
            .stdin(OwnedFd::from(cable))
            .stdout(OwnedFd::from(theirs))
            .stderr(File::options().create(true).append(true).open(setup.messages)?);
        let child = spawn::spawn(command).context("starting QEMU")?;
        let mut starting = Starting(Some(child));
        let mut qmp = Qmp::connect(ours)?;
        if let Start::Resume(state) = setup.start {
            resume(&mut qmp, state).context("restoring the saved state")?;
        }
        let child = starting.0.take().context("QEMU")?;
        Ok(Self { child, qmp, ssh_port })
    }

    /// The port of the loopback that leads to the node's ssh server.
    pub(crate) fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error when QEMU has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("QEMU has ended ({status})"),
            None => Ok(()),
        }
    }

    /// Plugs in a disk while the machine runs.
    pub(crate) fn add_disk(&mut self, disk: &DiskFile) -> Result<()> {
        self.qmp.execute("blockdev-add", &disk.blockdev())?;
        self.qmp.execute("device_add", &disk.device())?;
        Ok(())
    }

    /// Gives a disk a new size; the machine is told.
    pub(crate) fn resize(&mut self, disk: &DiskFile, bytes: u64) -> Result<()> {
        let arguments = json!({ "node-name": disk.node_name(), "size": bytes });
        self.qmp.execute("block_resize", &arguments).map(drop)
    }

    /// Keeps memory, devices and disks as they are under a name inside the disks.
    pub(crate) fn snapshot(&mut self, tag: &str, disks: &[DiskFile]) -> Result<()> {
        self.qmp.job("snapshot-save", snapshot(tag, disks))
    }

    /// Goes back to a snapshot.
    pub(crate) fn restore(&mut self, tag: &str, disks: &[DiskFile]) -> Result<()> {
        self.qmp.job("snapshot-load", snapshot(tag, disks))
    }

    /// Stops the machine for good and writes its devices' state to a file. Its memory stays in the
    /// file it was started with ([`Memory::File`]).
    pub(crate) fn save(mut self, state: &Path) -> Result<()> {
        leave_memory_out(&mut self.qmp, true)?;
        self.qmp.execute("stop", &json!({}))?;
        let uri = format!("exec:cat >{}", crate::ssh::quote_path(state));
        self.qmp.execute("migrate", &json!({ "uri": uri }))?;
        self.qmp.poll("the saved state", |qmp| {
            let answer = qmp.execute("query-migrate", &json!({}))?;
            match answer["status"].as_str() {
                Some("completed") => Ok(Some(())),
                Some("failed") => bail!("{}", answer["error-desc"].as_str().unwrap_or("it failed")),
                _ => Ok(None),
            }
        })?;
        self.qmp.execute("quit", &json!({}))?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Ends QEMU where starting it fails half way.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            kill(child);
        }
    }
}

fn kill(child: &mut Child) {
    // Both fail only where it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether the memory is left out of what is saved or restored: it is in a file, which a restored
/// machine maps. Ready at once, and machines of one state share the pages they do not change.
fn leave_memory_out(qmp: &mut Qmp, leave: bool) -> Result<()> {
    let capability = json!({ "capability": "x-ignore-shared", "state": leave });
    let arguments = json!({ "capabilities": [capability] });
    qmp.execute("migrate-set-capabilities", &arguments).map(drop)
}

fn resume(qmp: &mut Qmp, state: &Path) -> Result<()> {
    leave_memory_out(qmp, true)?;
    let uri = format!("exec:cat {}", crate::ssh::quote_path(state));
    qmp.execute("migrate-incoming", &json!({ "uri": uri }))?;
    qmp.poll("the restored state", |qmp| {
        let status = qmp.execute("query-status", &json!({}))?;
        Ok((status["status"] != "inmigrate").then_some(()))
    })?;
    // A snapshot of this machine holds its memory, and says so to whoever restores it.
    leave_memory_out(qmp, false)?;
    qmp.execute("cont", &json!({})).map(drop)
}

fn snapshot(tag: &str, disks: &[DiskFile]) -> Value {
    let devices: Vec<_> = [ROOT.to_owned()]
        .into_iter()
        .chain(disks.iter().map(DiskFile::node_name))
        .collect();
    json!({ "tag": tag, "vmstate": ROOT, "devices": devices })
}

fn arguments(setup: &Setup, ssh_port: u16) -> Vec<String> {
    let Setup { image, hardware, .. } = setup;
    let mac = setup.mac.map(|byte| format!("{byte:02x}")).join(":");
    let mut arguments: Vec<String> = [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "pc,usb=off,vmport=off,memory-backend=ram",
        "-append",
        KERNEL_OPTIONS,
        "-device",
        "virtio-blk-pci,drive=root,addr=0x4",
        "-device",
        "virtio-net-pci,netdev=host,addr=0x2,romfile=",
        "-netdev",
        "dgram,id=lan,local.type=fd,local.str=0",
        "-serial",
        "chardev:serial",
        "-chardev",
        "socket,id=qmp,fd=1",
        "-mon",
        "chardev=qmp,mode=control",
    ]
    .map(String::from)
    .to_vec();
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    let [accel, accel_value, cpu, cpu_value] = setup.accelerator.options();
    option(accel, accel_value.to_owned());
    option(cpu, cpu_value.to_owned());
    option("-m", format!("{}M", hardware.memory_mib));
    option("-smp", hardware.cpus.to_string());
    option("-object", memory(setup).to_string());
    option("-kernel", image.kernel().display().to_string());
    option("-initrd", image.initrd().display().to_string());
    option("-blockdev", disk::blockdev(ROOT, setup.root).to_string());
    // No way out but the one way in: a node cannot reach anything beyond its lab.
    let forward = format!("hostfwd=tcp:127.0.0.1:{ssh_port}-:22");
    option("-netdev", format!("user,id=host,restrict=on,{forward}"));
    option(
        "-device",
        format!("virtio-net-pci,netdev=lan,addr=0x3,romfile=,mac={mac}"),
    );
    option(
        "-chardev",
        format!("file,id=serial,append=on,path={}", escape(setup.serial)),
    );
    for disk in setup.disks {
        option("-blockdev", disk.blockdev().to_string());
        option("-device", disk.device().to_string());
    }
    match setup.start {
        Start::Boot => {}
        Start::Resume(_) => option("-incoming", "defer".to_owned()),
        Start::Snapshot(tag) => option("-loadvm", tag.to_owned()),
    }
    arguments
}

fn memory(setup: &Setup) -> Value {
    let size = u64::from(setup.hardware.memory_mib) << 20;
    match setup.memory {
        Memory::Fresh => json!({ "qom-type": "memory-backend-ram", "id": "ram", "size": size }),
        Memory::File(path) | Memory::CopyOf(path) => json!({
            "qom-type": "memory-backend-file",
            "id": "ram",
            "size": size,
            "mem-path": path,
            "share": matches!(setup.memory, Memory::File(_)),
        }),
    }
}

/// All that a saved state depends on but the image's content: the machine as QEMU is told it.
pub(crate) fn description(image: &Image, accelerator: Accelerator, hardware: Hardware) -> String {
    let path = Path::new("any");
    let setup = Setup {
        image,
        accelerator,
        hardware,
        memory: Memory::Fresh,
        root: path,
        disks: &[],
        segment: &Segment::default(),
        mac: [0; 6],
        start: Start::Boot,
        serial: path,
        messages: path,
    };
    arguments(&setup, 0).join(" ")
}

/// QEMU's option lists double a comma that belongs to a value.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The first line of `qemu-system-x86_64 --version`: states are kept apart by it.
pub(crate) fn qemu_version() -> Result<String> {
    let version = host::run("qemu-system-x86_64", ["--version"], Duration::from_secs(30))?;
    Ok(version.lines().next().unwrap_or_default().to_owned())
}
