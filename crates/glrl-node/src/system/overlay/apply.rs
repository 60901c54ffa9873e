//! What operations make true, in the overlay.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use anyhow::{Context, Result};

use super::{Cover, Layer, Node, Planned, files::Found};
use crate::{
    system::{
        Active, BlockDevice, BoneKind, Bytes, Claim, Contents, Effect, Enablement, Entry, FileType, MARKER, Meta,
        Mount, MoveData, Op, Package, Probe, Reading, Stray, Swap, Unit, UnitVerb,
    },
    value::{DevicePath, Id, Mode, Owner, UnitName},
};

/// One operation of one author on the layer.
pub(super) struct Applying<'l> {
    pub(super) base: &'l dyn Probe,
    pub(super) layer: &'l mut Layer,
    pub(super) author: &'l Id,
}

impl Layer {
    /// A block device, by any of its names.
    pub(super) fn block(&self, base: &dyn Probe, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        if let Some(block) = self.blocks.get(&**device) {
            return Ok(match block {
                Planned::Known(block) => Reading::Known(Some(block.clone())),
                Planned::Unknown(after) => Reading::Unknown { after: after.clone() },
            });
        }
        if let Some(block) = self.named_by_what_is_on_it(device) {
            return Ok(Reading::Known(Some(block.clone())));
        }
        let answer = base.block(device)?;
        if let Reading::Known(Some(block)) = &answer {
            match self.blocks.get(&block.path) {
                Some(Planned::Known(block)) => return Ok(Reading::Known(Some(block.clone()))),
                Some(Planned::Unknown(after)) => return Ok(Reading::Unknown { after: after.clone() }),
                None => {}
            }
        }
        Ok(answer)
    }
}

impl Layer {
    /// The planned device whose filesystem gives it this name: udev makes the link once there is one.
    fn named_by_what_is_on_it(&self, device: &DevicePath) -> Option<&BlockDevice> {
        let is_by = ["uuid", "label"]
            .iter()
            .any(|by| device.starts_with(format!("/dev/disk/by-{by}")));
        let blocks = self.blocks.values().filter_map(|block| match block {
            Planned::Known(block) => Some(block),
            Planned::Unknown(_) => None,
        });
        blocks.filter(|_| is_by).find(|block| match &block.contents {
            Contents::Known(signature) => signature.names().contains(device),
            _ => false,
        })
    }
}

