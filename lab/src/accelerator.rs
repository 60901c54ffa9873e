//! How QEMU runs the node's instructions: KVM where it is proven to work, else translation (TCG).
//!
//! `/dev/kvm` being there proves little: in some virtual machines and containers it exists and a
//! kernel hangs under it. So one boot to user space decides, and the verdict is kept.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    cache::{self, Cache, say},
    host,
    image::Image,
    spawn,
};

/// What runs the node's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    Kvm,
    Tcg,
}

/// With KVM a node's kernel reaches user space in about three seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(25);

impl Accelerator {
    /// `$GLRL_LAB_ACCEL` (`kvm` or `tcg`), else what the probe found, now or on an earlier day with
    /// the same QEMU, kernel and processor.
    pub(crate) fn choose(cache: &Cache, image: &Image, qemu: &str) -> Result<Self> {
        match std::env::var("GLRL_LAB_ACCEL").unwrap_or_default().as_str() {
            "kvm" => return Ok(Self::Kvm),
            "tcg" => return Ok(Self::Tcg),
            "" => {}
            other => bail!("GLRL_LAB_ACCEL is {other:?}: it may be kvm or tcg"),
        }
        let usable = fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        if !usable {
            return Ok(Self::Tcg);
        }
        let key = cache::key([qemu, &host_machine(), image.key()]);
        let entry = cache.entry(&format!("accelerator-{key}"), |folder| {
            say("trying KVM");
            let works = kvm_reaches_user_space(image)?;
            say(if works {
                "KVM works"
            } else {
                "KVM does not work here: nodes are emulated (TCG)"
            });
            Ok(fs::write(folder.join("verdict"), if works { "kvm" } else { "tcg" })?)
        })?;
        let verdict = fs::read_to_string(entry.join("verdict"))?;
        Ok(if verdict == "kvm" { Self::Kvm } else { Self::Tcg })
    }

    /// QEMU's options.
    ///
    /// `max` without 5-level page tables, which an emulated machine walks for nothing, and without fast
    /// `rep movsb`, which is emulated byte by byte: programs then copy in other ways, and an installation
    /// takes a fifth less. Leaving more out (svm, vmx) was seen to break mounts in the node.
    pub(crate) fn options(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off,erms=off,fsrm=off"],
        }
    }

    /// What a saved state depends on.
    pub(crate) fn key(self) -> String {
        match self {
            Self::Kvm => format!("kvm {}", host_machine()),
            Self::Tcg => "tcg".to_owned(),
        }
    }
}

/// The host's kernel and processor.
fn host_machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find(|line| line.starts_with("model name"));
    format!("{} {}", kernel.trim(), model.unwrap_or_default())
}

fn kvm_reaches_user_space(image: &Image) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let serial = folder.path().join("serial");
    let mut command = spawn::command("qemu-system-x86_64");
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "512"])
        .args(Accelerator::Kvm.options())
        .arg("-kernel")
        .arg(image.kernel())
        .arg("-initrd")
        .arg(image.initrd())
        .args([
            "-append",
            "root=/dev/vda ro console=ttyS0 init=/usr/local/sbin/lab-probe",
        ])
        .arg("-drive")
        .arg(format!(
            "if=virtio,format=raw,snapshot=on,file={}",
            image.root().display()
        ))
        .arg("-serial")
        .arg(format!("file:{}", serial.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut qemu = spawn::spawn(command)?;
    let started = Instant::now();
    let reached = loop {
        let console = fs::read(&serial).unwrap_or_default();
        if host::contains(&console, b"lab: user space reached") {
            break true;
        }
        if started.elapsed() > PROBE_LIMIT || qemu.try_wait()?.is_some() {
            break false;
        }
        thread::sleep(Duration::from_millis(100));
    };
    qemu.kill()?;
    qemu.wait()?;
    Ok(reached)
}
