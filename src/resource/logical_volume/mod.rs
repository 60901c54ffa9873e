//! `logical_volume`: a logical volume of LVM: linear, striped or thin, or a thin pool. It grows, and never shrinks.

mod layout;

use std::sync::Arc;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use self::layout::VolumeType;
use super::{Action, Change, Plan, PropertyError, Provider, Role, snapshots, truncation};
use crate::{
    system::{
        Claim, Command, Effect, Layout, LogicalVolume as Volume, Lvm, Op, Probe, Reading, Refused, VolumeGroup, known,
    },
    value::{DevicePath, GroupName, Size, VolumeName, VolumeSize},
};

/// A logical volume of LVM. Its device is /dev/GROUP/NAME. A thin pool has none: it is what thin volumes are in.
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
    /// Whether it is a volume or a pool.
    #[serde(default)]
    r#type: VolumeType,
    /// On how many physical volumes it is in turn; its size is rounded to as many extents. Counts when it is made.
    stripes: Option<u64>,
    /// Bytes on one physical volume before the next has its turn, a power of two; 64 KiB if it is not given.
    stripe_size: Option<Size>,
    /// The pool of a thin volume. Its size is then what it may come to have; what it takes is what is written to it.
    thin_pool: Option<VolumeName>,
    /// Bytes of the pieces that a pool hands out, a multiple of 64 KiB. Counts when it is made; chosen as LVM does if it is not given.
    chunk_size: Option<Size>,
    /// Bytes of a pool's metadata; 64 for each chunk if it is not given. They take extents beside `size`, and as many once in the
    /// group for their repair.
    metadata_size: Option<Size>,
    /// What its group keeps for snapshots.
    #[serde(skip)]
    leaves: Option<VolumeSize>,
}

/// All of LVM: its group, itself, its pool, what else is in the group.
#[derive(Debug, PartialEq)]
pub(super) struct State(Arc<Lvm>);

impl LogicalVolume {
    pub(super) const EXAMPLE: &str = "name: data\nvolume_group: mysql\nsize: 80%VG\n";

    fn device(&self) -> DevicePath {
        DevicePath::of_volume(self.volume_group.as_str(), self.name.as_str())
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.volume_group, self.name)
    }

    fn makes(&self, size: u64, layout: Layout, takes: u64) -> Effect {
        Effect::LogicalVolume {
            volume_group: self.volume_group.to_string(),
            name: self.name.to_string(),
            size,
            layout,
            takes,
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
                format!(
                    "{} counts only when the volume is made: give bytes or %VG, or leave out `exact`",
                    self.size
                ),
            ));
        }
        self.check_layout()
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        Ok(Reading::Known(State(known!(node.lvm()?))))
    }

    fn diff(&self, State(lvm): &State, _notified: bool) -> Result<Plan> {
        let Some(group) = lvm.volume_group(self.volume_group.as_str()) else {
            bail!(
                "there is no volume group {}: declare volume_group:{0}",
                self.volume_group
            );
        };
        match lvm.logical_volume(&group.name, self.name.as_str()) {
            None => self.create(group, lvm),
            Some(volume) => self.update(group, lvm, volume),
        }
    }

    fn final_warnings(&self, node: &dyn Probe) -> Result<Reading<Vec<String>>> {
        if self.r#type != VolumeType::ThinPool {
            return Ok(Reading::Known(Vec::new()));
        }
        let lvm = known!(node.lvm()?);
        Ok(Reading::Known(self.is_overcommitted(&lvm).into_iter().collect()))
    }

    fn leaves(&mut self) -> Option<(&GroupName, &mut Option<VolumeSize>)> {
        Some((&self.volume_group, &mut self.leaves))
    }

    fn provides(&self) -> Vec<Claim> {
        match self.r#type {
            VolumeType::ThinPool => vec![Claim::ThinPool(self.full_name())],
            VolumeType::Volume => vec![Claim::Device(self.device())],
        }
    }

    fn requires(&self) -> Vec<Claim> {
        let pool = self
            .thin_pool
            .as_ref()
            .map(|pool| Claim::ThinPool(format!("{}/{}", self.volume_group, pool.as_str())));
        [Claim::VolumeGroup(self.volume_group.to_string())]
            .into_iter()
            .chain(pool)
            .collect()
    }
}

