//! Real machines: disks, LVM, XFS, NFS, systemd, apt and MariaDB as they are. `lab/` starts them.

mod backups;
mod glrl;
mod killed;
mod matrix;
mod mounts;
mod moved;
mod packages;
mod reboots;
mod refusal;
mod service;
mod spine;
mod storage;
