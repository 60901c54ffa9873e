//! A directory that is mounted a second time (`mount --bind`): which part of which filesystem that is, and how it follows what is
//! declared.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Mount, Presence, State, source::shown};
use crate::{
    resource::{Change, Plan, PropertyError, mount_options as options},
    system::{Command, Effect, Mount as Live, Op, Probe, Reading, Refused, known},
    value::{AbsPath, MountSource},
};

/// What the kernel shows behind the path of a directory that is gone.
const DELETED: &str = "//deleted";

/// Something that is mounted below the mount point.
#[derive(Debug, PartialEq)]
pub(super) struct Below {
    mount: Live,
    /// Whether it is there because it is mounted below the directory that is bound.
    came_along: bool,
}

impl Mount {
    /// The directory that is mounted a second time, where it is one.
    pub(super) fn bound(&self) -> Option<&AbsPath> {
        match &self.device {
            MountSource::Directory(path) => Some(path),
            _ => None,
        }
    }

    pub(super) fn check_bound(&self) -> Result<()> {
        let option = self.options.iter().find(|option| options::binds(option));
        let wrong = |property: &str, message: String| Err(PropertyError::of(property, message));
        let directory = match (self.bound(), option) {
            (None, None) => return Ok(()),
            (None, Some(option)) => {
                return wrong(
                    "options",
                    format!("'{option}' is for a directory, and '{}' is none", self.device),
                );
            }
            (Some(directory), None) => {
                return wrong(
                    "device",
                    format!("'{directory}' is a directory: say `options: [bind]` too"),
                );
            }
            (Some(directory), Some(_)) => directory,
        };
        if let Some(option) = self.options.iter().find(|option| !options::is_for_binding(option)) {
            let why = "the filesystem that the directory is on is mounted already";
            return wrong("options", format!("'{option}' does nothing with `bind`: {why}"));
        }
        if let Some(fs_type) = self.r#type.as_deref().filter(|fs_type| *fs_type != "none") {
            return wrong(
                "type",
                format!("a directory is mounted with the type none, not {fs_type}"),
            );
        }
        if directory.starts_with(&*self.path) {
            return wrong("path", format!("a mount on {} hides {directory} itself", self.path));
        }
        Ok(())
    }

    /// What a mount of the directory shows: a part of the filesystem that it is on.
    pub(super) fn origin(&self, mounts: &[Live]) -> Option<Live> {
        let directory = self.bound()?;
        let on = part(directory, mounts).unwrap_or_else(|| Live {
            source: directory.to_string(),
            root: directory.to_path_buf(),
            target: self.path.to_path_buf(),
            fs_type: "none".to_owned(),
            options: Vec::new(),
            device: String::new(),
        });
        Some(Live {
            target: self.path.to_path_buf(),
            ..on
        })
    }

    /// Whether a mount shows that part.
    pub(super) fn shows(&self, live: &Live, origin: &Live) -> bool {
        // What is to go may show a directory that is gone.
        let root = live.root.to_str().and_then(|root| root.strip_suffix(DELETED));
        let root = root
            .filter(|_| self.state == Presence::Absent)
            .map_or(&*live.root, Path::new);
        root == origin.root && is_one_filesystem(live, origin)
    }

    /// An error unless the directory that is bound stands.
    pub(super) fn must_be_there(&self, node: &dyn Probe, directory: &AbsPath) -> Result<Reading<()>> {
        if let Some(missing) = known!(self.ground(node, directory)?).missing.first() {
            bail!("there is no directory {missing}: declare it, or need what brings it");
        }
        Ok(Reading::Known(()))
    }

    /// What is mounted below the mount point: by `rbind`, or since, as what is mounted below the directory may be mounted here, too.
    pub(super) fn below(&self, mounts: &[Live]) -> Vec<Below> {
        let Some(directory) = self.bound() else {
            return Vec::new();
        };
        let came_along = |mount: &Live| {
            let inside = mount.target.strip_prefix(&*self.path).ok();
            let original = inside.map(|inside| directory.join(inside));
            mounts.iter().any(|other| {
                Some(&other.target) == original.as_ref() && other.root == mount.root && is_one_filesystem(other, mount)
            })
        };
        let below = |mount: &&Live| mount.target != *self.path && mount.target.starts_with(&*self.path);
        mounts
            .iter()
            .filter(below)
            .map(|mount| Below {
                came_along: came_along(mount),
                mount: mount.clone(),
            })
            .collect()
    }

    /// What would come along with the directory by `rbind`, as it would be mounted here.
    pub(super) fn along<'m>(&self, mounts: &'m [Live]) -> impl Iterator<Item = (usize, Live)> + use<'_, 'm> {
        let inside = |mount: &Live| {
            mount
                .target
                .strip_prefix(self.bound()?)
                .ok()
                .map(|inside| self.path.join(inside))
        };
        let all = mounts.iter().enumerate();
        all.filter_map(move |(number, mount)| {
            let target =
                inside(mount).filter(|target| *target != *self.path && !mount.target.starts_with(&*self.path))?;
            Some((
                number,
                Live {
                    target,
                    ..mount.clone()
                },
            ))
        })
    }

    /// By which option the directory was mounted here, where anything tells: what was mounted below it by then came along, or did not. What was
    /// mounted later may be here either way (`mount_namespaces(7)`); the kernel lists mounts in their order.
    pub(super) fn bound_by(&self, mounts: &[Live]) -> Option<&'static str> {
        let here = mounts.iter().rposition(|mount| mount.target == *self.path)?;
        let mut earlier = self.along(mounts).filter(|(number, _)| *number < here).peekable();
        earlier.peek()?;
        let came = earlier.any(|(_, mount)| {
            mounts.iter().any(|other| {
                other.target == mount.target && other.root == mount.root && is_one_filesystem(other, &mount)
            })
        });
        Some(if came { "rbind" } else { "bind" })
    }

    /// Makes the mount follow its options; what the filesystem that the directory is on has for itself stays out of it.
    pub(super) fn update_bound(
        &self,
        mut plan: Plan,
        current: &State,
        live: &Live,
        origin: &Live,
        wanted: &[String],
    ) -> Result<Plan> {
        let wanted_by = wanted.iter().find(|option| options::binds(option)).map(String::as_str);
        let by_fstab = current.entries.first().map(|entry| {
            let option = entry.options.iter().find(|option| options::binds(option));
            option.map(String::as_str)
        });
        // fstab says it of what was mounted when there was nothing below it.
        let other = [by_fstab, current.bound_by.map(Some)]
            .into_iter()
            .flatten()
            .find(|by| *by != wanted_by);
        if other.is_none() && options::is_bound_as(&live.options, &origin.options, wanted) {
            return Ok(plan);
        }
        let now = other
            .flatten()
            .into_iter()
            .chain(live.options.iter().map(String::as_str));
        plan = plan.change(Change::of(
            "mounted with",
            now.collect::<Vec<_>>().join(","),
            options::for_mounting(wanted).join(","),
        ));
        if let Some(by) = other {
            let mut mount = self.mount_command("none", wanted, current);
            let again = match (current.entries.first(), by) {
                (None, Some(by)) => Command::new(["mount", "-o", by, self.device.as_str(), self.target()]),
                _ => Command::new(["mount", self.target()]),
            };
            mount.otherwise.push(Op::Run(again));
            return Ok(self.unbind(plan, current)?.op(Op::Run(mount)));
        }
        let remount = options::for_rebinding(&origin.options, wanted).join(",");
        Ok(plan.op(Op::Run(
            Command::new(["mount", "-o", &remount, self.target()]).makes([makes(origin, wanted)]),
        )))
    }

    /// Unmounts it, with what came along. That is told first to keep its end to itself: what is unmounted here would be unmounted below
    /// the directory, too (`mount_namespaces(7)`).
    pub(super) fn unbind(&self, plan: Plan, current: &State) -> Result<Plan> {
        if let Some(foreign) = current.below.iter().find(|below| !below.came_along) {
            return Err(Refused::because(
                format!(
                    "{} is mounted on {}, and did not come along with {}",
                    shown(&foreign.mount),
                    foreign.mount.target.display(),
                    self.device
                ),
                format!("unmount it (umount {})", foreign.mount.target.display()),
            ));
        }
        if current.below.is_empty() {
            return Ok(plan.op(Op::Run(self.unmount())));
        }
        let gone = current.below.iter().map(|below| below.mount.target.clone());
        let unmount = Command::new(["umount", "--recursive", self.target()])
            .makes(gone.chain([self.path.to_path_buf()]).map(Effect::Unmounted));
        Ok(plan
            .op(Op::Run(Command::new(["mount", "--make-rslave", self.target()])))
            .op(Op::Run(unmount)))
    }
}

