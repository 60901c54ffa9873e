//! Loop devices over sparse files.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
};

use glrl::value::DevicePath;
use tempfile::TempDir;

use crate::support;

/// A loop device over a file of its own; both are gone with it.
pub(super) struct Loop {
    pub(super) path: String,
    file: PathBuf,
    _directory: TempDir,
}

/// Large enough for mkfs.xfs, which wants 300 MiB.
pub(super) const SIZE: u64 = 320 << 20;

impl Loop {
    pub(super) fn new(size: u64) -> Self {
        Self::with(size, &[])
    }

    /// With options for losetup(8).
    pub(super) fn with(size: u64, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("disk");
        File::create(&file)
            .and_then(|file| file.set_len(size))
            .expect("a sparse file");
        let mut arguments = vec!["--find", "--show"];
        arguments.extend(options);
        arguments.push(file.to_str().expect("UTF-8"));
        let path = sh_output("losetup", &arguments).trim().to_owned();
        // A loop device keeps the partitions that the kernel was told of, whatever file it is over.
        let _ = Command::new("partx").args(["--delete", &path]).output();
        Self {
            path,
            file,
            _directory: directory,
        }
    }

    pub(super) fn device(&self) -> DevicePath {
        self.path.parse().expect("a device")
    }

    /// Makes it larger, as a hypervisor does with a disk.
    pub(super) fn grow(&self, size: u64) {
        OpenOptions::new()
            .write(true)
            .open(&self.file)
            .and_then(|file| file.set_len(size))
            .expect("a larger file");
        sh("losetup", &["--set-capacity", &self.path]);
    }

    /// Writes bytes at a place.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) {
        let mut file = OpenOptions::new().write(true).open(&self.path).expect("a device");
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(bytes))
            .and_then(|()| file.sync_all())
            .expect("written");
    }

    pub(super) fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut file = File::open(&self.path).expect("a device");
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut bytes))
            .expect("read");
        bytes
    }

    /// A hash of all that the device holds. What was never written is not read.
    pub(super) fn hash(&self) -> String {
        sh("sync", &[&self.path]);
        support::hash(&self.file).expect("the file below")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--quiet", &self.path]).status();
        let _ = Command::new("losetup").args(["--detach", &self.path]).status();
    }
}

/// A mount that ends with the test.
pub(super) struct Mounted(pub(super) TempDir);

impl Mounted {
    pub(super) fn of(device: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        sh("mount", &[device, directory.path().to_str().expect("UTF-8")]);
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--quiet").arg(self.0.path()).status();
    }
}

pub(super) fn sh(program: &str, arguments: &[&str]) {
    sh_output(program, arguments);
}

pub(super) fn sh_output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: install what lab/packages.txt lists"));
    assert!(
        output.status.success(),
        "{program} {arguments:?} (needs root): {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
