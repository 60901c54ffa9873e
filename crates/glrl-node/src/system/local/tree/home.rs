//! Making a home, atomically and durably: it has its name when it is whole.

use std::path::Path;

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    fcntl::{self, RenameFlags},
};

use super::{Numbers, Tree, sync};
use crate::{
    system::{Bone, BoneKind},
    value::Mode,
};

/// While it is being filled, nobody else looks into it.
const UNFINISHED: Numbers = Numbers {
    mode: Some(Mode::of(0o700)),
    uid: None,
    gid: None,
};

impl Tree {
    pub(in crate::system::local) fn make_home(&self, path: &Path, numbers: &Numbers, skeleton: &[Bone]) -> Result<()> {
        let doing = || format!("making the home {}", path.display());
        let unfinished = self.temporary(path).with_context(doing)?;
        self.make_directory(&unfinished, &UNFINISHED)?;
        let made = self.fill(&unfinished, numbers, skeleton).and_then(|()| {
            let (parent, name) = self.parent(path)?;
            let (_, temporary) = self.parent(&unfinished)?;
            match fcntl::renameat2(&parent, temporary, &parent, name, RenameFlags::RENAME_NOREPLACE) {
                // NFS has no such rename; the plain one replaces nothing but an empty directory.
                Err(Errno::EINVAL) => fcntl::renameat(&parent, temporary, &parent, name)?,
                result => result?,
            }
            Ok(sync(&parent)?)
        });
        if made.is_err()
            && let Err(error) = self.discard_directory(&unfinished)
        {
            // The next run knows its name.
            tracing::warn!("{error:#}");
        }
        made.with_context(doing)
    }

    fn fill(&self, home: &Path, numbers: &Numbers, skeleton: &[Bone]) -> Result<()> {
        for bone in skeleton {
            let path = home.join(&bone.name);
            let numbers = Numbers {
                mode: Some(bone.mode),
                ..*numbers
            };
            match &bone.kind {
                BoneKind::Directory => self.make_directory(&path, &numbers)?,
                BoneKind::File(contents) => self.write(&path, contents, &numbers, None)?,
                BoneKind::Link(target) => self.make_link(&path, target)?,
            }
        }
        self.set_meta(home, numbers)
    }
}
