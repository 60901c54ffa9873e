//! Real machines: disks, LVM, XFS, NFS, systemd, apt and MariaDB as they are. `lab/` starts them.

mod glrl;
mod refusal;
mod spine;
mod storage;
