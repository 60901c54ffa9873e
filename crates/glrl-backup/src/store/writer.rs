//! A file of the target, written by a thread that shares no open files with the rest of the process. A file of an NFS server is written out
//! when it is closed, also by the kernel for a process that was killed, which waits for a server that is gone as long as that takes. All
//! else that the process has open, its lock and its snapshot, is given back meanwhile. Sources: `close_range(2)`, nfs(5).

use std::{fs::File, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result as Anyhow};
use nix::{errno::Errno, libc};

use crate::{
    model::error::Result,
    store::behind::{Behind, behind},
};

/// The thread, as ps(1) shows it.
const NAME: &str = "glrl-target";

/// Makes a file, for its owner alone, and writes it, to the disk. It must not be there.
pub(crate) fn write<T>(path: &Path, fill: impl FnOnce(&mut Behind) -> Result<T>) -> Result<T> {
    let written = behind(
        NAME,
        |coming| {
            let doing = || format!("writing {}", path.display());
            share_nothing()?;
            let mut target = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .with_context(doing)?;
            // NFS reports a full disk here at the latest.
            if coming.write_to(&mut target).with_context(doing)? {
                target.sync_all().with_context(doing)?;
            }
            Ok(())
        },
        fill,
    );
    written.map(|(filled, ())| filled)
}

/// From here on this thread has its own table of open files, with nothing in it but standard input, output and error.
fn share_nothing() -> Anyhow<()> {
    #[expect(
        unsafe_code,
        reason = "nix has no close_range(2); what it closes here is open still for all other threads"
    )]
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_UNSHARE) };
    Errno::result(result).map(drop).context("parting from the open files")
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::PathBuf};

    use super::*;
    use crate::{
        model::error::{Error, Kind},
        store::behind::{CHUNK, DEPTH},
    };

    /// The files that the thread has open.
    fn open_apart() -> Vec<PathBuf> {
        let named = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim_end() == NAME);
        fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|task| task.unwrap().path())
            .filter(|task| named(task))
            .flat_map(|task| fs::read_dir(task.join("fd")).into_iter().flatten())
            .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
            .collect()
    }

    #[test]
    fn all_is_written_and_nothing_else_is_open_there() {
        let directory = tempfile::tempdir().unwrap();
        let (path, held) = (directory.path().join("archive"), directory.path().join("lock"));
        let lock = File::create(&held).unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let open = write(&path, |file| {
            file.write_all(&bytes).context("writing")?;
            // It has taken what did not fit into the queue, so it has begun.
            for _ in 0..=DEPTH {
                file.write_all(&vec![7; CHUNK]).context("writing")?;
            }
            Ok(open_apart())
        })
        .unwrap();
        assert!(open.contains(&path), "{open:?}");
        assert!(!open.contains(&held), "{open:?}");
        drop(lock);
        let written = fs::read(&path).unwrap();
        assert!(written.len() == bytes.len() + (DEPTH + 1) * CHUNK && written.starts_with(&bytes));
    }

    #[test]
    fn what_failed_there_is_the_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive");
        fs::write(&path, "another's").unwrap();
        let bytes = vec![0; CHUNK];
        let error = write::<()>(&path, |file| {
            loop {
                file.write_all(&bytes).context("archiving")?;
            }
        })
        .unwrap_err();
        assert_eq!(error.kind, Kind::Target);
        assert!(format!("{error:#}").contains("exists"), "{error:#}");
        assert_eq!(fs::read_to_string(path).unwrap(), "another's");
    }

    #[test]
    fn an_error_of_who_fills_it_is_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let error = write::<()>(&directory.path().join("archive"), |_| {
            Err(Error::new(Kind::Snapshot, "it is full"))
        })
        .unwrap_err();
        assert_eq!(
            (error.kind, error.to_string()),
            (Kind::Snapshot, "it is full".to_owned())
        );
    }
}
