//! The overlay as one resource sees it. What is absent now may come with a package that the resource waits for: then it is
//! unknown, not absent.

use std::{
    collections::HashMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, RwLockReadGuard},
};

use anyhow::Result;

use super::{Layer, Overlay, Planned, files::Found};
use crate::{
    system::{
        Amount, BlockDevice, Bytes, Entry, Export, FileType, Foretold, Group, Guard, KeepAt, Lvm, Mount, Op, Package,
        Probe, Reading, Stray, Swap, Unit, Usage, User, known, move_data, place, programs::Missing, strays,
    },
    value::{DevicePath, Id, UnitName},
};

/// What of a resource's ancestors in the graph makes readings unknown. One of each is enough to be named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ancestry {
    /// The nearest that installs packages.
    pub installs: Option<Id>,
    /// The nearest that may change anything.
    pub anything: Option<Id>,
    /// The nearest that changes at all.
    pub changes: Option<Id>,
}

impl Ancestry {
    /// Adds a need's own ancestry, and is overruled by what it has.
    pub fn join(&mut self, nearer: &Self) {
        for (mine, other) in [
            (&mut self.installs, &nearer.installs),
            (&mut self.anything, &nearer.anything),
            (&mut self.changes, &nearer.changes),
        ] {
            if other.is_some() {
                mine.clone_from(other);
            }
        }
    }
}

/// The node as a resource will find it.
pub struct View<'o> {
    pub(super) base: &'o dyn Probe,
    pub(super) layer: RwLockReadGuard<'o, Layer>,
    pub(super) ancestry: &'o Ancestry,
}

/// Where packages put files; elsewhere what is absent stays absent until a resource makes it (Debian Policy, FHS). fstab is the
/// administrator's, and /run/systemd/system is there if the machine was booted by systemd (`sd_booted(3)`), which no
/// package changes.
fn packages_write_to(path: &Path) -> bool {
    let inside = |directories: &[&str]| directories.iter().any(|directory| path.starts_with(directory));
    inside(&["/etc", "/usr", "/var", "/lib", "/bin", "/sbin", "/boot", "/opt", "/run"])
        && !inside(&["/usr/local", "/var/local", "/etc/fstab", "/run/systemd/system"])
}

impl View<'_> {
    /// `Unknown` if an ancestor may change anything.
    fn settled(&self) -> Reading<()> {
        match &self.ancestry.anything {
            Some(after) => Reading::Unknown { after: after.clone() },
            None => Reading::Known(()),
        }
    }

    /// Whether the plan has not touched a path.
    fn is_as_it_was(&self, path: &Path) -> Result<bool> {
        Ok(self.layer.untouched() || matches!(self.layer.find(&self.layer.place(self.base, path)?), Found::Base))
    }

    /// An answer, which is unknown if it says "absent" and a package that comes before may bring the thing.
    fn or_installed<T>(answer: Reading<Option<T>>, installs: Option<&Id>) -> Reading<Option<T>> {
        match (answer, installs) {
            (Reading::Known(None), Some(after)) => Reading::Unknown { after: after.clone() },
            (answer, _) => answer,
        }
    }

    /// A base's answer, which is unknown where the program that gives it is still to be installed.
    fn or_program<T>(&self, answer: Result<Reading<T>>) -> Result<Reading<T>> {
        match (answer, &self.ancestry.installs) {
            (Err(error), Some(after)) if error.downcast_ref::<Missing>().is_some() => {
                Ok(Reading::Unknown { after: after.clone() })
            }
            (answer, _) => answer,
        }
    }
}

fn planned<T: Clone>(planned: &Planned<T>) -> Reading<T> {
    match planned {
        Planned::Known(value) => Reading::Known(value.clone()),
        Planned::Unknown(after) => Reading::Unknown { after: after.clone() },
    }
}

