//! A node with nothing on it: what the tests' overlay lies over.

use std::{ffi::OsString, path::Path, sync::Arc};

use anyhow::{Result, bail};

use crate::{
    system::{
        BlockDevice, Bytes, Entry, Export, FileType, Group, Guard, Lvm, Mount, Package, Probe, Reading, Swap, Unit,
        Usage, User,
    },
    value::{DevicePath, Mode, Owner, UnitName},
};

/// A root directory, root's account, and nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bare;

const DIRECTORIES: [&str; 9] = ["/", "/etc", "/root", "/run", "/srv", "/tmp", "/usr", "/var", "/dev"];

impl Probe for Bare {
    fn entry(&self, path: &Path) -> Result<Reading<Option<Entry>>> {
        let there = path.to_str().is_some_and(|path| DIRECTORIES.contains(&path));
        Ok(Reading::Known(there.then_some(Entry {
            file_type: FileType::Directory,
            mode: Mode::DIRECTORY,
            owner: Owner::ROOT,
            group: Owner::ROOT,
        })))
    }

    fn contents(&self, _: &Path) -> Result<Reading<Option<Bytes>>> {
        Ok(Reading::Known(None))
    }

    fn list(&self, path: &Path) -> Result<Reading<Vec<OsString>>> {
        let top = DIRECTORIES[1..].iter().map(|directory| directory[1..].into());
        Ok(Reading::Known(if path == Path::new("/") {
            top.collect()
        } else {
            Vec::new()
        }))
    }

    fn user(&self, name: &str) -> Result<Reading<Option<User>>> {
        Ok(Reading::Known((name == "root").then(|| User {
            name: name.to_owned(),
            uid: Some(0),
            gid: Some(0),
            comment: name.to_owned(),
            home: "/root".to_owned(),
            shell: "/bin/bash".to_owned(),
            groups: Vec::new(),
        })))
    }

    fn group(&self, name: &str) -> Result<Reading<Option<Group>>> {
        let root = (name == "root").then(|| Group {
            name: name.to_owned(),
            gid: Some(0),
            members: Vec::new(),
        });
        Ok(Reading::Known(root))
    }

    fn package(&self, _: &str) -> Result<Reading<Option<Package>>> {
        Ok(Reading::Known(None))
    }

    fn unit(&self, _: &UnitName) -> Result<Reading<Option<Unit>>> {
        Ok(Reading::Known(None))
    }

    fn mounts(&self) -> Result<Reading<Arc<Vec<Mount>>>> {
        Ok(Reading::Known(Arc::default()))
    }

    fn usage(&self, mount_point: &Path) -> Result<Reading<Usage>> {
        bail!("nothing is mounted at {}", mount_point.display())
    }

    fn block(&self, _: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        Ok(Reading::Known(None))
    }

    fn lvm(&self) -> Result<Reading<Arc<Lvm>>> {
        Ok(Reading::Known(Arc::default()))
    }

    fn swaps(&self) -> Result<Reading<Arc<Vec<Swap>>>> {
        Ok(Reading::Known(Arc::default()))
    }

    fn exports(&self) -> Result<Reading<Arc<Vec<Export>>>> {
        Ok(Reading::Known(Arc::default()))
    }

    fn guard(&self, _: &Guard) -> Result<Reading<bool>> {
        Ok(Reading::Known(false))
    }

    /// Always the same, so that tests can expect it.
    fn now(&self) -> jiff::Zoned {
        jiff::civil::date(2026, 1, 1)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap_or_default()
    }
}
