//! Which signals the run was started without.

use std::path::Path;

use super::texts;

/// Whether whoever started this process had the signal ignored, as nohup(1) has SIGHUP (`SigIgn` in `proc_pid_status(5)`).
pub fn is_ignored(signal: i32) -> bool {
    let mask = || {
        let status = texts::read(Path::new("/proc/self/status")).ok()??;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    mask().is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
