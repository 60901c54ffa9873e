//! Running a guard where it cannot write: in a mount namespace of its own in which every mount is read-only, without the
//! capabilities that could undo that, and with no device to write to. What it says to a service over a socket is its own.

use std::io;

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
};

use super::devices;
use crate::system::{Guard, programs::Program, read_only};

pub(super) fn passes(guard: &Guard) -> Result<bool> {
    let [name, args @ ..] = guard.argv.as_slice() else {
        anyhow::bail!("a guard without a program")
    };
    let output = Program::new(name.as_str())
        .args(args)
        .timeout(guard.timeout)
        .confined(confine)
        .output()
        .with_context(|| format!("running the guard {}", guard.argv.join(" ")))?;
    Ok(output.status.success())
}

/// What a program may still do: read anything (as root does), and be who it is.
const KEPT: [u32; 6] = [
    0,  // CAP_CHOWN: harmless on a read-only mount
    1,  // CAP_DAC_OVERRIDE
    2,  // CAP_DAC_READ_SEARCH
    6,  // CAP_SETGID
    7,  // CAP_SETUID
    19, // CAP_SYS_PTRACE: to read /proc of others
];

/// Runs in the child between fork(2) and execve(2), so it makes system calls and nothing else.
pub(super) fn confine() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    read_only::everywhere()?;
    devices::deny_writes()?;
    drop_capabilities()
}

/// Takes all capabilities but a few out of the bounding set, so that execve(2) gives none of the others (capabilities(7)):
/// without `CAP_SYS_ADMIN` nothing can be mounted writable again.
fn drop_capabilities() -> io::Result<()> {
    for capability in (0..64).filter(|capability| !KEPT.contains(capability)) {
        #[expect(
            unsafe_code,
            reason = "prctl(PR_CAPBSET_DROP) takes numbers only and has no safe wrapper"
        )]
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
        match Errno::result(result) {
            Ok(_) => {}
            // The first number that this kernel does not know.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn guard(script: &str) -> Result<bool> {
        passes(&Guard {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout: Duration::from_secs(5),
        })
    }

    #[test]
    fn a_guard_answers_by_its_status() {
        assert!(guard("true").unwrap());
        assert!(guard("test -e /etc/passwd && grep -q root /etc/passwd > /dev/null").unwrap());
        assert!(!guard("exit 3").unwrap());
        assert!(guard("sleep 60").is_err(), "one that takes too long has not answered");
    }

    #[test]
    fn a_guard_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let device = directory.path().join("device");
        let null = nix::sys::stat::makedev(1, 3);
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::sys::stat::mknod(&device, nix::sys::stat::SFlag::S_IFCHR, mode, null).unwrap();
        for attack in [
            format!("echo x > {path}/device"),
            format!("echo x > {path}/a"),
            format!("mkdir {path}/a"),
            format!("chmod 700 {path}/."),
            format!("touch {path}"),
            format!("mount -o remount,rw,bind / && touch {path}/a"),
            format!("mount -o remount,rw {path}; touch {path}/a"),
            format!("mount -t tmpfs none {path}"),
            format!("unshare -m sh -c 'mount -o remount,rw,bind /; touch {path}/a'"),
            format!("nsenter -t 1 -m touch {path}/a"),
            "echo 1 > /proc/sys/kernel/panic".to_owned(),
            format!("mknod {path}/a b 1 0"),
        ] {
            assert!(!guard(&attack).unwrap(), "{attack}");
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
        assert!(guard(&format!("head -c1 {path}/device && echo x > /dev/null")).unwrap());
    }

    #[test]
    fn the_run_itself_can_still_write() {
        let directory = tempfile::tempdir().unwrap();
        assert!(guard("true").unwrap());
        assert!(tempfile::NamedTempFile::new_in(directory.path()).is_ok());
    }
}
