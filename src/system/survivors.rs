//! Programs that outlive the run that started them. SIGKILL ends glrl and not its `mkfs` or `mount`, and whoever looks at the node while
//! they go on sees what is about to change. So each program carries the name of its run, and the next run waits for those of a run
//! that did not come to its end.

use std::{
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use super::{clock, local::kernel};

/// The environment variable that names the run.
pub(super) const VARIABLE: &str = "GLRL_RUN";

/// This process, as no other is named.
pub(super) static OWN: LazyLock<String> =
    LazyLock::new(|| format!("process {}, since {}", std::process::id(), clock::stamp(clock::now())));

/// A program that has become a daemon does not end: it is not waited for any longer than this.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for the programs of a run that was killed.
pub(super) fn wait_for(run: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let left = of(run);
        if left.is_empty() {
            return;
        }
        let left = left.join(", ");
        if Instant::now() >= deadline {
            tracing::warn!("{left} of a run that was killed is not waited for any longer");
            return;
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("a run that was killed ({run}) has left {left}, which is waited for");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// They and all that they have started: "mkfs.xfs (pid 711)".
fn of(run: &str) -> Vec<String> {
    let mark = format!("{VARIABLE}={run}");
    let Ok(processes) = Path::new("/proc").read_dir() else {
        return Vec::new();
    };
    let marked = processes.flatten().filter_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let text = |name| kernel::text(&process.path().join(name)).ok().flatten();
        text("environ")?.split('\0').find(|entry| *entry == mark)?;
        let name = text("comm")?;
        Some(format!("{} (pid {pid})", name.trim_end()))
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
}