/// Those of the base that the plan leaves, and those that it makes. Of one that nobody knows yet there is nothing to say.
fn merged<T: Clone>(base: Vec<T>, layer: &HashMap<String, Planned<Option<T>>>, name: impl Fn(&T) -> &String) -> Vec<T> {
    let planned = layer.values().filter_map(|planned| match planned {
        Planned::Known(one) => one.clone(),
        Planned::Unknown(_) => None,
    });
    let left = base.into_iter().filter(|one| !layer.contains_key(name(one)));
    left.chain(planned).collect()
}

impl Probe for View<'_> {
    fn entry(&self, path: &Path) -> Result<Reading<Option<Entry>>> {
        known!(self.settled());
        let answer = self.layer.entry(self.base, path)?;
        if !packages_write_to(path) {
            return Ok(answer);
        }
        // Without its directory nothing can be made at a path, so any package that comes earlier may bring both.
        let orphan = || {
            let parent = path.parent().map(|parent| self.layer.entry(self.base, parent));
            matches!(parent, Some(Ok(Reading::Known(None))))
        };
        let installs = match &answer {
            Reading::Known(None) => self
                .ancestry
                .installs
                .as_ref()
                .or_else(|| self.layer.installs.as_ref().filter(|_| orphan())),
            _ => None,
        };
        Ok(Self::or_installed(answer, installs))
    }

    fn contents(&self, path: &Path) -> Result<Reading<Option<Bytes>>> {
        if let Reading::Unknown { after } = self.entry(path)? {
            return Ok(Reading::Unknown { after });
        }
        if self.layer.untouched() {
            return self.base.contents(path);
        }
        let place = self.layer.place(self.base, path)?;
        Ok(match self.layer.find(&place) {
            Found::Node(node) => match planned(&node.contents) {
                // The plan changed its ownership only.
                Reading::Known(None) if !node.fresh => self.base.contents(&place)?,
                contents => contents,
            },
            Found::Absent | Found::Root => Reading::Known(None),
            Found::Unknown(after) => Reading::Unknown { after },
            Found::Base => self.base.contents(&place)?,
        })
    }

    fn editable(&self, path: &Path) -> Result<Reading<Option<Bytes>>> {
        if self.is_as_it_was(path)? {
            known!(self.entry(path)?);
            return self.base.editable(path);
        }
        self.contents(path)
    }

    fn strays(&self, directory: &Path, keep: KeepAt<'_>) -> Result<Reading<Vec<Stray>>> {
        known!(self.entry(directory)?);
        let place = self.layer.directory(self.base, directory)?;
        if matches!(self.layer.find(&place), Found::Base) && !self.layer.touches_below(&place) {
            return self.base.strays(&place, keep);
        }
        strays::by_names(self, directory, keep)
    }

    fn list(&self, path: &Path) -> Result<Reading<Vec<OsString>>> {
        known!(self.entry(path)?);
        if self.layer.untouched() {
            return self.base.list(path);
        }
        // A link to a directory lists as the directory.
        let place = self.layer.directory(self.base, path)?;
        let mut names = match self.layer.find(&place) {
            Found::Node(node) if node.fresh => Vec::new(),
            Found::Absent | Found::Root => Vec::new(),
            Found::Unknown(after) => return Ok(Reading::Unknown { after }),
            Found::Node(_) | Found::Base => known!(self.base.list(&place)?),
        };
        let below = self
            .layer
            .files
            .range(place.clone()..)
            .skip_while(|(file, _)| **file == place);
        for (file, node) in below.take_while(|(file, _)| file.starts_with(&place)) {
            let (Some(name), true) = (file.file_name(), file.parent() == Some(&*place)) else {
                continue;
            };
            names.retain(|known| known != name);
            match node {
                Planned::Known(Some(_)) => names.push(name.to_owned()),
                Planned::Known(None) => {}
                Planned::Unknown(after) => return Ok(Reading::Unknown { after: after.clone() }),
            }
        }
        names.sort_unstable();
        Ok(Reading::Known(names))
    }

    fn amount(&self, directory: &Path) -> Result<Reading<Amount>> {
        known!(self.entry(directory)?);
        let place = self.layer.directory(self.base, directory)?;
        let touched = self.layer.touches_below(&place);
        match self.layer.find(&place) {
            Found::Base if !touched => self.base.amount(&place),
            _ => move_data::amount(self, directory),
        }
    }

    fn user(&self, name: &str) -> Result<Reading<Option<User>>> {
        known!(self.settled());
        let answer = match self.layer.users.get(name) {
            Some(user) => planned(user),
            None => self.base.user(name)?,
        };
        Ok(Self::or_installed(answer, self.ancestry.installs.as_ref()))
    }

    fn group(&self, name: &str) -> Result<Reading<Option<Group>>> {
        known!(self.settled());
        let answer = match self.layer.groups.get(name) {
            Some(group) => planned(group),
            None => self.base.group(name)?,
        };
        Ok(Self::or_installed(answer, self.ancestry.installs.as_ref()))
    }

    fn users(&self) -> Result<Reading<Vec<User>>> {
        known!(self.settled());
        let all = known!(self.base.users()?);
        Ok(Reading::Known(merged(all, &self.layer.users, |user| &user.name)))
    }

    fn groups(&self) -> Result<Reading<Vec<Group>>> {
        known!(self.settled());
        let all = known!(self.base.groups()?);
        Ok(Reading::Known(merged(all, &self.layer.groups, |group| &group.name)))
    }

    fn package(&self, name: &str) -> Result<Reading<Option<Package>>> {
        known!(self.settled());
        let answer = match self.layer.packages.get(name) {
            Some(package) => planned(package),
            None => self.base.package(name)?,
        };
        // It may come as a dependency of one that is installed before.
        Ok(Self::or_installed(answer, self.ancestry.installs.as_ref()))
    }

    fn leftover(&self, name: &str) -> Result<Reading<bool>> {
        known!(self.settled());
        if self.layer.packages.contains_key(name) {
            Ok(Reading::Known(false))
        } else {
            self.base.leftover(name)
        }
    }

    /// Together with what is planned before it. Where apt's own files are planned, it does not know them yet.
    fn transaction(&self, install: &[String], remove: &[String]) -> Result<Foretold> {
        let is_apts = |path: &PathBuf| path.starts_with("/etc/apt") || path.starts_with("/usr/share/keyrings");
        if self.ancestry.anything.is_some() || self.layer.files.keys().any(is_apts) {
            return Ok(Foretold::Unknown);
        }
        let (mut all, mut gone) = (install.to_vec(), remove.to_vec());
        for (name, package) in &self.layer.packages {
            let is_asked = |asked: &String| asked.split('=').next() == Some(name);
            match package {
                _ if install.iter().any(is_asked) || remove.iter().any(is_asked) => {}
                Planned::Known(Some(package)) if package.version.is_empty() => all.push(name.clone()),
                Planned::Known(Some(package)) => all.push(format!("{name}={}", package.version)),
                Planned::Known(None) => gone.push(name.clone()),
                Planned::Unknown(_) => {}
            }
        }
        self.base.transaction(&all, &gone)
    }

    fn unit(&self, name: &UnitName) -> Result<Reading<Option<Unit>>> {
        known!(self.settled());
        let answer = match self.layer.units.get(name) {
            Some(unit) => planned(unit),
            None => self.base.unit(name)?,
        };
        // A unit that is nowhere is a mistake, unless any package that comes earlier may bring it.
        Ok(Self::or_installed(
            answer,
            self.ancestry.installs.as_ref().or(self.layer.installs.as_ref()),
        ))
    }

    fn mounts(&self) -> Result<Reading<Arc<Vec<Mount>>>> {
        known!(self.settled());
        self.layer
            .mounts
            .as_ref()
            .map_or_else(|| self.base.mounts(), |mounts| Ok(Reading::Known(Arc::clone(mounts))))
    }

    fn is_mount_point(&self, path: &Path) -> Result<Reading<bool>> {
        known!(self.settled());
        match &self.layer.mounts {
            Some(mounts) => Ok(Reading::Known(mounts.iter().any(|mount| mount.target == path))),
            None => self.base.is_mount_point(path),
        }
    }

    /// What is yet to be mounted is not there to be asked.
    fn check_reachable(&self, path: &Path) -> Result<()> {
        self.base.check_reachable(path)
    }

    fn usage(&self, mount_point: &Path) -> Result<Reading<Usage>> {
        known!(self.settled());
        self.base.usage(mount_point)
    }

    fn block(&self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        known!(self.settled());
        self.or_program(self.layer.block(self.base, device))
    }

    fn lvm(&self) -> Result<Reading<Arc<Lvm>>> {
        known!(self.settled());
        match &self.layer.lvm {
            Some(lvm) => Ok(Reading::Known(Arc::clone(lvm))),
            None => self.or_program(self.base.lvm()),
        }
    }

    fn swaps(&self) -> Result<Reading<Arc<Vec<Swap>>>> {
        known!(self.settled());
        self.layer
            .swaps
            .as_ref()
            .map_or_else(|| self.base.swaps(), |swaps| Ok(Reading::Known(Arc::clone(swaps))))
    }

    fn exports(&self) -> Result<Reading<Arc<Vec<Export>>>> {
        known!(self.settled());
        self.layer.exports.as_ref().map_or_else(
            || self.base.exports(),
            |exports| Ok(Reading::Known(Arc::clone(exports))),
        )
    }

    fn guard(&self, guard: &Guard) -> Result<Reading<bool>> {
        // What it looks at nobody knows, so it is only asked when nothing before it changes.
        match &self.ancestry.changes {
            Some(after) => Ok(Reading::Unknown { after: after.clone() }),
            None => self.base.guard(guard),
        }
    }

    fn check_supported(&self, op: &Op) -> Result<()> {
        self.base.check_supported(op)
    }

    fn check(&self, op: &Op) -> Result<Option<String>> {
        let Some(path) = op.path() else {
            return self.base.check(op);
        };
        if !self.is_as_it_was(path)? {
            return Ok(None);
        }
        // Its directory may have another owner by then.
        if let (Op::SetMeta { .. }, Some(above)) = (op, path.parent())
            && !self.is_as_it_was(above)?
            && let Reading::Known(Some(directory)) = self.entry(above)?
            && let Reading::Known(Some(file)) = self.entry(path)?
            && let FileType::File { .. } = file.file_type
        {
            place::check_owner(path, &directory.into(), &file.into(), &place::What::File { names: 1 })?;
        }
        self.base.check(op)
    }

    fn now(&self) -> jiff::Zoned {
        self.base.now()
    }
}

