//! `volume_group`: physical volumes and the LVM volume group that they make up.

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role, snapshots, truncation, wipe};
use crate::{
    system::{
        BlockDevice, Claim, Command, Effect, Lvm, Op, PhysicalVolume, Probe, Reading, Refused, VolumeGroup as Group,
        known,
    },
    value::{DevicePath, GroupName, Size, VolumeSize},
};

/// An LVM volume group and its physical volumes. A missing device is added if it is proven to be empty, a disk that has grown is
/// made use of, and nothing is ever taken out of the group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeGroup {
    /// Its name.
    name: GroupName,
    /// The disks or partitions that it is to have, best named by /dev/disk/by-id/.
    devices: Vec<DevicePath>,
    /// Bytes of an extent, a power of two; counts when the group is made. 4 MiB if it is not given.
    extent_size: Option<Size>,
    /// How much of the group its volumes are to leave for snapshots, those that are there included: bytes, or a share of the group
    /// (%VG). A volume that would leave less is neither made nor grown; where that is so already, it is warned of.
    snapshot_reserve: Option<VolumeSize>,
    /// Consent to destroy what is on a device that joins the group.
    wipe: Option<wipe::Wipe>,
}

/// Where the data of a new physical volume begins; glrl asks LVM for exactly that, so that it knows how many extents there will be.
const DATA_START: u64 = 1 << 20;

/// What LVM takes if nothing is said (`vgcreate(8)`).
const EXTENT_SIZE: Size = Size::mib(4);

/// The group as it is, and what the devices are now.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    group: Option<Group>,
    /// All physical volumes of the group.
    members: Vec<PhysicalVolume>,
    /// The declared devices, in order; `None` where there is no such device.
    devices: Vec<Option<Device>>,
}

#[derive(Debug, PartialEq)]
struct Device {
    block: BlockDevice,
    volume: Option<PhysicalVolume>,
}

impl VolumeGroup {
    pub(super) const EXAMPLE: &str = "name: mysql\ndevices: [/dev/disk/by-id/virtio-data]\n";

    fn extent_size(&self) -> u64 {
        self.extent_size.unwrap_or(EXTENT_SIZE).get()
    }

    /// The operation that makes this device a member with so many extents.
    fn effect(&self, device: &DevicePath, extent_size: u64, extents: u64) -> Effect {
        Effect::PhysicalVolume {
            device: device.clone(),
            volume_group: self.name.to_string(),
            extent_size,
            extents,
        }
    }

    /// What of this device would go to waste or be destroyed if it joined, and how many extents it would bring.
    fn joins(&self, path: &DevicePath, device: &Device, extent_size: u64, plan: &mut Plan) -> Result<u64> {
        let room = match &device.volume {
            Some(PhysicalVolume {
                volume_group: Some(other),
                ..
            }) => {
                return Err(Refused::because(
                    format!("{path} belongs to the volume group {other}"),
                    format!(
                        "declare another device for {}, or take this one out of {other} (vgreduce)",
                        self.name
                    ),
                ));
            }
            // A physical volume without a group holds nothing: what a killed vgcreate leaves.
            Some(volume) => volume.room,
            None => {
                plan.ops.extend(wipe::clear(path, &device.block, self.wipe.as_ref())?);
                device.block.size.saturating_sub(DATA_START)
            }
        };
        match room / extent_size {
            0 => Err(Refused::because(
                format!("{path} is too small for an extent of {}", Size::bytes(extent_size)),
                "declare a larger device, or a smaller `extent_size`",
            )),
            extents => Ok(extents),
        }
    }
}

