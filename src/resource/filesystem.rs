//! `filesystem`: made on a device that is proven to be empty, and grown with its device.

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    mkfs::{self, FsType},
    truncation, wipe,
};
use crate::{
    system::{BlockDevice, Claim, Command, Contents, Effect, Mount, Op, Probe, Reading, Refused, Signature, known},
    value::{DevicePath, Size},
};

/// A filesystem on a device. It is made only on a device that is proven to be empty; what is there and is not as declared is left
/// alone, and is an error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filesystem {
    /// The device it is on.
    device: DevicePath,
    /// Its type.
    r#type: FsType,
    /// Its label. One that is there must have it.
    label: Option<String>,
    /// Its UUID, as blkid shows it; chosen by mkfs if it is not given. One that is there must have it.
    uuid: Option<String>,
    /// Options for mkfs, which count when it is made. None that forces anything is accepted.
    #[serde(default)]
    options: Vec<String>,
    /// Whether it grows when its device has grown. One that is not mounted yet grows once a `mount` of the role has mounted it.
    #[serde(default = "yes")]
    grow: bool,
    /// Consent to destroy what is on the device.
    wipe: Option<wipe::Wipe>,
    /// Whether something declared mounts it.
    #[serde(skip)]
    is_mounted_later: bool,
}

fn yes() -> bool {
    true
}

/// The device and where it is mounted for writing.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    block: Option<BlockDevice>,
    mount_point: Option<String>,
}

impl Filesystem {
    pub(super) const EXAMPLE: &str = "device: /dev/mysql/data\ntype: xfs\n";
}

impl Provider for Filesystem {
    type State = State;

    fn name(&self) -> String {
        self.device.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        let wrong = |property: &'static str| move |message: String| PropertyError::of(property, message);
        self.r#type.check_options(&self.options).map_err(wrong("options"))?;
        if let Some(label) = &self.label {
            self.r#type.check_label(label).map_err(wrong("label"))?;
        }
        if let Some(uuid) = &self.uuid {
            self.r#type.check_uuid(uuid).map_err(wrong("uuid"))?;
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let block = known!(node.block(&self.device)?);
        let mounts = known!(node.mounts()?);
        let mount_point = block.as_ref().and_then(|block| {
            // btrfs is grown by any part of it that is mounted.
            let is_whole = |mount: &Mount| mount.root.as_os_str() == "/" || mount.fs_type == "btrfs";
            let mine = mounts.iter().find(|mount| {
                mount.is_of(&self.device, block)
                    && is_whole(mount)
                    && !mount.options.iter().any(|option| option == "ro")
            })?;
            mine.target.to_str().map(str::to_owned)
        });
        Ok(Reading::Known(State { block, mount_point }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        let block = current
            .block
            .as_ref()
            .with_context(|| format!("there is no device {}", self.device))?;
        match &block.contents {
            Contents::Known(signature) if signature.what == self.r#type.name() && self.is_mine(signature) => {
                self.update(block, signature, current.mount_point.as_deref())
            }
            Contents::Known(signature) if self.wipe.is_none() && wipe::is_consentable(signature) => {
                Err(Refused::because(
                    format!(
                        "{} carries {signature}, which is not the declared {}",
                        self.device,
                        self.wanted()
                    ),
                    format!(
                        "declare what is there, or another device; or, to destroy what is there, `{}`",
                        wipe::consent_for(signature)
                    ),
                ))
            }
            _ => self.create(block),
        }
    }

    fn provides(&self) -> Vec<Claim> {
        // A mount may name it by what is on it.
        let names = self.wanted().names();
        [self.device.clone()]
            .into_iter()
            .chain(names)
            .map(Claim::Filesystem)
            .collect()
    }

    fn requires(&self) -> Vec<Claim> {
        vec![Claim::Device(self.device.clone())]
    }

    fn growth(&mut self) -> Option<&mut bool> {
        self.grow.then_some(&mut self.is_mounted_later)
    }
}

impl Filesystem {
    /// Whether what is there has the declared label and UUID.
    fn is_mine(&self, signature: &Signature) -> bool {
        let agrees = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        agrees(&self.label, &signature.label) && agrees(&self.uuid, &signature.uuid)
    }

    fn wanted(&self) -> Signature {
        Signature {
            what: self.r#type.name().to_owned(),
            uuid: self.uuid.clone(),
            label: self.label.clone(),
            ..Signature::default()
        }
    }

    fn create(&self, block: &BlockDevice) -> Result<Plan> {
        let mut plan = Plan::to(Action::Create);
        if let Some(erase) = wipe::clear(&self.device, block, self.wipe.as_ref())? {
            if let Contents::Known(signature) = &block.contents {
                plan = plan.change(Change::gone("signature", signature));
            }
            plan.ops.push(erase);
        }
        let least = self.r#type.least(&self.options);
        if block.size < least {
            return Err(Refused::because(
                format!(
                    "{} has {}, too small for {}",
                    self.device,
                    Size::bytes(block.size),
                    self.r#type.name()
                ),
                format!("declare a device of at least {}, or another type", Size::bytes(least)),
            ));
        }
        let argv = self
            .r#type
            .make(&self.device, self.label.as_deref(), self.uuid.as_deref(), &self.options);
        let made = Effect::Contents(self.device.clone(), Contents::Known(self.wanted()));
        Ok(plan
            .change(Change::new("type", self.r#type.name()))
            .change(Change::new("size", Size::bytes(block.size)))
            .op(Op::Run(Command::new(argv).makes([made]))))
    }

    fn update(&self, block: &BlockDevice, signature: &Signature, mount_point: Option<&str>) -> Result<Plan> {
        let Some(geometry) = signature.geometry else {
            return Ok(Plan::none());
        };
        truncation::check(&self.device, block)?;
        if !self.grow || geometry.grown(block.size).is_none() {
            return Ok(Plan::none());
        }
        let Some(mount_point) = mount_point else {
            let plan = Plan::none();
            return Ok(if self.is_mounted_later {
                plan
            } else {
                plan.warn(mkfs::can_grow_later(&signature.what, &self.device, block.size))
            });
        };
        Ok(self.r#type.grow(
            Plan::to(Action::Update),
            &self.device,
            &geometry,
            block.size,
            mount_point,
        ))
    }
}