impl LogicalVolume {
    fn create(&self, group: &VolumeGroup, lvm: &Lvm) -> Result<Plan> {
        let extents = self.wanted(group, lvm, None);
        if extents == 0 {
            bail!(
                "{} of {} is less than one extent, or one for each stripe",
                self.size,
                self.volume_group
            );
        }
        truncation::group_must_not_be(group, lvm)?;
        let layout = self.layout(group, extents);
        let takes = layout::takes(group, lvm, &layout, extents, None);
        snapshots::must_be_left(&self.full_name(), self.leaves, group, lvm, takes, 0)?;
        self.must_have_room(group, takes)?;
        let (size, count) = (extents * group.extent_size, extents.to_string());
        let mut plan = Plan::to(Action::Create).change(Change::new("size", Size::bytes(size)));
        // No --yes: where the free extents still carry an old filesystem, lvcreate asks, nobody answers, and it fails without having
        // written anything. See docs/decisions.
        let mut argv = vec!["lvcreate".to_owned()];
        let mut tell = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
        match &layout {
            Layout::Linear => tell(&["--wipesignatures", "y", "--zero", "y", "--extents", &count]),
            Layout::Striped { stripes, stripe_size } => {
                if *stripe_size > group.extent_size {
                    bail!(
                        "stripes of {} are larger than the extents of {}",
                        Size::bytes(*stripe_size),
                        group.name
                    );
                }
                layout::must_stripe(&self.full_name(), group, lvm, *stripes, extents)?;
                plan = plan.change(Change::new("stripes", stripes));
                tell(&[
                    "--type",
                    "striped",
                    "--stripes",
                    &stripes.to_string(),
                    "--stripesize",
                    &format!("{stripe_size}b"),
                ]);
                tell(&["--wipesignatures", "y", "--zero", "y", "--extents", &count]);
            }
            Layout::ThinPool { metadata, chunk } => {
                plan = plan.change(Change::new("metadata", Size::bytes(*metadata)));
                tell(&[
                    "--type",
                    "thin-pool",
                    "--zero",
                    "y",
                    "--chunksize",
                    &format!("{chunk}b"),
                ]);
                tell(&["--poolmetadatasize", &format!("{metadata}b"), "--extents", &count]);
            }
            // It is read as zeros until something is written: nothing can be on it.
            Layout::Thin { pool } => {
                self.must_be_pool(lvm, pool)?;
                plan = plan.change(Change::new("pool", pool));
                tell(&[
                    "--type",
                    "thin",
                    "--thinpool",
                    pool,
                    "--virtualsize",
                    &format!("{size}b"),
                ]);
            }
            Layout::Other(_) => {}
        }
        tell(&["--name", self.name.as_str(), self.volume_group.as_str()]);
        Ok(plan.op(Op::Run(Command::new(argv).makes([self.makes(size, layout, takes)]))))
    }

    fn must_be_pool(&self, lvm: &Lvm, pool: &str) -> Result<()> {
        match lvm
            .logical_volume(self.volume_group.as_str(), pool)
            .map(|volume| &volume.layout)
        {
            Some(Layout::ThinPool { .. }) => Ok(()),
            Some(_) => bail!("{}/{pool} is no thin pool", self.volume_group),
            None => bail!(
                "there is no thin pool {}/{pool}: declare it, with `type: thin-pool`",
                self.volume_group
            ),
        }
    }

