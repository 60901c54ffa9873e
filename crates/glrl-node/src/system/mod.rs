//! The node, seen and changed. `Probe` is all a provider ever sees; it has no method that changes anything, so planning
//! cannot write. Only the engine holds a `System`, and hands it operations that were planned as data.

mod accounts;
mod block;
mod claim;
pub mod clock;
pub mod crontab;
mod exports;
pub mod facts;
mod file;
mod guard;
pub mod limit;
mod local;
mod lvm;
mod mounts;
mod move_data;
pub mod octal;
mod op;
mod op_text;
pub mod overlay;
mod own_pids;
mod packages;
mod place;
pub mod programs;
pub mod read_only;
mod reading;
mod refused;
pub mod signals;
mod skeleton;
pub mod state;
mod strays;
mod superblock;
mod survivors;
mod swaps;
mod temporary;
pub mod texts;
pub mod trust;
mod units;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;

pub use crate::known;
pub use accounts::{Group, User};
pub use block::{BlockDevice, Contents, Geometry, Signature};
pub use claim::{Claim, Effect};
pub use exports::Export;
pub use file::{Bytes, Entry, FileType, Meta};
pub use guard::Guard;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use local::fuzzing;
pub use local::{LocalNode, mounts_of_process};
pub use lvm::{Layout, LogicalVolume, Lvm, PhysicalVolume, VolumeGroup};
pub use mounts::{Mount, Usage};
pub use move_data::{Amount, MARKER, MoveData};
pub use op::{Command, Op, UnitVerb};
pub use packages::{Foretold, Package};
pub use place::{check_way, place};
pub use reading::Reading;
pub use refused::Refused;
pub use skeleton::{Bone, BoneKind};
pub use strays::{Identity, Keep, KeepAt, Stray, shown as shown_name};
pub use swaps::Swap;
pub use units::{Active, Enablement, Unit};

use crate::value::{DevicePath, UnitName};

/// A read-only view of a node. Shared by threads; each batch source (dpkg's status file, LVM's report, mountinfo,
/// systemd's unit list) is read once a run and again only after an operation that touches it.
///
/// Absent things are `Known(None)`. A probe that failed is an `Err`, never "absent".
pub trait Probe: Sync {
    /// What stands at the path itself (lstat(2)): the path's last part is not followed if it is a link.
    fn entry(&self, path: &Path) -> Result<Reading<Option<Entry>>>;
    /// The contents of the regular file at the path; links are not followed; `None` where there is no such file.
    fn contents(&self, path: &Path) -> Result<Reading<Option<Bytes>>>;
    /// The same of a file of which an edited copy takes the place: an error where it may be another's, and the copy would give away what it holds.
    fn editable(&self, path: &Path) -> Result<Reading<Option<Bytes>>> {
        self.contents(path)
    }
    /// Names in a directory, sorted; empty where there is no such directory.
    fn list(&self, path: &Path) -> Result<Reading<Vec<OsString>>>;
    /// What a purge of a directory removes, each before the directory it is in; `keep` is asked for paths below it.
    fn strays(&self, directory: &Path, keep: KeepAt<'_>) -> Result<Reading<Vec<Stray>>> {
        strays::by_names(self, directory, keep)
    }
    /// How much a directory holds, in all.
    fn amount(&self, directory: &Path) -> Result<Reading<Amount>> {
        move_data::amount(self, directory)
    }
    /// A user of passwd(5), with the groups it is a member of.
    fn user(&self, name: &str) -> Result<Reading<Option<User>>>;
    /// A group of group(5).
    fn group(&self, name: &str) -> Result<Reading<Option<Group>>>;
    /// All users of passwd(5): whose a number is.
    fn users(&self) -> Result<Reading<Vec<User>>> {
        Ok(Reading::Known(Vec::new()))
    }
    /// All groups of group(5), likewise.
    fn groups(&self) -> Result<Reading<Vec<Group>>> {
        Ok(Reading::Known(Vec::new()))
    }
    /// A package as dpkg has it; `None` where dpkg does not know it or has only its conffiles.
    fn package(&self, name: &str) -> Result<Reading<Option<Package>>>;
    /// Whether dpkg has nothing but the conffiles of a package.
    fn leftover(&self, _name: &str) -> Result<Reading<bool>> {
        Ok(Reading::Known(false))
    }
    /// What apt would do to install these packages (`name`, `name=version`) and to remove those, as its lists are.
    fn transaction(&self, _install: &[String], _remove: &[String]) -> Result<Foretold> {
        Ok(Foretold::Unknown)
    }
    /// A systemd unit; `None` where no unit file of that name exists.
    fn unit(&self, name: &UnitName) -> Result<Reading<Option<Unit>>>;
    /// What is mounted (`proc_pid_mountinfo(5)`), in the kernel's order.
    fn mounts(&self) -> Result<Reading<Arc<Vec<Mount>>>>;
    /// Whether a filesystem is mounted at a path; below `--root` too, where mounts are not managed but may well be there.
    /// Asked of the kernel at each call.
    fn is_mount_point(&self, path: &Path) -> Result<Reading<bool>> {
        Ok(match self.mounts()? {
            Reading::Known(mounts) => Reading::Known(mounts.iter().any(|mount| mount.target == path)),
            Reading::Unknown { after } => Reading::Unknown { after },
        })
    }
    /// An error for a path on a filesystem of another machine that does not answer; what looks below a path does so by itself.
    fn check_reachable(&self, _path: &Path) -> Result<()> {
        Ok(())
    }
    /// Size and inodes of the filesystem mounted at a path (statfs(2)); an error where nothing is mounted there.
    fn usage(&self, mount_point: &Path) -> Result<Reading<Usage>>;
    /// A block device and what is on it; `None` where there is no such device.
    fn block(&self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>>;
    /// All of LVM: physical volumes, volume groups, logical volumes.
    fn lvm(&self) -> Result<Reading<Arc<Lvm>>>;
    /// What the kernel swaps to (`proc_swaps(5)`).
    fn swaps(&self) -> Result<Reading<Arc<Vec<Swap>>>>;
    /// What the NFS server exports now, from `/var/lib/nfs/etab` (exportfs(8)); empty where no server is installed.
    fn exports(&self) -> Result<Reading<Arc<Vec<Export>>>>;
    /// Whether a guard's program succeeds. It runs where nothing can be written: see `Guard`.
    fn guard(&self, guard: &Guard) -> Result<Reading<bool>>;
    /// An error for an operation that this node cannot carry out, whatever its state: a program below `--root`.
    fn check_supported(&self, _op: &Op) -> Result<()> {
        Ok(())
    }
    /// An error for an operation that what stands there does not let be carried out; else what the operator should know of it.
    fn check(&self, _op: &Op) -> Result<Option<String>> {
        Ok(None)
    }
    /// The time on the node, in its own zone. For showing only: what is compared must not depend on it.
    fn now(&self) -> jiff::Zoned {
        clock::local()
    }
}

/// A node that can be changed, one operation at a time.
pub trait System: Probe {
    /// Carries out one operation. When it returns, what it did is durable.
    fn execute(&self, op: &Op) -> Result<()>;

    /// Removes a directory that was not in its place yet, and what is in it.
    fn discard(&self, _temporary: &Path) -> Result<()> {
        Ok(())
    }

    /// What a file, link or home is called while it is not in its place yet; `None` where it has no name meanwhile.
    fn temporary(&self, _path: &Path) -> Option<PathBuf> {
        None
    }
}