/// What is mounted by mounting a directory: a part of a filesystem, and by `rbind` what comes along.
pub(super) fn makes_all(origin: &Live, wanted: &[String], along: &[Live]) -> Vec<Effect> {
    let recursive = wanted.iter().any(|option| option == "rbind");
    let along = along.iter().filter(|_| recursive).cloned().map(Effect::Mounted);
    [makes(origin, wanted)].into_iter().chain(along).collect()
}

/// What is mounted by mounting the part a second time.
fn makes(origin: &Live, wanted: &[String]) -> Effect {
    Effect::Mounted(Live {
        options: options::predicted_of_bound(&origin.options, wanted),
        ..origin.clone()
    })
}

/// The part of a filesystem that a directory is.
fn part(directory: &AbsPath, mounts: &[Live]) -> Option<Live> {
    let above = mounts.iter().filter(|mount| directory.starts_with(&mount.target));
    let on = above.max_by_key(|mount| mount.target.components().count())?;
    let inside = directory.strip_prefix(&on.target).ok()?;
    Some(Live {
        root: on.root.join(inside),
        ..on.clone()
    })
}

/// Whether two mounts are of the same filesystem: by its number, which one that is planned does not have yet.
fn is_one_filesystem(one: &Live, other: &Live) -> bool {
    if one.device.is_empty() || other.device.is_empty() {
        one.source == other.source
    } else {
        one.device == other.device
    }
}
