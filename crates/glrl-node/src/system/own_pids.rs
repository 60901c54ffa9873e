//! A program that sees no process but those that it starts itself, in a PID namespace with a `/proc` of its own (`pid_namespaces(7)`).
//!
//! What a process has open, and its whole view of the files, is below its `/proc/PID`, for everybody of the same account: through `root`
//! there, files can be written that are read-only or covered in the namespace of who writes.

use std::{ffi::CStr, io};

use nix::{
    errno::Errno,
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{SigSet, SigmaskHow, sigprocmask},
};

/// Runs in the child between fork(2) and execve(2), so it makes system calls and nothing else. The caller stays outside of the namespace, for the one
/// that was started knows it as its child: it ends as the program does, and is ended by SIGKILL alone. A child of it becomes the program, which is
/// the first of its namespace: no signal that it does not handle ends it but SIGKILL.
pub(super) fn enter() -> io::Result<()> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    match fork()? {
        0 => {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none = None::<&CStr>;
            mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some(c"proc"), c"/proc", Some(c"proc"), flags, none)?;
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
            Ok(())
        }
        child => end_like(child),
    }
}

/// Forks by the system call itself: the library's function takes locks that another thread may have held.
fn fork() -> io::Result<libc::c_long> {
    #[expect(unsafe_code, reason = "without flags and stack it is fork(2)")]
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    Ok(Errno::result(child)?)
}

/// Waits for the child, and ends with its exit status or by its signal.
fn end_like(child: libc::c_long) -> ! {
    let mut status = 0;
    #[expect(
        unsafe_code,
        reason = "the process has one thread, owns nothing that is dropped, and its files are the program's"
    )]
    unsafe {
        // Whoever waits for the end of a pipe waits for the program alone.
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        while libc::syscall(libc::SYS_wait4, child, &raw mut status, 0, 0) < 0 && Errno::last() == Errno::EINTR {}
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            // The program may have left a core file; this process is no part of that.
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            libc::signal(signal, libc::SIG_DFL);
            let mut all = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(all.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
            libc::kill(libc::getpid(), signal);
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::process::ExitStatusExt,
        process::Output,
        time::{Duration, Instant},
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    use crate::system::programs::{Program, Running};

    fn script(text: &str) -> Output {
        let program = Program::new("sh").args(["-c", text]).with_own_pids();
        program.start().unwrap().wait(Duration::from_mins(1)).unwrap().unwrap()
    }

    #[test]
    fn nothing_is_reached_through_another_process() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let pid = std::process::id();
        let said = script(&format!(
            "echo $$; ls -d /proc/[0-9]*; ls /proc/{pid}/root; kill -0 {pid}"
        ));
        let text = String::from_utf8(said.stdout).unwrap();
        // The shell, and the program that it starts.
        assert!(text.starts_with("1\n/proc/1\n"), "{text}");
        let errors = String::from_utf8(said.stderr).unwrap();
        assert!(
            errors.contains("No such file") && errors.contains("No such process"),
            "{errors}"
        );
        assert!(fs::exists(format!("/proc/{pid}/root")).unwrap());
    }

    #[test]
    fn its_end_is_that_of_the_program() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        assert_eq!(script("exit 7").status.code(), Some(7));
        let start = || {
            let program = Program::new("sh").args(["-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"]);
            let running = program.env("OF", "own_pids").with_own_pids().start().unwrap();
            let of_it = || {
                let pids = fs::read_dir("/proc")
                    .unwrap()
                    .filter_map(|entry| entry.unwrap().file_name().into_string().ok()?.parse().ok());
                let is_it = |pid: &i32| {
                    fs::read(format!("/proc/{pid}/environ"))
                        .is_ok_and(|env| env.split(|byte| *byte == 0).any(|set| set == b"OF=own_pids"))
                };
                pids.filter(is_it).min()
            };
            let deadline = Instant::now() + Duration::from_mins(1);
            let pid = loop {
                if let Some(pid) = of_it() {
                    break pid;
                }
                assert!(Instant::now() < deadline);
                std::thread::sleep(Duration::from_millis(20));
            };
            // It has read its first statement by then.
            std::thread::sleep(Duration::from_millis(500));
            (running, Pid::from_raw(pid))
        };
        let ended = |running: &Running| running.wait(Duration::from_mins(1)).unwrap().unwrap().status;
        let (running, _) = start();
        running.signal(Signal::SIGTERM);
        assert_eq!(ended(&running).code(), Some(3));
        // The kernel kills what takes too much memory: the program alone.
        let (running, pid) = start();
        kill(pid, Signal::SIGKILL).unwrap();
        assert_eq!(ended(&running).signal(), Some(9));
        let (running, _) = start();
        running.kill();
        assert_eq!(ended(&running).signal(), Some(9));
    }
}
