//! A node from outside, through QEMU: power, disks, network, checkpoints.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Inner, Node, inside::COMMAND_LIMIT, wait_for_disks};
use crate::{
    disk::{Disk, DiskFile},
    machine::{Memory, Start},
    state,
};

/// A running node as it was at one moment; see [`Node::checkpoint`].
#[derive(Debug, Clone)]
pub struct Checkpoint {
    tag: String,
    disks: Vec<DiskFile>,
}

impl Node {
    /// Cuts the power: QEMU is killed. The disks keep what had been flushed to them; what was in the node's memory is gone, and part of
    /// what was written without a flush.
    pub fn power_cut(&self) {
        let mut inner = self.inner();
        inner.machine = None;
        if let Some(ssh) = inner.ssh.take() {
            ssh.forget();
        }
        self.shared.segment.unplug(self.mac());
    }

    /// Boots the node from its disks, after a [`Self::power_cut`] or a [`Self::power_off`].
    ///
    /// # Errors
    /// When it runs already, or no ssh server answers within ten minutes.
    pub fn boot(&self) -> Result<()> {
        self.told(self.start_off(Start::Boot)).context("booting the node")
    }

    /// Shuts the node down in good order, until a [`Self::boot`].
    ///
    /// # Errors
    /// When it has not gone down within twenty minutes; its power is cut then.
    pub fn power_off(&self) -> Result<()> {
        self.run("systemctl --no-block poweroff")?;
        let started = Instant::now();
        let runs = || {
            self.inner()
                .machine
                .as_mut()
                .is_some_and(|machine| machine.check_alive().is_ok())
        };
        let mut down = Ok(());
        while runs() {
            if started.elapsed() > COMMAND_LIMIT {
                down = Err(anyhow::anyhow!("it did not go down"));
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        // Takes its place on the segment away too.
        self.power_cut();
        self.told(down).context("shutting the node down")
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
        let disk = inner.disk(serial, &self.name)?.clone();
        match &mut inner.machine {
            Some(machine) => machine.resize(&disk, bytes),
            None => disk.grow(bytes),
        }
    }

    /// Copies what a disk holds to a raw, sparse file of the host, whether the node runs or not: all that the node had flushed.
    ///
    /// # Errors
    /// When there is no such disk, or no room for the copy.
    pub fn copy_disk(&self, serial: &str, to: &Path) -> Result<()> {
        self.inner().disk(serial, &self.name)?.copy(to)
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
        let done = self
            .go_back(checkpoint)
            .and_then(|()| self.run(&format!("date --utc --set @{}", state::now())));
        self.told(done).context("going back to a checkpoint").map(drop)
    }

    fn go_back(&self, checkpoint: &Checkpoint) -> Result<()> {
        let mut inner = self.inner();
        if inner.disks != checkpoint.disks {
            bail!("it has other disks than at the checkpoint");
        }
        let Inner { machine, disks, .. } = &mut *inner;
        if let Some(machine) = machine {
            machine.restore(&checkpoint.tag, disks)?;
            self.connect(&mut inner)
        } else {
            drop(inner); // taken again by the start
            self.start_off(Start::Snapshot(&checkpoint.tag))
        }
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
}
