//! Denying a process to open devices for writing: a read-only mount does not (mount(2)). By Landlock (landlock(7), Linux 5.13).

use std::{ffi::CStr, io, os::fd::FromRawFd, os::fd::OwnedFd};

use nix::errno::Errno;

/// `LANDLOCK_ACCESS_FS_WRITE_FILE`: opening a file with write access.
const WRITE_FILE: u64 = 1 << 1;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: libc::c_int = 1;

/// What takes writes and keeps none of them.
const HARMLESS: [&CStr; 6] = [
    c"/dev/null",
    c"/dev/zero",
    c"/dev/full",
    c"/dev/tty",
    c"/dev/random",
    c"/dev/urandom",
];

/// `struct landlock_ruleset_attr` of the first version.
#[repr(C)]
struct Ruleset {
    handled_access_fs: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// From now on this process and those it starts can open nothing for writing but what is harmless. Nothing happens on a kernel
/// without Landlock. Makes system calls only, so that it can run between fork(2) and execve(2).
pub(super) fn deny_writes() -> io::Result<()> {
    let ruleset = Ruleset {
        handled_access_fs: WRITE_FILE,
    };
    #[expect(
        unsafe_code,
        reason = "landlock(7) has no safe wrapper here; the argument outlives the call"
    )]
    let created = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const ruleset,
            size_of::<Ruleset>(),
            0,
        )
    };
    let rules = match Errno::result(created) {
        Ok(fd) => owned(fd)?,
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    for path in HARMLESS {
        allow(&rules, path)?;
    }
    #[expect(unsafe_code, reason = "landlock(7) has no safe wrapper here; the descriptor is open")]
    let restricted = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, raw(&rules), 0) };
    Errno::result(restricted)?;
    Ok(())
}

fn allow(rules: &OwnedFd, path: &CStr) -> io::Result<()> {
    #[expect(unsafe_code, reason = "open(2) of a constant; nix would allocate for it")]
    let opened = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    let file = match Errno::result(opened) {
        Ok(fd) => owned(fd.into())?,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let rule = PathBeneath {
        allowed_access: WRITE_FILE,
        parent_fd: raw(&file),
    };
    #[expect(
        unsafe_code,
        reason = "landlock(7) has no safe wrapper here; the argument outlives the call"
    )]
    let added = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            raw(rules),
            PATH_BENEATH,
            &raw const rule,
            0,
        )
    };
    Errno::result(added)?;
    Ok(())
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    #[expect(
        unsafe_code,
        reason = "the kernel has just opened it for this process, and nobody else has it"
    )]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: &OwnedFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(fd)
}
