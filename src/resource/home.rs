//! A user's home, made where it is missing as useradd(8) makes it: its mode from login.defs(5), the files of /etc/skel in it. Made
//! by operations of glrl's own, so that a plan knows each of the files.

use std::path::Path;

use anyhow::Result;

use super::{Action, Change, Plan, parent};
use crate::{
    system::{Bone, BoneKind, FileType, Meta, Op, Probe, Reading, known},
    value::{AbsPath, Mode, Owner},
};

const SKELETON: &str = "/etc/skel";

/// A home that is missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Home {
    path: AbsPath,
    mode: Mode,
    /// What it starts with, each after the directory it is in.
    skeleton: Vec<Bone>,
}

/// What has to be made of a home; `None` where there is one, and for one that is no place (`/nonexistent`).
pub(super) fn read(node: &dyn Probe, home: &str) -> Result<Reading<Option<Home>>> {
    let path = match home.parse::<AbsPath>() {
        Ok(path) if !path.starts_with("/nonexistent") => path,
        _ => return Ok(Reading::Known(None)),
    };
    if known!(node.entry(&path)?).is_some() {
        return Ok(Reading::Known(None));
    }
    known!(parent::check(node, &path)?);
    let defaults = known!(node.contents(Path::new("/etc/login.defs"))?);
    let mut skeleton = Vec::new();
    known!(collect(node, Path::new(SKELETON), "", &mut skeleton)?);
    Ok(Reading::Known(Some(Home {
        path,
        mode: mode(&String::from_utf8_lossy(defaults.as_deref().unwrap_or_default())),
        skeleton,
    })))
}

fn collect(node: &dyn Probe, directory: &Path, prefix: &str, skeleton: &mut Vec<Bone>) -> Result<Reading<()>> {
    for name in known!(node.list(directory)?) {
        let path = directory.join(&name);
        let Some(name) = name.to_str().map(|name| format!("{prefix}{name}")) else {
            continue;
        };
        let Some(entry) = known!(node.entry(&path)?) else {
            continue;
        };
        let kind = match entry.file_type {
            FileType::Directory => BoneKind::Directory,
            FileType::Link { target } => BoneKind::Link(target),
            FileType::File { .. } => BoneKind::File(known!(node.contents(&path)?).unwrap_or_default()),
            FileType::Other => continue,
        };
        let below = (kind == BoneKind::Directory).then(|| format!("{name}/"));
        skeleton.push(Bone {
            name: name.into(),
            mode: entry.mode,
            kind,
        });
        if let Some(prefix) = below {
            known!(collect(node, &path, &prefix, skeleton)?);
        }
    }
    Ok(Reading::Known(()))
}

/// `HOME_MODE`, or what `UMASK` leaves (login.defs(5)).
fn mode(login_defs: &str) -> Mode {
    let value = |key: &str| {
        login_defs
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(key))
            .filter(|rest| rest.starts_with([' ', '\t']))
            .find_map(|rest| u32::from_str_radix(rest.split_whitespace().next()?, 8).ok())
    };
    match value("HOME_MODE") {
        Some(bits) => Mode::of(bits),
        None => Mode::of(0o777 & !value("UMASK").unwrap_or(0o022)),
    }
}

impl Home {
    /// Adds what makes it.
    pub(super) fn make(self, plan: &mut Plan, owner: &Owner, group: &Owner) {
        if plan.action == Action::None {
            plan.action = Action::Update;
        }
        plan.changes.push(Change::new("home directory", &self.path));
        plan.ops.push(Op::MakeHome {
            path: self.path,
            meta: Meta {
                mode: Some(self.mode),
                owner: Some(owner.clone()),
                group: Some(group.clone()),
            },
            skeleton: self.skeleton,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_a_home_is_the_distributions() {
        assert_eq!(mode(""), Mode::of(0o755));
        assert_eq!(mode("UMASK\t\t022\n#HOME_MODE 0700\n"), Mode::of(0o755));
        assert_eq!(mode("UMASK 027\n"), Mode::of(0o750));
        assert_eq!(mode("HOME_MODE\t0750\nUMASK\t022\n"), Mode::of(0o750));
    }
}
