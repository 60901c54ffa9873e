//! `swap`: a device or a file that the kernel swaps to, now and, by fstab, from every boot on.

mod steps;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    fstab::{self, Entry as Line, FSTAB, SYSTEMD},
    mkfs::FsType,
    parent,
    presence::Presence,
    truncation, wipe,
};
use crate::{
    system::{BlockDevice, Claim, Contents, Entry, FileType, Op, Probe, Reading, Signature, known, place},
    value::{AbsPath, DevicePath, Size},
};

/// Swap on a device or in a file. A device is made swap only if it is proven to be empty; a file is made with its size and never made
/// over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Swap {
    /// The device, below /dev, or the file.
    path: AbsPath,
    /// Bytes of the file, rounded up to MiB; counts when it is made. A device has its own size.
    size: Option<Size>,
    /// The device's label. One that is there must have it.
    label: Option<String>,
    /// The device's UUID, as blkid shows it; chosen by mkswap if it is not given. One that is there must have it.
    uuid: Option<String>,
    /// What is used first, 0 to 32767, the highest before the others. The kernel's choice, after all that have one, if it is not
    /// given.
    priority: Option<i32>,
    /// Whether fstab has it, so that it is used from boot on.
    #[serde(default = "yes")]
    persist: bool,
    /// Whether it is used at all. What is no longer used stays, device or file, but for its line in fstab.
    #[serde(default)]
    state: Presence,
    /// Consent to destroy what is on the device.
    wipe: Option<wipe::Wipe>,
}

fn yes() -> bool {
    true
}

/// mkswap(8) has 16 bytes for it, the last of which ends it.
const LONGEST_LABEL: usize = 15;

/// What is there now.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    /// The device, where it is one and it exists.
    block: Option<BlockDevice>,
    /// The file, where it is one and it exists.
    file: Option<Entry>,
    /// What a killed run left of a file that was not finished.
    unfinished: bool,
    /// Its name in /proc/swaps.
    place: PathBuf,
    /// Its priority while it is used.
    used: Option<i32>,
    /// fstab's text, and its lines for it.
    fstab: String,
    lines: Vec<Line>,
    systemd: bool,
}

impl Swap {
    pub(super) const EXAMPLE: &str = "path: /dev/system/swap\npriority: 10\n";

    fn device(&self) -> Option<DevicePath> {
        self.path.as_str().parse().ok()
    }

    /// Where a file is made before it has its name.
    fn unfinished(&self) -> Result<AbsPath> {
        format!("{}.glrl-unfinished", self.path)
            .parse()
            .map_err(anyhow::Error::msg)
    }

    /// Whether a line of fstab is about it.
    fn is_of(&self, line: &Line, uuid: Option<&str>) -> bool {
        let named = match line.source.split_once('=') {
            Some(("UUID", found)) => uuid.is_some_and(|uuid| uuid == found.trim_matches('"')),
            Some(("LABEL", found)) => self.label.as_deref() == Some(found.trim_matches('"')),
            _ => line.source == self.path.as_str(),
        };
        line.fs_type == "swap" && named
    }