    /// An error if what is there is something else than what is declared.
    fn check_kind(&self, volume: &Volume) -> Result<()> {
        let wanted = match (&self.thin_pool, self.r#type) {
            (Some(pool), _) => format!("a thin volume of {}", pool.as_str()),
            (None, VolumeType::ThinPool) => "a thin pool".to_owned(),
            (None, VolumeType::Volume) => "a plain logical volume".to_owned(),
        };
        let found = match &volume.layout {
            Layout::Linear | Layout::Striped { .. } => "a plain logical volume".to_owned(),
            Layout::ThinPool { .. } => "a thin pool".to_owned(),
            Layout::Thin { pool } => format!("a thin volume of {pool}"),
            Layout::Other(what) => (*what).to_owned(),
        };
        if found != wanted {
            bail!(
                "{} is {found}, not {wanted}: give the declared one another name",
                self.full_name()
            );
        }
        Ok(())
    }

    /// What counts only when a volume is made, and is not so.
    fn differs(&self, volume: &Volume) -> Option<String> {
        let (what, found, wanted) = match volume.layout {
            Layout::Linear | Layout::Striped { .. }
                if self.stripes.is_some_and(|wanted| wanted != volume.layout.stripes()) =>
            {
                (
                    "stripes",
                    volume.layout.stripes().to_string(),
                    self.stripes?.to_string(),
                )
            }
            Layout::Striped { stripe_size, .. }
                if self.stripe_size.is_some_and(|wanted| wanted.get() != stripe_size) =>
            {
                (
                    "stripes of",
                    Size::bytes(stripe_size).to_string(),
                    self.stripe_size?.to_string(),
                )
            }
            Layout::ThinPool { chunk, .. } if self.chunk_size.is_some_and(|wanted| wanted.get() != chunk) => (
                "chunks of",
                Size::bytes(chunk).to_string(),
                self.chunk_size?.to_string(),
            ),
            _ => return None,
        };
        Some(format!(
            "{} has {what} {found}, not {wanted}: that counts only when a volume is made",
            self.full_name()
        ))
    }

