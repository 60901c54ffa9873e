//! Whose word root takes: a role, a value, a template, a file or a setting that anybody else can write is that one's word.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User, geteuid};

use crate::value::text::word;

/// Links that are followed, as the kernel does (`path_resolution(7)`).
const LINKS: usize = 40;

/// A file that others than root can write or replace.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Untrusted {
    /// What was found.
    pub what: String,
    /// The command that mends it.
    pub mend: String,
}

/// What lets others decide what a file holds: the file, a directory above it, a link on the way.
#[derive(Debug)]
struct Fault {
    path: PathBuf,
    meta: Metadata,
}

/// Refuses a file, or a directory, that others than root can write or replace, if this process is root's. What is not there is nobody's word.
pub fn check(path: &Path) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let faults = faults(path).with_context(|| format!("looking who can write {}", path.display()))?;
    let Some(worst) = faults.last() else { return Ok(()) };
    let whose = match User::from_uid(Uid::from_raw(worst.meta.uid())) {
        Ok(Some(user)) => user.name,
        _ => format!("user {}", worst.meta.uid()),
    };
    let mode = worst.meta.mode() & 0o7777;
    let (shown, about) = (path.display(), worst.path.display());
    let about = if std::path::absolute(path).is_ok_and(|absolute| absolute == worst.path) {
        shown.to_string()
    } else {
        format!("{about}, on the way to {shown},")
    };
    Err(Untrusted {
        what: format!("{about} belongs to {whose}, mode {mode:04o}: root does not take the word of others"),
        mend: mend(&faults),
    }
    .into())
}

/// The command after which only root can write these.
fn mend(faults: &[Fault]) -> String {
    let names = |is: fn(&Fault) -> bool| {
        let names: Vec<String> = faults
            .iter()
            .filter(|fault| is(fault))
            .map(|fault| word(&fault.path.to_string_lossy()).into_owned())
            .collect();
        (!names.is_empty()).then(|| names.join(" "))
    };
    let owners = names(|fault| fault.meta.uid() != 0).map(|names| format!("chown -h root:root {names}"));
    let modes =
        names(|fault| !fault.meta.is_symlink() && others_write(&fault.meta)).map(|names| format!("chmod go-w {names}"));
    let commands: Vec<String> = owners.into_iter().chain(modes).collect();
    commands.join(" && ")
}

/// The mode of a file with an access control list shows the most that the list gives to anybody in the place of the group's rights (acl(5)).
fn others_write(meta: &Metadata) -> bool {
    meta.mode() & 0o022 != 0
}

/// In a directory with the sticky bit others may make files, and cannot replace those of root.
fn is_fault(meta: &Metadata) -> bool {
    if meta.uid() != 0 {
        return true;
    }
    !meta.is_symlink() && others_write(meta) && !(meta.is_dir() && meta.mode() & 0o1000 != 0)
}

