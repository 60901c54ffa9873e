//! Programs that outlive the run that started them. SIGKILL ends glrl and not its `mkfs` or `mount`, and whoever looks at the node while
//! they go on sees what is about to change. So each program carries the name of its run, and the next run waits for those of a run
//! that did not come to its end.

use std::{
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{clock, local::kernel};

/// The environment variable that names the run.
pub(super) const VARIABLE: &str = "GLRL_RUN";

/// This process, as no other is named.
pub(super) static OWN: LazyLock<String> =
    LazyLock::new(|| format!("{}{}", of_process(std::process::id()), clock::stamp(clock::now())));

/// How the name of a process's run begins.
fn of_process(pid: u32) -> String {
    format!("process {pid}, since ")
}

/// A program that has become a daemon does not end: it is not waited for any longer than this.
const PATIENCE: Duration = Duration::from_mins(1);
/// What apt and dpkg have begun ends, and takes its time.
const PATIENCE_WITH_PACKAGES: Duration = Duration::from_mins(30);
const OF_PACKAGES: [&str; 2] = ["apt-get ", "dpkg "];

/// Waits for the programs of a run that was killed.
pub(super) fn wait_for(run: &str) {
    let began = Instant::now();
    let mut told = false;
    loop {
        let left = of(run);
        if left.is_empty() {
            return;
        }
        let of_packages = |name: &String| OF_PACKAGES.iter().any(|begins| name.starts_with(begins));
        let patience = if left.iter().any(of_packages) {
            PATIENCE_WITH_PACKAGES
        } else {
            PATIENCE
        };
        let left = left.join(", ");
        if began.elapsed() >= patience {
            tracing::warn!("{left} of a run that was killed is not waited for any longer");
            return;
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("a run that was killed ({run}) has left {left}, which is waited for");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Kills the programs that a process has started and left, with all that they started, and waits for their end, a few seconds at most.
/// The process itself must be gone.
pub fn end_programs_of(process: u32) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let run = of_process(process);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = marked(|mark| mark.starts_with(&run));
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        for (pid, _) in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// They and all that they have started: "mkfs.xfs (pid 711)".
fn of(run: &str) -> Vec<String> {
    let left = marked(|mark| mark == run);
    left.into_iter()
        .map(|(pid, name)| format!("{name} (pid {pid})"))
        .collect()
}

/// The processes of the runs whose names are wanted, by number and program.
fn marked(wanted: impl Fn(&str) -> bool) -> Vec<(i32, String)> {
    let Ok(processes) = Path::new("/proc").read_dir() else {
        return Vec::new();
    };
    let marked = processes.flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let text = |name| kernel::text(&process.path().join(name)).ok().flatten();
        let environment = text("environ")?;
        let run = environment
            .split('\0')
            .find_map(|entry| entry.strip_prefix(VARIABLE)?.strip_prefix('='))?;
        wanted(run).then_some(())?;
        Some((pid, text("comm")?.trim_end().to_owned()))
    });
    marked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::programs::Program;

    #[test]
    fn a_programs_run_is_known_by_it() {
        let program = Program::new("sh").args(["-c", "sleep 60; true"]).start().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while !of(&OWN).iter().any(|name| name.starts_with("sleep ")) {
            assert!(Instant::now() < until, "{:?}", of(&OWN));
        }
        assert!(of("process 1, since the beginning").is_empty());
        program.kill();
    }

    /// Of a process that is not this one, whose programs other tests have started.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "it is started as another process would start it"
    )]
    fn the_programs_of_one_process_are_ended_and_no_others() {
        let mark = format!("{}a test", of_process(u32::MAX));
        let mut program = std::process::Command::new("sleep")
            .arg("60")
            .env(VARIABLE, &mark)
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while of(&mark).is_empty() {
            assert!(Instant::now() < until);
        }
        end_programs_of(0);
        assert!(program.try_wait().unwrap().is_none());
        end_programs_of(u32::MAX);
        assert!(of(&mark).is_empty());
        assert!(!program.wait().unwrap().success());
    }
}