/// Without ancestors: what a node that is nothing but an overlay answers.
macro_rules! through_view {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl Probe for Overlay<'_> {
            $(fn $name(&self, $($arg: $type),*) -> Result<Reading<$answer>> {
                self.view(&Ancestry::default()).$name($($arg),*)
            })+

            fn check_supported(&self, op: &Op) -> Result<()> {
                self.base.check_supported(op)
            }

            fn check_reachable(&self, path: &Path) -> Result<()> {
                self.base.check_reachable(path)
            }

            fn transaction(&self, install: &[String], remove: &[String]) -> Result<Foretold> {
                self.view(&Ancestry::default()).transaction(install, remove)
            }

            fn now(&self) -> jiff::Zoned {
                self.base.now()
            }
        }
    };
}

through_view! {
    entry(path: &Path) -> Option<Entry>;
    contents(path: &Path) -> Option<Bytes>;
    list(path: &Path) -> Vec<OsString>;
    amount(directory: &Path) -> Amount;
    user(name: &str) -> Option<User>;
    group(name: &str) -> Option<Group>;
    users() -> Vec<User>;
    groups() -> Vec<Group>;
    package(name: &str) -> Option<Package>;
    leftover(name: &str) -> bool;
    unit(name: &UnitName) -> Option<Unit>;
    mounts() -> Arc<Vec<Mount>>;
    is_mount_point(path: &Path) -> bool;
    usage(mount_point: &Path) -> Usage;
    block(device: &DevicePath) -> Option<BlockDevice>;
    lvm() -> Arc<Lvm>;
    swaps() -> Arc<Vec<Swap>>;
    exports() -> Arc<Vec<Export>>;
    guard(guard: &Guard) -> bool;
}