    fn update(&self, group: &VolumeGroup, lvm: &Lvm, volume: &Volume) -> Result<Plan> {
        self.check_kind(volume)?;
        let now = volume.size / group.extent_size;
        let wanted = self.wanted(group, lvm, Some(volume));
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
        plan.warnings.extend(self.differs(volume));
        // The fifth of its attributes says whether it is active (lvs(8)); one that is planned has none.
        if volume.attributes.as_bytes().get(4) == Some(&b'-') {
            // The ninth says whether a part of it is missing.
            if volume.attributes.as_bytes().get(8) == Some(&b'p') {
                truncation::must_be_whole(self.volume_group.as_str(), lvm.members(self.volume_group.as_str()))?;
            }
            let activate = Command::new(["lvchange", "--activate", "y", &self.full_name()]);
            plan = plan
                .change(Change::of("active", "no", "yes"))
                .op(Op::Run(activate.makes([self.makes(
                    volume.size,
                    volume.layout.clone(),
                    0,
                )])));
        }
        let layout = self.grown(group, volume, wanted.max(now));
        if wanted > now || layout != volume.layout {
            plan = self.grow(plan, group, lvm, volume, wanted.max(now))?;
        }
        if let (Layout::ThinPool { metadata, .. }, Some(wanted)) = (&volume.layout, self.metadata_size)
            && wanted.get().next_multiple_of(group.extent_size) < *metadata
        {
            plan = plan.warn(format!(
                "the metadata of {} have {}, more than the declared {wanted}: glrl never shrinks them",
                self.full_name(),
                Size::bytes(*metadata)
            ));
        }
        if wanted < now {
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

    /// Adds what gives it so many extents, and a pool the metadata for them.
    fn grow(&self, mut plan: Plan, group: &VolumeGroup, lvm: &Lvm, volume: &Volume, wanted: u64) -> Result<Plan> {
        truncation::group_must_not_be(group, lvm)?;
        let layout = self.grown(group, volume, wanted);
        let takes = layout::takes(group, lvm, &layout, wanted, Some(volume));
        snapshots::must_be_left(
            &self.full_name(),
            self.leaves,
            group,
            lvm,
            takes,
            volume.size / group.extent_size,
        )?;
        self.must_have_room(group, takes)?;
        if let Layout::Striped { stripes, .. } = layout {
            layout::must_stripe(&self.full_name(), group, lvm, stripes, takes)?;
        }
        let mine = |other: &&Volume| {
            other.volume_group == group.name
                && other.origin.as_deref() == Some(self.name.as_str())
                && other.is_cow_snapshot()
        };
        let snapshots: Vec<&str> = lvm
            .logical_volumes
            .iter()
            .filter(mine)
            .map(|volume| volume.name.as_str())
            .collect();
        if !snapshots.is_empty() {
            bail!(
                "{} cannot grow while it has a snapshot ({}): run again when the backup that made it is done",
                self.full_name(),
                snapshots.join(", ")
            );
        }
        if let (Layout::ThinPool { metadata: before, .. }, Layout::ThinPool { metadata, .. }) =
            (&volume.layout, &layout)
            && metadata > before
        {
            let more = format!("+{}b", metadata - before);
            let extend = Command::new(["lvextend", "--poolmetadatasize", &more, &self.full_name()]);
            let extents = takes - (wanted - volume.size / group.extent_size);
            plan = plan
                .change(Change::of("metadata", Size::bytes(*before), Size::bytes(*metadata)))
                .op(Op::Run(extend.makes([self.makes(
                    volume.size,
                    layout.clone(),
                    extents,
                )])));
        }
        let size = wanted * group.extent_size;
        if size == volume.size {
            return Ok(plan);
        }
        let extend = Command::new(["lvextend", "--extents", &wanted.to_string(), &self.full_name()]);
        let takes = if let Layout::Thin { .. } = layout {
            0
        } else {
            wanted - volume.size / group.extent_size
        };
        Ok(plan
            .change(Change::of("size", Size::bytes(volume.size), Size::bytes(size)))
            .op(Op::Run(extend.makes([self.makes(size, layout, takes)]))))
    }

    /// In words, if the volumes of this pool may come to need more than it has.
    fn is_overcommitted(&self, lvm: &Lvm) -> Option<String> {
        let pool = lvm.logical_volume(self.volume_group.as_str(), self.name.as_str())?;
        let mine = |volume: &&Volume| {
            volume.volume_group == pool.volume_group
                && matches!(&volume.layout, Layout::Thin { pool } if *pool == *self.name.as_str())
        };
        let promised: u64 = lvm.logical_volumes.iter().filter(mine).map(|volume| volume.size).sum();
        (promised > pool.size).then(|| {
            format!(
                "the volumes of {} may come to need {}, more than the {} it has: nothing can be written to them once it is full",
                self.full_name(),
                Size::bytes(promised),
                Size::bytes(pool.size)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::system::PhysicalVolume;

    /// lvchange(8) activates no volume of which a part is missing; another of the group it does.
    #[test]
    fn what_lies_on_a_missing_disk_is_not_activated() {
        let declared: LogicalVolume =
            serde_json::from_value(serde_json::json!({"name": "x", "volume_group": "data", "size": "4MiB"})).unwrap();
        let plan = |attributes: &str, missing: bool| {
            let lvm = Lvm {
                physical_volumes: vec![PhysicalVolume {
                    device: "/dev/sdb".into(),
                    volume_group: Some("data".to_owned()),
                    size: 400 << 20,
                    room: 400 << 20,
                    free_extents: Some(99),
                    missing,
                }],
                volume_groups: vec![VolumeGroup {
                    name: "data".to_owned(),
                    extent_size: 4 << 20,
                    extents: 100,
                    free_extents: 99,
                }],
                logical_volumes: vec![Volume {
                    volume_group: "data".to_owned(),
                    name: "x".to_owned(),
                    size: 4 << 20,
                    attributes: attributes.to_owned(),
                    origin: None,
                    layout: Layout::Linear,
                    tags: Vec::new(),
                }],
            };
            declared.diff(&State(Arc::new(lvm)), false)
        };
        assert!(plan("-wi-----p-", true).unwrap_err().is::<Refused>());
        assert_eq!(plan("-wi-------", true).unwrap().ops.len(), 1);
        assert!(plan("-wi-a---p-", true).unwrap().is_empty());
        assert_eq!(plan("-wi-------", false).unwrap().ops.len(), 1);
    }
}