impl Applying<'_> {
    pub(super) fn op(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::WriteFile {
                path, contents, meta, ..
            } => {
                let file_type = FileType::File {
                    size: contents.len() as u64,
                };
                self.put(path, file_type, Mode::FILE, meta, Some(Arc::clone(contents)))?;
            }
            Op::MakeDirectory { path, meta } => self.put(path, FileType::Directory, Mode::DIRECTORY, meta, None)?,
            Op::MakeLink { path, target } => self.make_link(path, target)?,
            Op::MakeHome { path, meta, skeleton } => {
                self.put(path, FileType::Directory, Mode::DIRECTORY, meta, None)?;
                for bone in skeleton {
                    let at = path.join(&bone.name);
                    let meta = Meta {
                        mode: Some(bone.mode),
                        ..meta.clone()
                    };
                    match &bone.kind {
                        BoneKind::Directory => self.put(&at, FileType::Directory, Mode::DIRECTORY, &meta, None)?,
                        BoneKind::Link(target) => self.make_link(&at, target)?,
                        BoneKind::File(contents) => {
                            let size = contents.len() as u64;
                            self.put(
                                &at,
                                FileType::File { size },
                                Mode::FILE,
                                &meta,
                                Some(Arc::clone(contents)),
                            )?;
                        }
                    }
                }
            }
            Op::SetMeta { path, meta } => self.set_meta(path, meta)?,
            Op::Remove { path } => self.remove(path)?,
            Op::Purge { directory, strays } => self.purge(directory, strays)?,
            Op::Unit { name, verb } => self.unit(name, *verb)?,
            Op::Install { packages } => {
                self.layer.installs = Some(self.author.clone());
                for package in packages {
                    let (name, version) = package.split_once('=').unwrap_or((package, ""));
                    let package = Package {
                        version: version.to_owned(),
                        hold: false,
                        configured: true,
                    };
                    self.layer
                        .packages
                        .insert(name.to_owned(), Planned::Known(Some(package)));
                }
            }
            Op::Uninstall { packages, .. } => {
                for name in packages {
                    self.layer.packages.insert(name.clone(), Planned::Known(None));
                }
            }
            Op::Crontab { user, table } => {
                let file_type = FileType::File {
                    size: table.len() as u64,
                };
                let meta = crate::system::crontab::meta(user);
                self.put(
                    &crate::system::crontab::path(user),
                    file_type,
                    Mode::FILE,
                    &meta,
                    Some(Arc::clone(table)),
                )?;
            }
            Op::MoveData(moved) => self.move_data(moved)?,
            Op::FinishMove { path, start } => {
                for unit in start {
                    self.unit(unit, UnitVerb::Start)?;
                }
                self.remove(&path.join(MARKER))?;
            }
            Op::Run(command) => {
                for effect in &command.makes {
                    self.effect(effect)?;
                }
            }
        }
        Ok(())
    }

    /// Marks what these claims speak of as decided by the author.
    pub(super) fn mark_unknown(&mut self, claims: &[Claim]) -> Result<()> {
        let unknown = || Planned::Unknown(self.author.clone());
        for claim in claims {
            match claim {
                Claim::Path(path) | Claim::Made(path) | Claim::Part(path) => {
                    self.insert(path, Planned::Unknown(self.author.clone()))?;
                }
                Claim::Mounted(path) => self.cover(path, Cover::Unread(self.author.clone()))?,
                Claim::Device(device) | Claim::Filesystem(device) => {
                    self.layer
                        .blocks
                        .insert(device.to_path_buf(), Planned::Unknown(self.author.clone()));
                }
                Claim::Unit(name) => drop(self.layer.units.insert(name.clone(), unknown())),
                Claim::User(name) => drop(
                    self.layer
                        .users
                        .insert(name.clone(), Planned::Unknown(self.author.clone())),
                ),
                Claim::Group(name) => drop(
                    self.layer
                        .groups
                        .insert(name.clone(), Planned::Unknown(self.author.clone())),
                ),
                Claim::Package(name) => {
                    self.layer
                        .packages
                        .insert(name.clone(), Planned::Unknown(self.author.clone()));
                }
                // Whoever needs the group needs its author, and is unknown with it by its own reading of the device; and who provides
                // all that a file holds, or its absence, provides the file.
                Claim::VolumeGroup(_) | Claim::ThinPool(_) | Claim::Whole(_) | Claim::Absent(_) | Claim::Number(_) => {}
            }
        }
        Ok(())
    }

    fn make_link(&mut self, path: &Path, target: &Path) -> Result<()> {
        let target = target.to_owned();
        self.put(path, FileType::Link { target }, Mode::of(0o777), &Meta::default(), None)
    }

    fn put(
        &mut self,
        path: &Path,
        file_type: FileType,
        mode: Mode,
        meta: &Meta,
        contents: Option<Bytes>,
    ) -> Result<()> {
        // Only a file that replaces a file takes over what is not said.
        let is_file = |file_type: &FileType| matches!(file_type, FileType::File { .. });
        let before = match self.layer.entry(self.base, path)? {
            Reading::Known(before) if is_file(&file_type) => before.filter(|entry| is_file(&entry.file_type)),
            _ => None,
        };
        let group = match (&meta.group, &before) {
            (None, None) => self.inherited_group(path)?,
            _ => self.group(meta, before.as_ref())?,
        };
        let entry = Entry {
            file_type,
            mode: meta.mode.or(before.as_ref().map(|entry| entry.mode)).unwrap_or(mode),
            owner: self.owner(meta, before.as_ref())?,
            group,
        };
        let node = Node {
            entry,
            contents: Planned::Known(contents),
            fresh: true,
        };
        self.insert(path, Planned::Known(Some(node)))
    }

    /// The group that something new gets of the kernel: root's, or that of a directory with the setgid bit (mkdir(2)).
    fn inherited_group(&self, path: &Path) -> Result<Owner> {
        let place = self.layer.place(self.base, path)?;
        let parent = place
            .parent()
            .map(|parent| self.layer.entry(self.base, parent))
            .transpose()?;
        Ok(match parent {
            Some(Reading::Known(Some(parent))) if parent.mode.bits() & 0o2000 != 0 => parent.group,
            _ => Owner::ROOT,
        })
    }

    fn set_meta(&mut self, path: &Path, meta: &Meta) -> Result<()> {
        let Reading::Known(Some(mut entry)) = self.layer.entry(self.base, path)? else {
            return Ok(());
        };
        entry.owner = self.owner(meta, Some(&entry))?;
        entry.group = self.group(meta, Some(&entry))?;
        entry.mode = meta.mode.unwrap_or(entry.mode);
        let (contents, fresh) = match self.layer.find(&self.layer.place(self.base, path)?) {
            Found::Node(node) => (node.contents.clone(), node.fresh),
            Found::Root => (Planned::Known(None), true),
            Found::Absent | Found::Unknown(_) | Found::Base => (Planned::Known(None), false),
        };
        self.insert(path, Planned::Known(Some(Node { entry, contents, fresh })))
    }

    fn remove(&mut self, path: &Path) -> Result<()> {
        let place = self.layer.place(self.base, path)?;
        self.forget_below(&place);
        self.insert(&place, Planned::Known(None))
    }

    /// Removes all strays at once: there may be very many.
    fn purge(&mut self, directory: &Path, strays: &[Stray]) -> Result<()> {
        let going: HashSet<&Path> = strays.iter().map(|stray| &*stray.path).collect();
        let place = self.layer.directory(self.base, directory)?;
        let goes_with_it = |stray: &Stray| stray.path.parent().is_some_and(|above| going.contains(above));
        let tops = strays.iter().filter(|stray| !goes_with_it(stray));
        let gone: HashSet<PathBuf> = tops.map(|stray| place.join(&stray.path)).collect();
        self.layer
            .files
            .retain(|file, _| !file.ancestors().any(|above| gone.contains(above)));
        self.forget_places();
        let absent = |path| (path, Planned::Known(None));
        self.layer.files.extend(gone.into_iter().map(absent));
        Ok(())
    }

    /// Puts something at a path; where it is a link, or one goes, directories may have other places now. Nothing takes the place of one.
    fn insert(&mut self, path: &Path, node: Planned<Option<Node>>) -> Result<()> {
        let place = self.layer.place(self.base, path)?;
        if !matches!(
            &node,
            Planned::Known(Some(Node {
                entry: Entry {
                    file_type: FileType::File { .. } | FileType::Directory,
                    ..
                },
                ..
            }))
        ) {
            self.forget_places();
        }
        self.layer.files.insert(place, node);
        Ok(())
    }

    fn forget_places(&mut self) {
        self.layer
            .places
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn forget_below(&mut self, path: &Path) {
        self.layer
            .files
            .retain(|file, _| file == path || !file.starts_with(path));
    }

    /// A name stays a name only while its number is not known.
    fn owner(&self, meta: &Meta, before: Option<&Entry>) -> Result<Owner> {
        let Some(owner) = &meta.owner else {
            return Ok(before.map_or(Owner::ROOT, |entry| entry.owner.clone()));
        };
        let Owner::Name(name) = owner else {
            return Ok(owner.clone());
        };
        let user = match self.layer.users.get(name) {
            Some(Planned::Known(user)) => user.clone(),
            Some(Planned::Unknown(_)) => None,
            None => match self.base.user(name)? {
                Reading::Known(user) => user,
                Reading::Unknown { .. } => None,
            },
        };
        Ok(user.and_then(|user| user.uid).map_or_else(|| owner.clone(), Owner::Id))
    }

    fn group(&self, meta: &Meta, before: Option<&Entry>) -> Result<Owner> {
        let Some(group) = &meta.group else {
            return Ok(before.map_or(Owner::ROOT, |entry| entry.group.clone()));
        };
        let Owner::Name(name) = group else {
            return Ok(group.clone());
        };
        let known = match self.layer.groups.get(name) {
            Some(Planned::Known(group)) => group.clone(),
            Some(Planned::Unknown(_)) => None,
            None => match self.base.group(name)? {
                Reading::Known(group) => group,
                Reading::Unknown { .. } => None,
            },
        };
        Ok(known
            .and_then(|known| known.gid)
            .map_or_else(|| group.clone(), Owner::Id))
    }

    fn unit(&mut self, name: &UnitName, verb: UnitVerb) -> Result<()> {
        let unit = match self.layer.units.get(name) {
            Some(Planned::Known(unit)) => unit.clone(),
            Some(Planned::Unknown(_)) => return Ok(()),
            None => match self.base.unit(name)? {
                Reading::Known(unit) => unit,
                Reading::Unknown { .. } => return Ok(()),
            },
        };
        // One that only a planned unit file brings.
        let mut unit = unit.unwrap_or(Unit {
            active: Active::Inactive,
            enablement: Enablement::Disabled,
            ends: false,
        });
        match verb {
            UnitVerb::Start | UnitVerb::Restart => unit.active = Active::Active,
            UnitVerb::Stop => unit.active = Active::Inactive,
            UnitVerb::Enable => unit.enablement = Enablement::Enabled,
            UnitVerb::Disable | UnitVerb::Unmask => unit.enablement = Enablement::Disabled,
            UnitVerb::Mask => unit.enablement = Enablement::Masked,
            UnitVerb::Reload | UnitVerb::DaemonReload => {}
        }
        self.layer.units.insert(name.clone(), Planned::Known(Some(unit)));
        Ok(())
    }

    fn effect(&mut self, effect: &Effect) -> Result<()> {
        match effect {
            Effect::Entry(path, None) => self.remove(path)?,
            Effect::Entry(path, Some(entry)) => {
                let contents = match entry.file_type {
                    FileType::File { .. } => Planned::Unknown(self.author.clone()),
                    _ => Planned::Known(None),
                };
                let node = Node {
                    entry: entry.clone(),
                    contents,
                    fresh: true,
                };
                self.insert(path, Planned::Known(Some(node)))?;
            }
            Effect::Unsure(path) => self.insert(path, Planned::Unknown(self.author.clone()))?,
            Effect::User(name, user) => drop(self.layer.users.insert(name.clone(), Planned::Known(user.clone()))),
            Effect::Group(name, group) => drop(self.layer.groups.insert(name.clone(), Planned::Known(group.clone()))),
            Effect::Package(name, package) => {
                self.layer
                    .packages
                    .insert(name.clone(), Planned::Known(package.clone()));
            }
            Effect::Unit(name, unit) => drop(self.layer.units.insert(name.clone(), Planned::Known(unit.clone()))),
            Effect::Contents(device, contents) => {
                let path = self.change_block(device, |block| block.contents = contents.clone())?;
                self.layer.made.extend(path);
            }
            Effect::PhysicalVolume {
                device,
                volume_group,
                extent_size,
                extents,
            } => {
                self.physical_volume(device, volume_group, *extent_size, *extents)?;
            }
            Effect::LogicalVolume {
                volume_group,
                name,
                size,
                layout,
                takes,
            } => self.logical_volume(volume_group, name, *size, layout, *takes)?,
            Effect::Mounted(mount) => self.mounted(mount)?,
            Effect::Unmounted(target) => self.unmounted(target)?,
            Effect::Grown(device) => {
                self.change_block(device, |block| {
                    if let Contents::Known(signature) = &mut block.contents {
                        signature.geometry = None;
                    }
                })?;
            }
            Effect::Swap(path, swap) => {
                let swaps = self.swaps()?;
                swaps.retain(|known| known.path != *path);
                swaps.extend(swap.clone());
            }
            Effect::Anything => {}
            Effect::Exported(exports) => self.layer.exports = Some(Arc::new(exports.clone())),
        }
        Ok(())
    }

    /// Changes what is known of a device and returns the kernel's path of it; nothing where it cannot be known.
    pub(super) fn change_block(
        &mut self,
        device: &DevicePath,
        change: impl FnOnce(&mut BlockDevice),
    ) -> Result<Option<PathBuf>> {
        let Reading::Known(Some(mut block)) = self.layer.block(self.base, device)? else {
            return Ok(None);
        };
        change(&mut block);
        let path = block.path.clone();
        self.layer.blocks.insert(path.clone(), Planned::Known(block));
        Ok(Some(path))
    }

    fn move_data(&mut self, moved: &MoveData) -> Result<()> {
        for unit in &moved.stop {
            self.unit(unit, UnitVerb::Stop)?;
        }
        if let Reading::Known(Some(block)) = self.layer.block(self.base, &moved.device)? {
            self.layer.moved.insert(block.path, moved.from.to_path_buf());
        }
        Ok(())
    }

    /// Whether a mount shows what its mount point has held before.
    fn shows_the_same(&self, mount: &Mount) -> Result<bool> {
        let Ok(device) = mount.source.parse::<DevicePath>() else {
            return Ok(false);
        };
        let Reading::Known(Some(block)) = self.layer.block(self.base, &device)? else {
            return Ok(false);
        };
        Ok(self.layer.moved.get(&block.path) == Some(&mount.target))
    }

    /// Whether the plan makes the filesystem that a mount mounts, so that it is known to hold nothing.
    fn made(&self, mount: &Mount) -> Result<bool> {
        let Ok(device) = mount.source.parse::<DevicePath>() else {
            return Ok(false);
        };
        let Reading::Known(Some(block)) = self.layer.block(self.base, &device)? else {
            return Ok(false);
        };
        Ok(self.layer.made.contains(&block.path))
    }

    fn swaps(&mut self) -> Result<&mut Vec<Swap>> {
        if self.layer.swaps.is_none() {
            let Reading::Known(swaps) = self.base.swaps()? else {
                anyhow::bail!("the base of an overlay knows no swap")
            };
            self.layer.swaps = Some(swaps);
        }
        Ok(Arc::make_mut(self.layer.swaps.as_mut().context("just set")?))
    }

    fn mounts(&mut self) -> Result<&mut Vec<Mount>> {
        if self.layer.mounts.is_none() {
            let Reading::Known(mounts) = self.base.mounts()? else {
                anyhow::bail!("the base of an overlay knows no mounts")
            };
            self.layer.mounts = Some(mounts);
        }
        Ok(Arc::make_mut(self.layer.mounts.as_mut().context("just set")?))
    }

    fn mounted(&mut self, mount: &Mount) -> Result<()> {
        // One that is mounted already may have got something since.
        let empty = self.made(mount)? && !self.mounts()?.iter().any(|known| known.source == mount.source);
        let again = self.mounts()?.iter().any(|known| known.target == mount.target);
        let mounts = self.mounts()?;
        // A remount keeps its place in the order.
        match mounts.iter().rposition(|known| known.target == mount.target) {
            Some(place) if mounts[place].root == mount.root && mounts[place].source == mount.source => {
                mounts[place] = mount.clone();
            }
            _ => {
                mounts.retain(|known| known.target != mount.target);
                mounts.push(mount.clone());
            }
        }
        if again || self.shows_the_same(mount)? {
            return Ok(());
        }
        let cover = if empty {
            Cover::Empty
        } else {
            Cover::Unread(self.author.clone())
        };
        self.cover(&mount.target, cover)
    }

    fn unmounted(&mut self, target: &Path) -> Result<()> {
        self.mounts()?.retain(|known| known.target != *target);
        self.cover(target, Cover::Unread(self.author.clone()))
    }

    /// Puts a filesystem in front of what is at and below a path. A mount point is no link, and need not be looked at: its server may be gone.
    fn cover(&mut self, target: &Path, cover: Cover) -> Result<()> {
        let place = self.layer.place(self.base, target)?;
        self.forget_below(&place);
        self.forget_places();
        self.layer.files.remove(&place);
        self.layer.covers.push((place, cover));
        Ok(())
    }
}
