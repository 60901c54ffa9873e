//! What a case says of its node.

use std::{collections::BTreeMap, path::PathBuf};

use glrl::{
    system::{
        Active, BlockDevice, Command, Contents, Effect, Enablement, Export, FileType, Geometry, Group, Meta, Mount, Op,
        Package, Probe, Reading, Signature, Swap, System, Unit, User,
    },
    value::{AbsPath, DevicePath, Mode, Owner, Size, UnitName},
};
use serde::Deserialize;

use super::{
    node::Disks,
    volumes::{self, Volume},
};

/// Things on a node; in `after`, those that are checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct State {
    directories: Vec<AbsPath>,
    files: BTreeMap<AbsPath, File>,
    links: BTreeMap<AbsPath, String>,
    /// Paths at which nothing stands.
    absent: Vec<AbsPath>,
    packages: Vec<String>,
    /// Packages that apt keeps at their version.
    held: Vec<String>,
    units: BTreeMap<UnitName, UnitState>,
    users: BTreeMap<String, Account>,
    groups: BTreeMap<String, u32>,
    devices: BTreeMap<DevicePath, Disk>,
    volume_groups: BTreeMap<String, volumes::Group>,
    logical_volumes: BTreeMap<String, Volume>,
    mounts: BTreeMap<AbsPath, Mounted>,
    /// What the kernel swaps to, with its priority.
    swaps: BTreeMap<PathBuf, i32>,
    /// Directories and their clients, as the server exports them.
    exports: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Programs, with their arguments, that succeed as guards; all others fail. Not checked.
    pub(super) passes: Vec<String>,
    /// Of these, those that succeed no longer.
    pub(super) fails: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    content: Option<String>,
    mode: Option<Mode>,
    owner: Option<Owner>,
    group: Option<Owner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitState {
    running: bool,
    enabled: bool,
    #[serde(default)]
    masked: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    uid: u32,
    #[serde(default)]
    shell: String,
    #[serde(default)]
    home: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// A disk: what is on it is `empty`, a signature, or `unsure: why`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    size: Size,
    contents: String,
    uuid: Option<String>,
    label: Option<String>,
    /// How much of the disk its filesystem spans; all of it where nothing is said.
    spans: Option<Size>,
    #[serde(default)]
    read_only: bool,
    in_use: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mounted {
    source: String,
    /// The part of its filesystem that it is.
    root: Option<PathBuf>,
    #[serde(rename = "type")]
    fs_type: String,
    #[serde(default)]
    options: Vec<String>,
}

impl State {
    /// The node that the case starts from: bare, with these disks.
    pub(super) fn base(&self) -> Disks {
        let device = |(path, disk): (&DevicePath, &Disk)| {
            (
                path.to_path_buf(),
                BlockDevice {
                    path: path.to_path_buf(),
                    size: disk.size.get(),
                    read_only: disk.read_only,
                    in_use: disk.in_use.clone(),
                    contents: disk.contents(),
                },
            )
        };
        Disks(self.devices.iter().map(device).collect())
    }

    /// Puts on its devices what it says of them, as a program does that writes to them.
    pub(super) fn fill_devices(&self, node: &dyn System) {
        let contents = |(path, disk): (&DevicePath, &Disk)| Effect::Contents(path.clone(), disk.contents());
        let command = Command::new(["case"]).makes(self.devices.iter().map(contents));
        node.execute(&Op::Run(command)).expect("an overlay takes any operation");
    }

    /// Makes it true.
    pub(super) fn establish(&self, node: &dyn System) {
        let execute = |op: Op| node.execute(&op).expect("an overlay takes any operation");
        let effects = |effects: Vec<Effect>| execute(Op::Run(Command::new(["case"]).makes(effects)));
        for path in &self.directories {
            execute(Op::MakeDirectory {
                path: path.clone(),
                meta: Meta::default(),
            });
        }
        for (path, file) in &self.files {
            let contents = file.content.as_deref().unwrap_or_default().as_bytes().into();
            let meta = Meta {
                mode: file.mode,
                owner: file.owner.clone(),
                group: file.group.clone(),
            };
            execute(Op::WriteFile {
                path: path.clone(),
                contents,
                meta,
                validate: None,
            });
        }
        for (path, target) in &self.links {
            execute(Op::MakeLink {
                path: path.clone(),
                target: target.into(),
            });
        }
        for path in &self.absent {
            execute(Op::Remove { path: path.clone() });
        }
        let packages = self.packages.iter().map(|name| (name, false));
        for (name, hold) in packages.chain(self.held.iter().map(|name| (name, true))) {
            let package = Package {
                version: "1.0".to_owned(),
                hold,
                configured: true,
            };
            effects(vec![Effect::Package(name.clone(), Some(package))]);
        }
        for (name, unit) in &self.units {
            effects(vec![Effect::Unit(name.clone(), Some(unit.unit()))]);
        }
        for (name, gid) in &self.groups {
            let group = Group {
                name: name.clone(),
                gid: Some(*gid),
                members: Vec::new(),
            };
            effects(vec![Effect::Group(name.clone(), Some(group))]);
        }
        for (name, account) in &self.users {
            let user = User {
                name: name.clone(),
                uid: Some(account.uid),
                gid: Some(account.uid),
                comment: account.comment.clone(),
                home: account.home.clone(),
                shell: account.shell.clone(),
                groups: account.groups.clone(),
            };
            effects(vec![Effect::User(name.clone(), Some(user))]);
        }
        effects(volumes::effects(&self.volume_groups, &self.logical_volumes));
        for (target, mounted) in &self.mounts {
            let mount = Mount {
                source: mounted.source.clone(),
                root: mounted.root.clone().unwrap_or_else(|| "/".into()),
                target: target.to_path_buf(),
                fs_type: mounted.fs_type.clone(),
                options: mounted.options.clone(),
                device: String::new(),
            };
            effects(vec![Effect::Mounted(mount)]);
        }
        for (path, priority) in &self.swaps {
            let swap = Swap {
                path: path.clone(),
                priority: *priority,
            };
            effects(vec![Effect::Swap(path.clone(), Some(swap))]);
        }
        if !self.exports.is_empty() {
            effects(vec![Effect::Exported(self.exports())]);
        }
    }

    fn exports(&self) -> Vec<Export> {
        let clients = |(path, clients): (&String, &BTreeMap<String, Vec<String>>)| {
            let export = |(client, options): (&String, &Vec<String>)| Export {
                path: path.clone(),
                client: client.clone(),
                options: options.clone(),
            };
            clients.iter().map(export).collect::<Vec<_>>()
        };
        self.exports.iter().flat_map(clients).collect()
    }

    /// An error says in what the node differs from it.
    pub(super) fn compare(&self, node: &dyn Probe) -> Result<(), String> {
        for path in &self.directories {
            let entry = known(node.entry(path))?.ok_or_else(|| format!("{path} is missing"))?;
            same(path, "type", &entry.file_type, &FileType::Directory)?;
        }
        for (path, file) in &self.files {
            let entry = known(node.entry(path))?.ok_or_else(|| format!("{path} is missing"))?;
            if let Some(content) = &file.content {
                let found = known(node.contents(path))?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                same(path, "contents", &found.as_ref(), &Some(content))?;
            }
            if let Some(mode) = file.mode {
                same(path, "mode", &entry.mode, &mode)?;
            }
            if let Some(owner) = &file.owner {
                same(path, "owner", &entry.owner, owner)?;
            }
            if let Some(group) = &file.group {
                same(path, "group", &entry.group, group)?;
            }
        }
        for (path, target) in &self.links {
            let entry = known(node.entry(path))?.ok_or_else(|| format!("{path} is missing"))?;
            same(
                path,
                "type",
                &entry.file_type,
                &FileType::Link { target: target.into() },
            )?;
        }
        for path in &self.absent {
            same(path, "entry", &known(node.entry(path))?, &None)?;
        }
        for name in &self.packages {
            known(node.package(name))?.ok_or_else(|| format!("package {name} is missing"))?;
        }
        for name in &self.held {
            let package = known(node.package(name))?.ok_or_else(|| format!("package {name} is missing"))?;
            same(name, "hold", &package.hold, &true)?;
        }
        for (name, unit) in &self.units {
            same(name, "state", &known(node.unit(name))?, &Some(unit.unit()))?;
        }
        for (name, account) in &self.users {
            let user = known(node.user(name))?.ok_or_else(|| format!("user {name} is missing"))?;
            same(name, "uid", &user.uid, &Some(account.uid))?;
            same(name, "groups", &user.groups, &account.groups)?;
            same(name, "shell", &user.shell, &account.shell)?;
            same(name, "home", &user.home, &account.home)?;
        }
        for (name, gid) in &self.groups {
            let group = known(node.group(name))?.ok_or_else(|| format!("group {name} is missing"))?;
            same(name, "gid", &group.gid, &Some(*gid))?;
        }
        for (device, disk) in &self.devices {
            let block = known(node.block(device))?.ok_or_else(|| format!("{device} is missing"))?;
            let contents = match block.contents {
                Contents::Empty => "empty".to_owned(),
                Contents::Known(signature) => signature.what,
                Contents::Unsure { why } => format!("unsure: {why}"),
            };
            same(device, "contents", &contents, &disk.contents)?;
            same(device, "size", &block.size, &disk.size.get())?;
        }
        volumes::compare(&self.volume_groups, &self.logical_volumes, node)?;
        for (target, mounted) in &self.mounts {
            let mounts = known(node.mounts())?;
            let found = mounts.iter().rev().find(|mount| mount.target == **target);
            let found = found.ok_or_else(|| format!("nothing is mounted at {target}"))?;
            same(target, "source", &found.source, &mounted.source)?;
            if let Some(root) = &mounted.root {
                same(target, "root", &found.root, root)?;
            }
            if let Some(option) = mounted.options.iter().find(|option| !found.options.contains(option)) {
                return Err(format!("{target} is mounted with {:?}, not {option}", found.options));
            }
        }
        let swaps = known(node.swaps())?;
        for (path, priority) in &self.swaps {
            let found = swaps.iter().find(|swap| swap.path == *path).map(|swap| swap.priority);
            same(&path.display(), "priority", &found, &Some(*priority))?;
        }
        let live = known(node.exports())?;
        for wanted in self.exports() {
            let client = live
                .iter()
                .find(|export| export.path == wanted.path && export.client == wanted.client)
                .ok_or_else(|| format!("{} is not exported to {}", wanted.path, wanted.client))?;
            if let Some(option) = wanted.options.iter().find(|option| !client.options.contains(option)) {
                return Err(format!(
                    "{} is exported with {:?}, not {option}",
                    wanted.path, client.options
                ));
            }
        }
        Ok(())
    }
}

impl Disk {
    fn contents(&self) -> Contents {
        match self.contents.split_once(": ") {
            Some(("unsure", why)) => Contents::Unsure { why: why.to_owned() },
            _ if self.contents == "empty" => Contents::Empty,
            _ => Contents::Known(Signature {
                what: self.contents.clone(),
                uuid: self.uuid.clone(),
                label: self.label.clone(),
                geometry: self.spans.map(|size| Geometry {
                    block: 4096,
                    blocks: size.get() / 4096,
                    step: 1,
                    first: 0,
                    group: 0,
                    least: 0,
                }),
                ..Signature::default()
            }),
        }
    }
}

impl UnitState {
    fn unit(&self) -> Unit {
        let active = if self.running { Active::Active } else { Active::Inactive };
        let enablement = match (self.masked, self.enabled) {
            (true, _) => Enablement::Masked,
            (false, true) => Enablement::Enabled,
            (false, false) => Enablement::Disabled,
        };
        Unit {
            active,
            enablement,
            ends: false,
        }
    }
}

pub(super) fn known<T>(answer: anyhow::Result<Reading<T>>) -> Result<T, String> {
    match answer.map_err(|error| format!("{error:#}"))? {
        Reading::Known(value) => Ok(value),
        Reading::Unknown { after } => Err(format!("known after {after} only")),
    }
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    of: &(impl std::fmt::Display + ?Sized),
    what: &str,
    found: &T,
    wanted: &T,
) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what} of {of} is {found:?} and should be {wanted:?}"))
    }
}
