//! Mounts that nobody can write through, in a mount namespace of the caller's own (`mount_setattr(2)`).

use std::{ffi::CStr, io};

use nix::{errno::Errno, libc};

/// Makes every mount of this namespace read-only, and private to it. Only system calls are made, so that a child may call it between
/// fork(2) and execve(2).
pub fn everywhere() -> io::Result<()> {
    set(c"/", libc::MOUNT_ATTR_RDONLY, 0, libc::MS_PRIVATE, libc::AT_RECURSIVE)
}

/// Makes the one mount at a path writable again. It takes `CAP_SYS_ADMIN`, which whoever is started in the namespace must not have.
pub fn except(mount_point: &CStr) -> io::Result<()> {
    set(mount_point, 0, libc::MOUNT_ATTR_RDONLY, 0, 0)
}

fn set(mount_point: &CStr, on: u64, off: u64, propagation: u64, flags: i32) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: on,
        attr_clr: off,
        propagation,
        userns_fd: 0,
    };
    #[expect(
        unsafe_code,
        reason = "mount_setattr(2) has no safe wrapper; the arguments outlive the call"
    )]
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            mount_point.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop).map_err(Into::into)
}
