//! `mount`: a filesystem mounted now and, by fstab, at every boot.

mod bind;
mod moving;
mod source;
mod steps;

use std::path::Path;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::moving::Data;
use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    fstab::{self, Entry, FSTAB, SYSTEMD},
};
use crate::{
    system::{BlockDevice, Claim, Contents, FileType, Mount as Live, Op, Probe, Reading, Refused, known},
    value::{AbsPath, DevicePath, Duration, Id, MountSource, UnitName},
};

/// A filesystem at a path, mounted now and at every boot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mount {
    /// Where it is mounted. The directory is made if there is none.
    path: AbsPath,
    /// What is mounted: a device, `UUID=…`, `host:/path`, or, with the option `bind`, a directory, which is seen at both paths.
    device: MountSource,
    /// The filesystem's type; that of what is on the device, or `nfs`, if it is not given. `none` for a directory.
    r#type: Option<String>,
    /// Mount options, as fstab(5) has them. A network filesystem gets `_netdev` and `nofail` besides, and NFS `bg`, which
    /// has a boot go on and the mount come when its server does, unless `fg`, `noauto` or an option of systemd is given. `bind` mounts a
    /// directory a second time, `rbind` what is mounted below it, too.
    #[serde(default)]
    options: Vec<String>,
    /// Whether fstab has it, so that it is mounted at boot.
    #[serde(default = "yes")]
    persist: bool,
    /// Whether it is mounted at all.
    #[serde(default)]
    state: Presence,
    /// Whether the mount may hide files that are in its directory now.
    #[serde(default)]
    hide: bool,
    /// Whether files that are in its directory now are moved onto it before it is mounted there: they are copied, compared, and stay
    /// where they are, below the mount. `false` is for a role that leaves the consent to its user, by an input of this name.
    move_data: Option<bool>,
    /// Units that are stopped while data is moved, and started again; whoever else has files open there is named, and nothing is moved.
    #[serde(default)]
    stop: Vec<UnitName>,
    /// How long the mount of a network filesystem is tried, while its server does not answer or does not export it yet. 60s if
    /// it is not given.
    wait: Option<Duration>,
    /// Whether the filesystem is to grow.
    #[serde(skip)]
    grows: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Presence {
    /// Mounted, and in fstab unless `persist` is false.
    #[default]
    Mounted,
    /// Neither mounted nor in fstab. What is on the device stays.
    Absent,
}

fn yes() -> bool {
    true
}

/// What is there now.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    /// The device, where it is one and it exists.
    block: Option<BlockDevice>,
    /// What is mounted at the path, the topmost last.
    mounted: Vec<Live>,
    /// fstab's text, and its lines for the path.
    fstab: String,
    entries: Vec<Entry>,
    /// What is mounted on; nothing to say while something is mounted.
    ground: Option<Ground>,
    /// What is in the directory that is to be mounted on.
    data: Option<Data>,
    /// Whether a move of data has its marker in what is mounted: it is not over.
    moving: bool,
    /// What a directory that is bound is part of, as it would be mounted here.
    origin: Option<Live>,
    /// What would come along with it by `rbind`.
    along: Vec<Live>,
    /// By which option it was mounted here, where anything tells.
    bound_by: Option<&'static str>,
    /// Mounts below that.
    below: Vec<bind::Below>,
    /// Whether systemd mounts it there for the first who looks (systemd.automount(5)).
    waits: bool,
    /// Whether systemd makes units of fstab here.
    systemd: bool,
}

/// The directory that is to be mounted on.
#[derive(Debug, Default, PartialEq)]
struct Ground {
    /// Directories to make, the outermost first.
    missing: Vec<AbsPath>,
    /// Names in it.
    names: Vec<std::ffi::OsString>,
}

impl Mount {
    pub(super) const EXAMPLE: &str = "path: /var/lib/mysql\ndevice: /dev/mysql/data\noptions: [noatime]\n";

    fn device(&self) -> Option<&DevicePath> {
        match &self.device {
            MountSource::Device { device, .. } => Some(device),
            _ => None,
        }
    }

    fn is_network(&self) -> bool {
        matches!(self.device, MountSource::Network(_))
    }

    /// The options as fstab is to have them: a server that is down must not stop this machine from booting.
    fn all_options(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .options
            .iter()
            .filter(|option| *option != "defaults")
            .cloned()
            .collect();
        if self.is_network() {
            for needed in ["_netdev", "nofail"] {
                if !all.iter().any(|option| option == needed) {
                    all.push(needed.to_owned());
                }
            }
            // systemd would give up after a minute and a half, and never try again; this it tries for a week (systemd.mount(5)).
            let is_nfs = self.r#type.as_deref().is_none_or(|fs_type| fs_type.starts_with("nfs"));
            let says =
                |option: &String| matches!(option.as_str(), "bg" | "fg" | "noauto") || option.starts_with("x-systemd.");
            if is_nfs && !all.iter().any(says) {
                all.push("bg".to_owned());
            }
        }
        all
    }

