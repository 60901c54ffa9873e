//! What a node is to be, before it is one.

use crate::{disk::Disk, machine::Hardware, release::Release};

/// What a node is to be.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    pub(crate) name: String,
    pub(crate) release: Release,
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
            release: Release::default(),
            hardware: Hardware {
                memory_mib: 1024,
                cpus: 1,
            },
            disks: Vec::new(),
            preparation: None,
        }
    }

    /// Another release than Debian 12.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
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