    fn wrong(&self) -> Option<(&'static str, String)> {
        let device = self.device();
        let present = self.state == Presence::Present;
        match (&device, self.size) {
            (Some(_), Some(_)) => return Some(("size", "a device has a size of its own: leave it out".to_owned())),
            (None, None) if present => return Some(("size", "a file is made with a size, as in 2GiB".to_owned())),
            (None, Some(size)) if size.get() == 0 => {
                return Some(("size", "nothing can be swapped to a file of no size".to_owned()));
            }
            _ => {}
        }
        if device.is_none() {
            let given = [
                ("label", self.label.is_some()),
                ("uuid", self.uuid.is_some()),
                ("wipe", self.wipe.is_some()),
            ];
            if let Some((property, _)) = given.into_iter().find(|(_, given)| *given) {
                return Some((property, "only a device has it".to_owned()));
            }
        }
        if let Some(label) = self
            .label
            .as_deref()
            .filter(|label| !(1..=LONGEST_LABEL).contains(&label.len()) || label.contains(char::is_control))
        {
            return Some((
                "label",
                format!("'{label}' is not a label for swap: 1 to {LONGEST_LABEL} bytes of text"),
            ));
        }
        if let Some(uuid) = self
            .uuid
            .as_deref()
            .filter(|uuid| FsType::Ext4.check_uuid(uuid).is_err())
        {
            return Some((
                "uuid",
                format!("'{uuid}' is not a UUID: write it as blkid shows it, in small letters"),
            ));
        }
        if let Some(priority) = self.priority.filter(|priority| !(0..=32767).contains(priority)) {
            return Some(("priority", format!("{priority} is not between 0 and 32767")));
        }
        let unstable = device.is_some_and(|device| device.is_unstable()) && self.uuid.is_none();
        if unstable && present && self.persist {
            let message = format!(
                "{} may be another disk after the next boot: name it by /dev/disk/by-id/, give a `uuid`, or say `persist: false`",
                self.path
            );
            return Some(("path", message));
        }
        None
    }
}

impl Provider for Swap {
    type State = State;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        match self.wrong() {
            Some((property, message)) => Err(PropertyError::of(property, message)),
            None => Ok(()),
        }
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let (mut block, mut file, mut unfinished) = (None, None, false);
        if let Some(device) = self.device() {
            block = known!(node.block(&device)?);
        } else {
            file = known!(node.entry(&self.path)?);
            unfinished = known!(node.entry(&self.unfinished()?)?).is_some();
            if self.state == Presence::Present {
                known!(parent::check(node, &self.path)?);
            }
        }
        let place = match &block {
            Some(block) => block.path.clone(),
            None => place(node, &self.path)?,
        };
        let used = known!(node.swaps()?)
            .iter()
            .find(|swap| swap.path == place)
            .map(|swap| swap.priority);
        let fstab = known!(node.contents(Path::new(FSTAB))?).unwrap_or_default();
        let fstab = std::str::from_utf8(&fstab)
            .context("/etc/fstab is not UTF-8")?
            .to_owned();
        let uuid = self
            .uuid
            .as_deref()
            .or_else(|| signature(block.as_ref())?.uuid.as_deref());
        Ok(Reading::Known(State {
            lines: fstab::entries(&fstab)
                .into_iter()
                .filter(|line| self.is_of(line, uuid))
                .collect(),
            systemd: known!(node.entry(Path::new(SYSTEMD))?).is_some(),
            block,
            file,
            unfinished,
            place,
            used,
            fstab,
        }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        if let [first, second, ..] = current.lines.as_slice() {
            bail!(
                "{FSTAB} names {} twice: line {} and line {}; remove one of them",
                self.path,
                first.line,
                second.line
            );
        }
        let mut plan = match self.state {
            Presence::Absent => self.absent(current),
            Presence::Present => {
                let plan = match self.device() {
                    Some(device) => self.on_device(&device, current.block.as_ref())?,
                    None => self.in_file(current)?,
                };
                let plan = self.used(plan, current);
                self.persisted(plan, current)
            }
        };
        if plan.is_empty() {
            plan.action = Action::None;
        }
        Ok(plan)
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        match (self.state, self.device()) {
            (Presence::Absent, _) => Vec::new(),
            (Presence::Present, Some(device)) => vec![Claim::Filesystem(device)],
            (Presence::Present, None) => vec![Claim::Path(self.path.clone())],
        }
    }

    fn requires(&self) -> Vec<Claim> {
        match self.device() {
            Some(device) => vec![Claim::Device(device)],
            None if self.is_absent() => vec![Claim::Path(self.path.clone())],
            None => parent::required(&self.path).into_iter().collect(),
        }
    }
}

fn signature(block: Option<&BlockDevice>) -> Option<&Signature> {
    match &block?.contents {
        Contents::Known(signature) => Some(signature),
        _ => None,
    }
}