    /// Whether it is declared to be mounted by systemd when somebody looks there.
    fn is_on_demand(&self) -> bool {
        self.options.iter().any(|option| option == "x-systemd.automount")
    }

    fn target(&self) -> &str {
        self.path.as_str()
    }
}

impl Provider for Mount {
    type State = State;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        for option in &self.options {
            if option.is_empty() || option.contains(|c: char| c == ' ' || c.is_control()) {
                return Err(PropertyError::of(
                    "options",
                    format!("'{option}' is not a mount option"),
                ));
            }
            if option.contains(',') && !option.contains('"') {
                return Err(PropertyError::of(
                    "options",
                    format!("'{option}' holds a comma: write each option by itself"),
                ));
            }
            if option.starts_with("remount") {
                return Err(PropertyError::of(
                    "options",
                    format!("'{option}' is not managed by glrl"),
                ));
            }
        }
        if self.target() == "/" {
            return Err(PropertyError::of("path", "the root is mounted before glrl runs"));
        }
        self.check_bound()?;
        if matches!(self.device, MountSource::Named(_)) && self.r#type.is_none() {
            return Err(PropertyError::of(
                "type",
                format!("'{}' is no device: say of what type it is", self.device),
            ));
        }
        if self.wait.is_some() && !self.is_network() {
            return Err(PropertyError::of("wait", "only a network filesystem is waited for"));
        }
        if self.move_data.is_some() && (self.hide || self.device().is_none()) {
            let why = if self.hide {
                "`hide` leaves them where they are"
            } else {
                "only a device is known to be nobody else's"
            };
            return Err(PropertyError::of("move_data", format!("files are moved or not: {why}")));
        }
        if !self.stop.is_empty() && self.move_data.is_none() {
            return Err(PropertyError::of(
                "stop",
                "nothing is stopped but while data is moved: say `move_data` too",
            ));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let block = match self.device() {
            Some(device) => known!(node.block(device)?),
            None => None,
        };
        if let (Some(block), Some(device)) = (&block, self.device()) {
            let nameless = matches!(&block.contents, Contents::Known(signature) if signature.uuid.is_none());
            if self.persist && self.state == Presence::Mounted && device.is_unstable() && nameless {
                // fstab has to name it by the UUID that mkfs has yet to choose.
                return Ok(Reading::Unknown {
                    after: Id::new("filesystem", device.as_str()),
                });
            }
        }
        let mut mounted = known!(self.live(node)?);
        if self.state == Presence::Mounted && !mounted.is_empty() {
            // mountinfo has a mount also while its server is gone: that is an error here.
            node.check_reachable(&self.path)?;
        }
        let fstab = known!(node.contents(Path::new(FSTAB))?).unwrap_or_default();
        let fstab = std::str::from_utf8(&fstab)
            .context("/etc/fstab is not UTF-8")?
            .to_owned();
        let mounts = known!(node.mounts()?);
        let origin = self.origin(&mounts);
        if let (Some(directory), Presence::Mounted) = (self.bound(), self.state) {
            known!(self.must_be_there(node, directory)?);
        }
        let moving = match (mounted.last(), self.device()) {
            (Some(top), Some(_)) if self.state == Presence::Mounted && self.is_mine(top, block.as_ref(), None) => {
                // One that nobody has looked into yet is not taken for half of a move.
                matches!(node.entry(&self.marker())?, Reading::Known(Some(_)))
            }
            _ => false,
        };
        let (mut ground, mut data) = (None, None);
        // systemd mounts what is behind an automount point for whoever looks there: a plan does not.
        let waits = mounts
            .iter()
            .any(|mount| mount.target == *self.path && mount.fs_type == "autofs");
        if self.state == Presence::Mounted && mounted.is_empty() && !waits {
            let found = known!(self.ground(node, &self.path)?);
            if !found.names.is_empty() && known!(node.is_mount_point(&self.path)?) {
                // Mounted since the mounts were read, these may be the names in what is mounted.
                mounted = known!(self.live(node)?);
            }
            if mounted.is_empty() {
                data = known!(self.data(node, &found)?);
                ground = Some(found);
            }
        }
        Ok(Reading::Known(State {
            block,
            mounted,
            entries: fstab::entries(&fstab)
                .into_iter()
                .filter(|entry| entry.target == self.target())
                .collect(),
            fstab,
            ground,
            data,
            moving,
            below: self.below(&mounts),
            along: self.along(&mounts).map(|(_, mount)| mount).collect(),
            bound_by: self.bound_by(&mounts),
            origin,
            waits,
            systemd: known!(node.entry(Path::new(SYSTEMD))?).is_some(),
        }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        if let [first, second, ..] = current.entries.as_slice() {
            bail!(
                "{FSTAB} mounts two things on {}: line {} and line {}; remove one of them",
                self.path,
                first.line,
                second.line
            );
        }
        let mine = match current.mounted.last() {
            Some(top) if !self.is_mine(top, current.block.as_ref(), current.origin.as_ref()) => {
                return Err(Refused::because(
                    format!(
                        "{} is mounted on {}, not {}",
                        source::shown(top),
                        self.path,
                        self.device
                    ),
                    format!("unmount it (umount {}), or declare what is mounted there", self.path),
                ));
            }
            top => top,
        };
        match self.state {
            Presence::Mounted => self.mounted(current, mine),
            Presence::Absent => self.absent(current, mine),
        }
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        vec![Claim::Mounted(self.path.clone())]
    }

    fn requires(&self) -> Vec<Claim> {
        let parent = self
            .path
            .parent()
            .and_then(Path::to_str)
            .and_then(|parent| parent.parse().ok());
        let device = self
            .device()
            .into_iter()
            .flat_map(|device| [Claim::Filesystem(device.clone()), Claim::Device(device.clone())]);
        let bound = self.bound().cloned();
        device.chain(parent.into_iter().chain(bound).map(Claim::Path)).collect()
    }

    fn growth(&mut self) -> Option<&mut bool> {
        (self.state == Presence::Mounted).then_some(&mut self.grows)
    }
}

impl Mount {
    /// What is mounted at the path. systemd's automount point is no filesystem: what it waits for is mounted on it.
    fn live(&self, node: &dyn Probe) -> Result<Reading<Vec<Live>>> {
        let mounts = known!(node.mounts()?);
        let here = mounts
            .iter()
            .filter(|mount| mount.target == *self.path && mount.fs_type != "autofs");
        Ok(Reading::Known(here.cloned().collect()))
    }

    /// Looks at the directory to mount on, and at those above it; or at one that is bound.
    fn ground(&self, node: &dyn Probe, directory: &AbsPath) -> Result<Reading<Ground>> {
        let mut ground = Ground::default();
        let mut above: Vec<AbsPath> = directory
            .ancestors()
            .filter_map(|path| path.to_str()?.parse().ok())
            .collect();
        above.reverse();
        for path in above {
            match known!(node.entry(&path)?) {
                None => ground.missing.push(path),
                Some(entry) => match entry.file_type {
                    FileType::Directory => {}
                    FileType::Link { target } => bail!(
                        "{path} is a link to {}: declare the path it stands for",
                        target.display()
                    ),
                    _ if directory == &self.path => bail!("{path} is not a directory, so nothing can be mounted on it"),
                    _ => bail!("{path} is not a directory, and glrl binds no files"),
                },
            }
        }
        if ground.missing.is_empty() {
            ground.names = known!(node.list(directory)?);
        }
        Ok(Reading::Known(ground))
    }

    fn mounted(&self, current: &State, mine: Option<&Live>) -> Result<Plan> {
        let fs_type = self.fs_type(current.block.as_ref())?;
        let wanted = self.all_options();
        if current.block.as_ref().is_some_and(|block| block.read_only) && !wanted.iter().any(|option| option == "ro") {
            return Err(Refused::because(
                format!(
                    "{} carries {fs_type}, and is read-only: it cannot be mounted for writing",
                    self.device
                ),
                "say `options: [ro]`, or see why the kernel lets nobody write to the device (dmesg)",
            ));
        }
        let mut plan = Plan::to(if mine.is_some() { Action::Update } else { Action::Create });
        let entry = current.entries.first();
        let stale = entry.filter(|entry| !self.is_same_source(&entry.source, current.block.as_ref()));
        match mine {
            None if current.waits && self.is_on_demand() => {}
            None => {
                if let Some(stale) = stale {
                    // systemd's unit of the old line would unmount what is mounted here once the old device is missed.
                    plan = fstab::write(plan, fstab::remove(&current.fstab, &stale.target), current.systemd);
                }
                plan = self.mount(plan, current, &fs_type, &wanted)?;
            }
            Some(live) => plan = self.update_live(plan, current, live, &fs_type, &wanted)?,
        }
        if self.persist {
            plan = self.persist(plan, current, stale.is_some(), &fs_type, &wanted);
        } else if entry.is_some() {
            plan = plan.change(Change::of("fstab", "yes", "no"));
            plan = fstab::write(plan, fstab::remove(&current.fstab, self.target()), current.systemd);
        }
        if current.moving {
            plan = self.finish_move(plan.change(Change::of("move of data", "not over", "over")), Vec::new());
        } else if plan.ops.iter().any(|op| matches!(op, Op::MoveData(_))) {
            let start = current.data.as_ref().map(|data| data.start().to_vec());
            plan = self.finish_move(plan, start.unwrap_or_default());
        }
        if mine.is_none() && self.grows {
            plan = self.grow(plan, current, &wanted);
        }
        if plan.is_empty() {
            plan.action = Action::None;
        }
        Ok(plan)
    }
}
