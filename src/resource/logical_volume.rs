//! `logical_volume`: a plain logical volume of LVM. It grows, and never shrinks.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role};
use crate::{
    system::{Command, Effect, Fact, LogicalVolume as Volume, Op, Probe, Reading, Refused, VolumeGroup, known},
    value::{DevicePath, GroupName, Size, VolumeName, VolumeSize},
};

/// A logical volume of LVM. Its device is /dev/GROUP/NAME.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogicalVolume {
    /// Its name.
    name: VolumeName,
    /// The volume group it is a part of.
    volume_group: GroupName,
    /// The least it is to have: bytes, rounded up to extents; a share of its group (%VG), which grows with the group; or a share of
    /// what is free when it is made (%FREE). A larger volume is left as it is.
    size: VolumeSize,
    /// Whether `size`, rounded up to extents, is also the most it may have: a larger volume is then refused, since glrl never
    /// shrinks one. Not with %FREE, which counts only once.
    #[serde(default)]
    exact: bool,
}

/// Its group and itself, as they are.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    group: Option<VolumeGroup>,
    volume: Option<Volume>,
    /// Names of its snapshots.
    snapshots: Vec<String>,
}

impl LogicalVolume {
    pub(super) const EXAMPLE: &str = "name: data\nvolume_group: mysql\nsize: 80%VG\n";

    fn device(&self) -> DevicePath {
        DevicePath::of_volume(self.volume_group.as_str(), self.name.as_str())
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.volume_group, self.name)
    }

    /// So many extents it has to have; `now` are those it has.
    fn wanted(&self, group: &VolumeGroup, now: Option<u64>) -> u64 {
        match (self.size, now) {
            (VolumeSize::Bytes(size), _) => size.get().div_ceil(group.extent_size),
            (VolumeSize::OfGroup(percent), _) => VolumeSize::share(group.extents, percent),
            (VolumeSize::OfFree(_), Some(now)) => now,
            (VolumeSize::OfFree(percent), None) => VolumeSize::share(group.free_extents, percent),
        }
    }

    fn makes(&self, size: u64) -> Effect {
        Effect::LogicalVolume {
            volume_group: self.volume_group.to_string(),
            name: self.name.to_string(),
            size,
        }
    }

    fn must_have_room(&self, group: &VolumeGroup, extents: u64) -> Result<()> {
        if extents > group.free_extents {
            bail!(
                "{} needs {} more, but {} has only {} free: give the group another device, or the volume a smaller size",
                self.full_name(),
                Size::bytes(extents * group.extent_size),
                self.volume_group,
                Size::bytes(group.free_extents * group.extent_size)
            );
        }
        Ok(())
    }
}

impl Provider for LogicalVolume {
    type State = State;

    fn name(&self) -> String {
        self.full_name()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.exact && matches!(self.size, VolumeSize::OfFree(_)) {
            return Err(PropertyError::of(
                "exact",
                format!("{} counts only when the volume is made: give bytes or %VG, or leave out `exact`", self.size),
            ));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let lvm = known!(node.lvm()?);
        let (group, name) = (self.volume_group.as_str(), self.name.as_str());
        let snapshot = |volume: &&Volume| volume.volume_group == group && volume.origin.as_deref() == Some(name);
        Ok(Reading::Known(State {
            group: lvm.volume_group(group).cloned(),
            volume: lvm.logical_volume(group, name).cloned(),
            snapshots: lvm.logical_volumes.iter().filter(snapshot).map(|volume| volume.name.clone()).collect(),
        }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        let Some(group) = &current.group else {
            bail!("there is no volume group {}: declare volume_group:{0}", self.volume_group);
        };
        match &current.volume {
            None => self.create(group),
            Some(volume) => self.update(group, volume, &current.snapshots),
        }
    }

    fn provides(&self) -> Vec<Fact> {
        vec![Fact::Device(self.device())]
    }

    fn requires(&self) -> Vec<Fact> {
        vec![Fact::VolumeGroup(self.volume_group.to_string())]
    }
}

impl LogicalVolume {
    fn create(&self, group: &VolumeGroup) -> Result<Plan> {
        let extents = self.wanted(group, None);
        if extents == 0 {
            bail!("{} of {} is less than one extent", self.size, self.volume_group);
        }
        self.must_have_room(group, extents)?;
        let size = extents * group.extent_size;
        let count = extents.to_string();
        // No --yes: where the free extents still carry an old filesystem, lvcreate asks, nobody answers, and it fails without having
        // written anything. See docs/decisions.
        let make = Command::new([
            "lvcreate",
            "--wipesignatures",
            "y",
            "--zero",
            "y",
            "--extents",
            &count,
            "--name",
            self.name.as_str(),
            self.volume_group.as_str(),
        ]);
        Ok(Plan::to(Action::Create)
            .change(Change::new("size", Size::bytes(size)))
            .op(Op::Run(make.makes([self.makes(size)]))))
    }

    fn update(&self, group: &VolumeGroup, volume: &Volume, snapshots: &[String]) -> Result<Plan> {
        if let Some(what) = special(volume) {
            bail!("{} is {what}, not a plain logical volume: give the declared one another name", self.full_name());
        }
        let now = volume.size / group.extent_size;
        let wanted = self.wanted(group, Some(now));
        if self.exact && wanted < now {
            return Err(Refused::because(
                format!(
                    "{} has {}, more than the {} that it is to have exactly",
                    self.full_name(),
                    Size::bytes(volume.size),
                    Size::bytes(wanted * group.extent_size)
                ),
                "glrl never shrinks a volume: declare the size it has, or leave out `exact`, which makes the size the least it is to have",
            ));
        }
        let mut plan = Plan::to(Action::Update);
        // The fifth of its attributes says whether it is active (lvs(8)); one that is planned has none.
        if volume.attributes.as_bytes().get(4) == Some(&b'-') {
            let activate = Command::new(["lvchange", "--activate", "y", &self.full_name()]);
            plan = plan
                .change(Change::of("active", "no", "yes"))
                .op(Op::Run(activate.makes([self.makes(volume.size)])));
        }
        if wanted > now {
            self.must_have_room(group, wanted - now)?;
            if !snapshots.is_empty() {
                bail!(
                    "{} cannot grow while it has a snapshot ({}): run again when the backup that made it is done",
                    self.full_name(),
                    snapshots.join(", ")
                );
            }
            let size = wanted * group.extent_size;
            let extend = Command::new(["lvextend", "--extents", &wanted.to_string(), &self.full_name()]);
            plan = plan
                .change(Change::of("size", Size::bytes(volume.size), Size::bytes(size)))
                .op(Op::Run(extend.makes([self.makes(size)])));
        } else if wanted < now {
            plan = plan.warn(format!(
                "{} has {}, more than the declared {}: glrl never shrinks a volume",
                self.full_name(),
                Size::bytes(volume.size),
                self.size
            ));
        }
        if plan.is_empty() {
            plan.action = Action::None;
        }
        Ok(plan)
    }
}

/// What a volume is, if it is none that glrl makes or grows: the first of its attributes (lvs(8)).
fn special(volume: &Volume) -> Option<&'static str> {
    Some(match volume.attributes.as_bytes().first()? {
        b's' | b'S' => "a snapshot",
        b't' => "a thin pool",
        b'T' | b'D' | b'e' | b'i' | b'I' | b'l' => "an internal volume of LVM",
        b'V' => "a thin volume",
        b'C' => "a cache",
        b'v' | b'p' | b'c' => "a volume under conversion",
        b'd' => "a VDO pool",
        _ => return None,
    })
}