/// All of them, from the root of the tree on. Links are followed by hand, so that the directory of each is looked at too.
fn faults(path: &Path) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut here = PathBuf::from("/");
    let mut open: VecDeque<OsString> = std::path::absolute(path)?
        .components()
        .map(|part| part.as_os_str().to_owned())
        .collect();
    let mut links = 0;
    while let Some(part) = open.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::RootDir) => here = PathBuf::from("/"),
            Some(Component::ParentDir) => {
                here.pop();
                continue;
            }
            Some(Component::Normal(name)) => here.push(name),
            _ => continue,
        }
        let meta = match fs::symlink_metadata(&here) {
            Ok(meta) => meta,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => break,
            Err(error) => return Err(error.into()),
        };
        let target = meta.is_symlink().then(|| fs::read_link(&here)).transpose()?;
        if is_fault(&meta) && !faults.iter().any(|fault: &Fault| fault.path == here) {
            faults.push(Fault {
                path: here.clone(),
                meta,
            });
        }
        if let Some(target) = target {
            links += 1;
            if links > LINKS {
                bail!("there are more than {LINKS} links on the way");
            }
            here.pop();
            for part in target.components().rev() {
                open.push_front(part.as_os_str().to_owned());
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt, chown, symlink},
        process::Command,
    };

    use super::*;

    const EVE: u32 = 12345;

    struct Site(tempfile::TempDir);

    #[expect(clippy::disallowed_methods, reason = "it makes what is looked at")]
    impl Site {
        /// `roles/a.yml` in a directory of root's.
        fn new() -> Self {
            let site = Self(tempfile::tempdir().unwrap());
            fs::create_dir(site.path("roles")).unwrap();
            fs::write(site.path("roles/a.yml"), "role: a\n").unwrap();
            site
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn give(&self, name: &str) {
            std::os::unix::fs::lchown(self.path(name), Some(EVE), Some(EVE)).unwrap();
        }

        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }

        /// The file is refused with these words; the command that the message names mends it.
        #[track_caller]
        fn refuses(&self, file: &str, words: &str) {
            let error = check(&self.path(file)).unwrap_err();
            let untrusted = error.downcast_ref::<Untrusted>().unwrap();
            assert!(untrusted.what.contains(words), "{untrusted:?}");
            let status = Command::new("sh").args(["-c", &untrusted.mend]).status().unwrap();
            assert!(status.success(), "{}", untrusted.mend);
            check(&self.path(file)).unwrap();
        }
    }

    /// Only root can give files away.
    fn is_root() -> bool {
        geteuid().is_root()
    }

    #[test]
    fn what_others_can_write_is_refused_until_it_is_mended() {
        if !is_root() {
            return;
        }
        let site = Site::new();
        check(&site.path("roles/a.yml")).unwrap();
        check(&site.path("roles/none.yml")).unwrap();
        site.give("roles/a.yml");
        site.refuses("roles/a.yml", "roles/a.yml belongs to user 12345, mode 0644: ");
        for mode in [0o666, 0o620, 0o602] {
            site.mode("roles/a.yml", mode);
            site.refuses(
                "roles/a.yml",
                &format!("roles/a.yml belongs to root, mode {mode:04o}: "),
            );
        }
        site.give("roles");
        site.mode("roles", 0o777);
        site.mode("roles/a.yml", 0o666);
        site.give("roles/a.yml");
        site.refuses("roles/a.yml", "belongs to user 12345, mode 0666");
        site.mode("roles", 0o777);
        site.refuses("roles/a.yml", "roles, on the way to ");
        // As /tmp is: others cannot replace what is root's there.
        site.mode("roles", 0o1777);
        check(&site.path("roles/a.yml")).unwrap();
        site.give("roles");
        site.refuses("roles/a.yml", "belongs to user 12345");
    }

    #[test]
    fn links_are_followed_by_hand() {
        if !is_root() {
            return;
        }
        let site = Site::new();
        symlink("a.yml", site.path("roles/b.yml")).unwrap();
        symlink("../roles", site.path("roles/again")).unwrap();
        check(&site.path("roles/again/b.yml")).unwrap();
        site.give("roles/b.yml");
        site.refuses("roles/again/b.yml", "roles/b.yml, on the way to ");
        site.mode("roles/a.yml", 0o666);
        site.refuses("roles/again/b.yml", "roles/a.yml, on the way");
        symlink("round", site.path("round")).unwrap();
        assert!(check(&site.path("round")).is_err());
    }

    #[test]
    fn an_access_control_list_is_the_word_of_others_too() {
        if !is_root() {
            return;
        }
        let site = Site::new();
        let file = site.path("roles/it's a.yml");
        fs::copy(site.path("roles/a.yml"), &file).unwrap();
        // user::rw-, user:12345:rw-, group::r--, mask::rw-, other::r-- (acl(5), version 2 of the attribute).
        let list: Vec<u8> = [
            (1_u16, 6_u16, u32::MAX),
            (2, 6, EVE),
            (4, 4, u32::MAX),
            (16, 6, u32::MAX),
            (32, 4, u32::MAX),
        ]
        .into_iter()
        .flat_map(|(tag, rights, id)| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat())
        .collect();
        if xattr::set(
            &file,
            "system.posix_acl_access",
            &[&2_u32.to_le_bytes()[..], &list].concat(),
        )
        .is_err()
        {
            return;
        }
        site.refuses("roles/it's a.yml", "mode 0664");
        chown(&file, Some(EVE), None).unwrap();
        site.refuses("roles/it's a.yml", "user 12345");
    }
}
