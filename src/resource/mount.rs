//! `mount`: a filesystem mounted now and, by fstab, at every boot.

use std::{path::Path, time::Duration as Time};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    fstab::{self, Entry},
    mount_options as options,
};
use crate::{
    system::{
        BlockDevice, Command, Contents, Effect, Fact, FileType, Meta, Mount as Live, Op, Probe, Reading, Refused, UnitVerb, known,
    },
    value::{AbsPath, DevicePath, Duration, Id, MountSource, UnitName},
};

/// A filesystem at a path, mounted now and at every boot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mount {
    /// Where it is mounted. The directory is made if there is none.
    path: AbsPath,
    /// What is mounted: a device, `UUID=…`, or `host:/path`.
    device: MountSource,
    /// The filesystem's type; that of what is on the device, or `nfs`, if it is not given.
    r#type: Option<String>,
    /// Mount options, as fstab(5) has them. A network filesystem gets `_netdev` and `nofail` besides.
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
    /// How long the mount of a network filesystem is tried, while its server does not answer or does not export it yet. 60s if
    /// it is not given.
    wait: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

const FSTAB: &str = "/etc/fstab";
const WAIT: Duration = Duration::seconds(60);
/// One try at a server that may be down; the kernel alone would wait for minutes.
const NETWORK_TRY: Time = Time::from_secs(30);

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
    /// Whether systemd makes units of fstab here.
    systemd: bool,
}

/// The directory that is to be mounted on.
#[derive(Debug, Default, PartialEq)]
struct Ground {
    /// Directories to make, the outermost first.
    missing: Vec<AbsPath>,
    /// Names in it.
    names: Vec<String>,
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
        let mut all: Vec<String> = self.options.iter().filter(|option| *option != "defaults").cloned().collect();
        if self.is_network() {
            for needed in ["_netdev", "nofail"] {
                if !all.iter().any(|option| option == needed) {
                    all.push(needed.to_owned());
                }
            }
        }
        all
    }

    fn target(&self) -> &str {
        self.path.as_str()
    }

    /// Whether this is the declared thing.
    fn is_mine(&self, live: &Live, block: Option<&BlockDevice>) -> bool {
        match (&self.device, block) {
            // Part of a filesystem is another thing than the whole; only btrfs has parts that are mounted by themselves.
            (MountSource::Device { device, .. }, Some(block)) => {
                live.is_of(device, block) && (live.root == Path::new("/") || live.fs_type == "btrfs")
            }
            (MountSource::Device { device, .. }, None) => Path::new(&live.source) == &**device,
            (MountSource::Network(source), _) => live.source.trim_end_matches('/') == source.trim_end_matches('/'),
            (MountSource::Named(source), _) => live.source == *source,
        }
    }

    /// What fstab is to name. A name that the kernel may give to another disk at the next boot gives way to the UUID.
    fn fstab_source(&self, block: Option<&BlockDevice>) -> String {
        let uuid = block.and_then(|block| match &block.contents {
            Contents::Known(signature) => signature.uuid.as_deref(),
            _ => None,
        });
        match (self.device().is_some_and(is_unstable), uuid) {
            (true, Some(uuid)) => format!("UUID={uuid}"),
            _ => self.device.to_string(),
        }
    }

    /// Whether a source that fstab has stands for the declared device.
    fn is_same_source(&self, found: &str, block: Option<&BlockDevice>) -> bool {
        let wanted = self.fstab_source(block);
        if found == wanted {
            return true;
        }
        let Some(Contents::Known(signature)) = block.map(|block| &block.contents) else {
            return false;
        };
        match found.split_once('=') {
            Some(("UUID", uuid)) => signature.uuid.as_deref() == Some(uuid.trim_matches('"')),
            Some(("LABEL", label)) => signature.label.as_deref() == Some(label.trim_matches('"')),
            _ => false,
        }
    }

    /// The type, declared or found; an error where what is on the device is no filesystem.
    fn fs_type(&self, block: Option<&BlockDevice>) -> Result<String> {
        let Some(device) = self.device() else {
            return Ok(self.r#type.clone().unwrap_or_else(|| "nfs".to_owned()));
        };
        let block = block.with_context(|| format!("there is no device {device}"))?;
        let found = match &block.contents {
            Contents::Empty => bail!("{device} is empty: declare filesystem:{device}"),
            Contents::Unsure { why } => {
                return Err(Refused::because(
                    format!("{device} is not mounted, because nobody can tell what is on it: {why}"),
                    format!("look at it (blkid -p {device}; wipefs {device}; dmesg)"),
                ));
            }
            Contents::Known(signature) => signature,
        };
        if found.what.contains("_member") || NO_FILESYSTEMS.contains(&found.what.as_str()) {
            bail!("{device} carries {found}, which cannot be mounted");
        }
        match &self.r#type {
            Some(wanted) if *wanted != found.what && wanted != "auto" => {
                bail!("{device} carries {found}, not the declared {wanted}")
            }
            _ => Ok(found.what.clone()),
        }
    }
}

