//! Throw-away real machines for glrl's demo and its tests.
//!
//! A node is a machine of Debian or Ubuntu in QEMU with its own kernel, systemd, disks and network. The first
//! start on a host builds an image and boots it once; every later one goes on from the saved state,
//! in seconds. See `lab/README.md`.
//!
//! ```no_run
//! use glrl_lab::{Disk, Lab, NodeSpec};
//!
//! # fn main() -> anyhow::Result<()> {
//! let lab = Lab::start([
//!     NodeSpec::new("backup").disk(Disk::empty("data")),
//!     NodeSpec::new("mysql").disk(Disk::sized("data", 4 << 30)),
//! ])?;
//! let mysql = &lab["mysql"];
//! mysql.run("ping -c 1 backup")?;
//! mysql.put("target/debug/glrl".as_ref(), "/usr/local/bin/glrl")?;
//! let output = mysql.ssh("glrl plan /root/mysql.yml")?;
//! assert!(output.success(), "{output:?}");
//! mysql.power_cut();
//! mysql.boot()?;
//! # Ok(())
//! # }
//! ```

mod accelerator;
mod cache;
mod disk;
mod host;
mod image;
mod lab;
mod logs;
mod machine;
mod mirror;
mod node;
mod qmp;
mod release;
mod run_folder;
mod segment;
mod spawn;
mod spec;
mod ssh;
mod state;

/// Where images and saved states are kept: `$GLRL_LAB_CACHE`, else `glrl-lab` in the user's cache.
///
/// # Errors
/// When there is no such place, or it cannot be made.
pub fn cache_folder() -> anyhow::Result<std::path::PathBuf> {
    Ok(cache::Cache::open()?.path(""))
}

pub use disk::Disk;
pub use lab::Lab;
pub use node::{Checkpoint, Node};
pub use release::Release;
pub use spec::NodeSpec;
pub use ssh::Output;