impl Provider for VolumeGroup {
    type State = State;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.devices.is_empty() {
            return Err(PropertyError::of("devices", "a volume group needs at least one device"));
        }
        let extent = self.extent_size();
        if !extent.is_power_of_two() || extent < 1 << 10 {
            return Err(PropertyError::of(
                "extent_size",
                format!("{} is not a power of two of at least 1KiB", Size::bytes(extent)),
            ));
        }
        if let Some(reserve @ VolumeSize::OfFree(_)) = self.snapshot_reserve {
            return Err(PropertyError::of(
                "snapshot_reserve",
                format!("{reserve} is no share of the group: write 2GiB or 20%VG"),
            ));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let lvm = known!(node.lvm()?);
        let of_group = |volume: &&PhysicalVolume| volume.volume_group.as_deref() == Some(self.name.as_str());
        let mut devices = Vec::new();
        for device in &self.devices {
            devices.push(known!(node.block(device)?).map(|block| {
                Device {
                    volume: lvm
                        .physical_volumes
                        .iter()
                        .find(|volume| volume.device == block.path)
                        .cloned(),
                    block,
                }
            }));
        }
        Ok(Reading::Known(State {
            group: lvm.volume_group(self.name.as_str()).cloned(),
            members: lvm.physical_volumes.iter().filter(of_group).cloned().collect(),
            devices,
        }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        let mut devices: Vec<(&DevicePath, &Device)> = Vec::new();
        for (path, device) in self.devices.iter().zip(&current.devices) {
            let device = device
                .as_ref()
                .with_context(|| format!("there is no device {path}: is the disk attached, and is that its name?"))?;
            if let Some((other, _)) = devices.iter().find(|(_, other)| other.block.path == device.block.path) {
                bail!("{other} and {path} are the same device: declare it once");
            }
            devices.push((path, device));
        }
        match &current.group {
            None => self.create(&devices),
            Some(group) => self.update(group, &current.members, &devices),
        }
    }

    fn final_warnings(&self, node: &dyn Probe) -> Result<Reading<Vec<String>>> {
        let Some(reserve) = self.snapshot_reserve else {
            return Ok(Reading::Known(Vec::new()));
        };
        let lvm = known!(node.lvm()?);
        let short = lvm
            .volume_group(self.name.as_str())
            .and_then(|group| self.is_short_of(reserve, group, &lvm));
        Ok(Reading::Known(short.into_iter().collect()))
    }

    fn reserve(&self) -> Option<(&GroupName, VolumeSize)> {
        Some((&self.name, self.snapshot_reserve?))
    }

    fn provides(&self) -> Vec<Claim> {
        vec![Claim::VolumeGroup(self.name.to_string())]
    }

    fn requires(&self) -> Vec<Claim> {
        self.devices.iter().cloned().map(Claim::Device).collect()
    }
}

impl VolumeGroup {
    /// What is missing of the room for snapshots, in words. What snapshots have already is used as it is meant.
    fn is_short_of(&self, reserve: VolumeSize, group: &Group, lvm: &Lvm) -> Option<String> {
        let (left, wanted) = snapshots::room(reserve, group, lvm);
        (left < wanted).then(|| {
            format!(
                "{} has {} for snapshots, less than the {} that it is to leave ({reserve}): give it another device, or its volumes less",
                self.name,
                Size::bytes(left),
                Size::bytes(wanted)
            )
        })
    }

    fn create(&self, devices: &[(&DevicePath, &Device)]) -> Result<Plan> {
        let extent_size = self.extent_size();
        let mut plan = Plan::to(Action::Create);
        let mut effects = Vec::new();
        let mut all = 0;
        for (path, device) in devices {
            let extents = self.joins(path, device, extent_size, &mut plan)?;
            effects.push(self.effect(path, extent_size, extents));
            all += extents;
        }
        let size = format!("{extent_size}b");
        // It makes physical volumes of the devices by itself, and asks before it would destroy a signature; nobody answers.
        let mut argv = vec![
            "vgcreate",
            "--dataalignment",
            "1m",
            "--physicalextentsize",
            &size,
            self.name.as_str(),
        ];
        argv.extend(devices.iter().map(|(path, _)| path.as_str()));
        Ok(plan
            .change(Change::new("devices", list(devices.iter().map(|(path, _)| *path))))
            .change(Change::new("size", Size::bytes(all * extent_size)))
            .op(Op::Run(Command::new(argv).makes(effects))))
    }

    fn update(&self, group: &Group, members: &[PhysicalVolume], devices: &[(&DevicePath, &Device)]) -> Result<Plan> {
        let extent_size = group.extent_size;
        let mut plan = Plan::to(Action::Update);
        if let Some(wanted) = self.extent_size.filter(|wanted| wanted.get() != extent_size) {
            plan = plan.warn(format!(
                "{} has extents of {}, not {wanted}: their size counts only when a group is made",
                self.name,
                Size::bytes(extent_size)
            ));
        }
        for member in members {
            match devices.iter().find(|(_, device)| device.block.path == member.device) {
                Some((path, _)) => truncation::member_must_not_be(path, member, group)?,
                None => truncation::member_must_not_be(&member.device.display(), member, group)?,
            }
            if member.missing {
                plan = plan.warn(format!(
                    "a physical volume of {} is missing: {}",
                    self.name,
                    member.device.display()
                ));
            } else if !devices.iter().any(|(_, device)| device.block.path == member.device) {
                plan = plan.warn(format!(
                    "{} has a physical volume that is not declared, and keeps it: {}",
                    self.name,
                    member.device.display()
                ));
            }
        }
        let mut more = 0;
        let mut joining = Vec::new();
        for (path, device) in devices {
            if let Some(member) = members.iter().find(|member| member.device == device.block.path) {
                let (now, possible) = (member.size / extent_size, member.room / extent_size);
                if possible > now {
                    let resize = Command::new(["pvresize", path.as_str()]);
                    plan = plan
                        .change(Change::of(
                            format!("size of {path}"),
                            Size::bytes(now * extent_size),
                            Size::bytes(possible * extent_size),
                        ))
                        .op(Op::Run(resize.makes([self.effect(path, extent_size, possible)])));
                    more += possible - now;
                }
            } else {
                let extents = self.joins(path, device, extent_size, &mut plan)?;
                joining.push((*path, extents));
                more += extents;
            }
        }
        if !joining.is_empty() {
            let mut argv = vec!["vgextend", "--dataalignment", "1m", self.name.as_str()];
            argv.extend(joining.iter().map(|(path, _)| path.as_str()));
            let effects = joining
                .iter()
                .map(|(path, extents)| self.effect(path, extent_size, *extents));
            let before: Vec<_> = devices
                .iter()
                .map(|(path, _)| *path)
                .filter(|path| !joining.iter().any(|(new, _)| new == path))
                .collect();
            plan = plan
                .change(Change::of(
                    "devices",
                    list(before.into_iter()),
                    list(devices.iter().map(|(path, _)| *path)),
                ))
                .op(Op::Run(Command::new(argv).makes(effects)));
        }
        if plan.is_empty() {
            plan.action = Action::None;
        } else {
            truncation::must_be_whole(self.name.as_str(), members.iter())?;
            plan = plan.change(Change::of(
                "size",
                Size::bytes(group.extents * extent_size),
                Size::bytes((group.extents + more) * extent_size),
            ));
        }
        Ok(plan)
    }
}

fn list<'a>(devices: impl Iterator<Item = &'a DevicePath>) -> String {
    devices.map(DevicePath::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Layout, LogicalVolume};

    /// While a backup runs its snapshot has the room that it was given.
    #[test]
    fn what_a_snapshot_has_is_not_missing() {
        let group = Group {
            name: "data".to_owned(),
            extent_size: 4 << 20,
            extents: 100,
            free_extents: 5,
        };
        let volume = |name: &str, origin: Option<&str>, layout: Layout| LogicalVolume {
            volume_group: "data".to_owned(),
            name: name.to_owned(),
            size: 60 << 20,
            attributes: String::new(),
            origin: origin.map(str::to_owned),
            layout,
            tags: Vec::new(),
        };
        let declared = VolumeGroup {
            name: "data".parse().unwrap(),
            devices: Vec::new(),
            extent_size: None,
            snapshot_reserve: None,
            wipe: None,
        };
        let short = |logical_volumes: Vec<LogicalVolume>| {
            let lvm = Lvm {
                logical_volumes,
                ..Lvm::default()
            };
            declared.is_short_of(VolumeSize::OfGroup(20), &group, &lvm).is_some()
        };
        assert!(short(vec![volume("a", None, Layout::Linear)]));
        assert!(!short(vec![
            volume("a", None, Layout::Linear),
            volume("s", Some("a"), Layout::Other("a snapshot"))
        ]));
        assert!(
            short(vec![volume(
                "t",
                Some("a"),
                Layout::Thin {
                    pool: "pool".to_owned()
                }
            )]),
            "a thin snapshot has nothing of the group"
        );
    }
}