/// What blkid finds that is no filesystem.
const NO_FILESYSTEMS: [&str; 8] = ["swap", "crypto_LUKS", "gpt", "dos", "PMBR", "DM_snapshot_cow", "jbd", "bcache"];

/// Whether the kernel hands out this name by the order in which it finds disks.
fn is_unstable(device: &DevicePath) -> bool {
    let name = device.as_str().strip_prefix("/dev/").unwrap_or_default();
    !name.contains('/')
        && ["sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md", "loop", "nbd", "sr"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
}

impl Provider for Mount {
    type State = State;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        for option in &self.options {
            if option.is_empty() || option.contains([' ', '\t', '\n']) {
                return Err(PropertyError::of("options", format!("'{option}' is not a mount option")));
            }
            if option.contains(',') && !option.contains('"') {
                return Err(PropertyError::of("options", format!("'{option}' holds a comma: write each option by itself")));
            }
            if option == "bind" || option == "rbind" || option.starts_with("remount") {
                return Err(PropertyError::of("options", format!("'{option}' is not managed by glrl")));
            }
        }
        if self.target() == "/" {
            return Err(PropertyError::of("path", "the root is mounted before glrl runs"));
        }
        if matches!(self.device, MountSource::Named(_)) && self.r#type.is_none() {
            return Err(PropertyError::of("type", format!("'{}' is no device: say of what type it is", self.device)));
        }
        if self.wait.is_some() && !self.is_network() {
            return Err(PropertyError::of("wait", "only a network filesystem is waited for"));
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
            if self.persist && self.state == Presence::Mounted && is_unstable(device) && nameless {
                // fstab has to name it by the UUID that mkfs has yet to choose.
                return Ok(Reading::Unknown {
                    after: Id::new("filesystem", device.as_str()),
                });
            }
        }
        let mounts = known!(node.mounts()?);
        let mounted: Vec<Live> = mounts
            .iter()
            // systemd's automount point is no filesystem: what it waits for is mounted on it.
            .filter(|mount| mount.target == *self.path && mount.fs_type != "autofs")
            .cloned()
            .collect();
        let fstab = known!(node.contents(Path::new(FSTAB))?).unwrap_or_default();
        let fstab = std::str::from_utf8(&fstab).context("/etc/fstab is not UTF-8")?.to_owned();
        let ground = match self.state {
            Presence::Mounted if mounted.is_empty() => Some(known!(self.ground(node)?)),
            _ => None,
        };
        Ok(Reading::Known(State {
            block,
            mounted,
            entries: fstab::entries(&fstab).into_iter().filter(|entry| entry.target == self.target()).collect(),
            fstab,
            ground,
            systemd: known!(node.entry(Path::new("/run/systemd/system"))?).is_some(),
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
            Some(top) if !self.is_mine(top, current.block.as_ref()) => {
                return Err(Refused::because(
                    format!("{} is mounted on {}, not {}", top.source, self.path, self.device),
                    format!("unmount it (umount {}), or declare what is mounted there", self.path),
                ));
            }
            top => top,
        };
        match self.state {
            Presence::Mounted => self.mounted(current, mine),
            Presence::Absent => Ok(self.absent(current, mine)),
        }
    }

    fn provides(&self) -> Vec<Fact> {
        match self.state {
            Presence::Mounted => vec![Fact::Mounted(self.path.clone())],
            Presence::Absent => Vec::new(),
        }
    }

    fn requires(&self) -> Vec<Fact> {
        let parent = self.path.parent().and_then(Path::to_str).and_then(|parent| parent.parse().ok());
        let device = self.device().into_iter().flat_map(|device| [Fact::Filesystem(device.clone()), Fact::Device(device.clone())]);
        device.chain(parent.map(Fact::Path)).collect()
    }
}

impl Mount {
    /// Looks at the directory to mount on, and at those above it.
    fn ground(&self, node: &dyn Probe) -> Result<Reading<Ground>> {
        let mut ground = Ground::default();
        let mut above: Vec<AbsPath> = self.path.ancestors().filter_map(|path| path.to_str()?.parse().ok()).collect();
        above.reverse();
        for path in above {
            match known!(node.entry(&path)?) {
                None => ground.missing.push(path),
                Some(entry) => match entry.file_type {
                    FileType::Directory => {}
                    FileType::Link { target } => bail!("{path} is a link to {}: declare the path it stands for", target.display()),
                    _ => bail!("{path} is not a directory, so nothing can be mounted on it"),
                },
            }
        }
        if ground.missing.is_empty() {
            ground.names = known!(node.list(&self.path)?);
        }
        Ok(Reading::Known(ground))
    }

    fn mounted(&self, current: &State, mine: Option<&Live>) -> Result<Plan> {
        let fs_type = self.fs_type(current.block.as_ref())?;
        let wanted = self.all_options();
        let mut plan = Plan::to(if mine.is_some() { Action::Update } else { Action::Create });
        let entry = current.entries.first();
        let stale = entry.filter(|entry| !self.is_same_source(&entry.source, current.block.as_ref()));
        match mine {
            None => {
                if let Some(stale) = stale {
                    // systemd's unit of the old line would unmount what is mounted here once the old device is missed.
                    plan = Self::write(plan, current, fstab::remove(&current.fstab, &stale.target));
                }
                plan = self.mount(plan, current, &fs_type, &wanted)?;
            }
            Some(live) => plan = self.update_live(plan, live, entry, &fs_type, &wanted)?,
        }
        if self.persist {
            plan = self.persist(plan, current, stale.is_some(), &fs_type, &wanted);
        } else if entry.is_some() {
            plan = plan.change(Change::of("fstab", "yes", "no"));
            plan = Self::write(plan, current, fstab::remove(&current.fstab, self.target()));
        }
        if plan.is_empty() {
            plan.action = Action::None;
        }
        Ok(plan)
    }

    /// Mounts it, on a directory that has nothing to hide. fstab is written afterwards: a mount that fails leaves it as it was.
    fn mount(&self, mut plan: Plan, current: &State, fs_type: &str, wanted: &[String]) -> Result<Plan> {
        let ground = current.ground.as_ref().context("the mount point was not looked at")?;
        if !ground.names.is_empty() && !self.hide {
            let some: Vec<&str> = ground.names.iter().take(3).map(String::as_str).collect();
            return Err(Refused::because(
                format!(
                    "{} is not mounted, and its directory is not empty: it holds {}{}",
                    self.path,
                    some.join(", "),
                    if ground.names.len() > some.len() { " and more" } else { "" }
                ),
                "move what is there away, or set `hide: true` to mount over it",
            ));
        }
        for path in &ground.missing {
            plan = plan.op(Op::MakeDirectory {
                path: path.clone(),
                meta: Meta::default(),
            });
        }
        plan = plan
            .change(Change::new("device", &self.device))
            .change(Change::new("type", fs_type));
        if !wanted.is_empty() {
            plan = plan.change(Change::new("options", wanted.join(",")));
        }
        Ok(plan.op(Op::Run(self.mount_command(fs_type, wanted))))
    }

    fn mount_command(&self, fs_type: &str, wanted: &[String]) -> Command {
        let mut given = options::for_mounting(wanted);
        if self.is_network() {
            // One try; the trying again is glrl's.
            given.push("retry=0".to_owned());
        }
        let mut argv = vec!["mount".to_owned(), "-t".to_owned(), fs_type.to_owned()];
        if !given.is_empty() {
            argv.extend(["-o".to_owned(), given.join(",")]);
        }
        argv.extend([self.device.to_string(), self.path.to_string()]);
        let mut command = Command::new(argv).makes([self.makes(fs_type, wanted)]);
        if self.is_network() {
            command.timeout = NETWORK_TRY;
            command.patience = self.wait.unwrap_or(WAIT).get();
        }
        command
    }

    fn makes(&self, fs_type: &str, wanted: &[String]) -> Effect {
        Effect::Mounted(Live {
            source: self.device().map_or_else(|| self.device.to_string(), ToString::to_string),
            root: "/".into(),
            target: self.path.to_path_buf(),
            fs_type: fs_type.to_owned(),
            options: options::foreseen(wanted),
            device: String::new(),
        })
    }

    /// Makes the live mount follow the options. fstab's line, which is written last, is the witness of those that the kernel does
    /// not show: as long as it differs, they have not been put in effect.
    fn update_live(&self, mut plan: Plan, live: &Live, entry: Option<&Entry>, fs_type: &str, wanted: &[String]) -> Result<Plan> {
        let same_type = live.fs_type == fs_type || (self.is_network() && live.fs_type.starts_with("nfs") && fs_type.starts_with("nfs"));
        if !same_type {
            bail!("{} is mounted as {}, not as the declared {fs_type}: unmount it", self.path, live.fs_type);
        }
        if options::failed_to_read_only(&live.options) {
            return Err(Refused::because(
                format!("the kernel has turned the filesystem on {} read-only: it does so after an error", self.path),
                "look at dmesg and check the filesystem before anything is written to it",
            ));
        }
        let witness = entry.is_some_and(|entry| options::differ_to_the_kernel(&entry.options, wanted));
        if !options::contradict(&live.options, wanted, self.is_network()) && !witness {
            return Ok(plan);
        }
        plan = plan.change(Change::of("mounted with", live.options.join(","), options::for_mounting(wanted).join(",")));
        if self.is_network() {
            // A remount of NFS silently keeps most of the old options (nfs(5)).
            let mut mount = self.mount_command(fs_type, wanted);
            if self.persist && entry.is_some() {
                mount.otherwise.push(Op::Run(Command::new(["mount", self.target()])));
            }
            return Ok(plan.op(Op::Run(self.unmount())).op(Op::Run(mount)));
        }
        let remount = options::for_remounting(wanted).join(",");
        let argv = ["mount", "-o", &remount, self.device.as_str(), self.target()];
        Ok(plan.op(Op::Run(Command::new(argv).makes([self.makes(fs_type, wanted)]))))
    }

    fn unmount(&self) -> Command {
        Command::new(["umount", self.target()]).makes([Effect::Unmounted(self.path.to_path_buf())])
    }

    fn persist(&self, mut plan: Plan, current: &State, stale: bool, fs_type: &str, wanted: &[String]) -> Plan {
        let entry = current.entries.first();
        let block = current.block.as_ref();
        let source = match entry {
            // Another name of the same device is as good.
            Some(entry) if !stale => entry.source.clone(),
            _ => self.fstab_source(block),
        };
        let pass = if matches!(fs_type, "ext2" | "ext3" | "ext4") { 2 } else { 0 };
        let text = fstab::set(
            &current.fstab,
            &fstab::Wanted {
                source: &source,
                target: self.target(),
                fs_type: self.fstab_type(entry, fs_type),
                options: wanted,
                pass,
            },
        );
        if text == current.fstab {
            return plan;
        }
        plan = match entry {
            None => plan.change(Change::of("fstab", "no", "yes")),
            Some(_) => plan.change(Change::of(
                "fstab",
                super::Shown::Text(current.fstab.clone()),
                super::Shown::Text(text.clone()),
            )),
        };
        Self::write(plan, current, text)
    }

    /// `nfs4` and `auto` in fstab say as much as what is mounted.
    fn fstab_type<'a>(&self, entry: Option<&'a Entry>, fs_type: &'a str) -> &'a str {
        match entry.map(|entry| entry.fs_type.as_str()) {
            Some(found @ "nfs4") if self.is_network() && self.r#type.is_none() => found,
            Some(found @ "auto") if self.r#type.is_none() => found,
            _ => fs_type,
        }
    }

    /// Writes fstab, and has systemd make its units of it.
    fn write(mut plan: Plan, current: &State, text: String) -> Plan {
        plan = plan.op(Op::WriteFile {
            path: FSTAB.parse().unwrap_or_else(|_| unreachable!("it is an absolute path")),
            contents: text.into_bytes().into(),
            meta: Meta::default(),
            validate: None,
        });
        if current.systemd {
            plan = plan.op(Op::Unit {
                name: unit_of_fstab(),
                verb: UnitVerb::DaemonReload,
            });
        }
        plan
    }

    fn absent(&self, current: &State, mine: Option<&Live>) -> Plan {
        let mut plan = Plan::to(Action::Remove);
        if mine.is_some() {
            plan = plan
                .change(Change::gone("device", &self.device))
                .op(Op::Run(self.unmount()));
        }
        if !current.entries.is_empty() {
            plan = plan.change(Change::of("fstab", "yes", "no"));
            plan = Self::write(plan, current, fstab::remove(&current.fstab, self.target()));
        }
        if plan.is_empty() {
            plan.action = Action::None;
        }
        plan
    }
}

/// A reload concerns all units; this one names why.
fn unit_of_fstab() -> UnitName {
    "local-fs.target".parse().unwrap_or_else(|_| unreachable!("it is a unit's name"))
}
