//! `nfs_export`: a directory that other machines may mount.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    exports_file::{self as file, Entry},
    fstab,
};
use crate::{
    system::{Bytes, Claim, Command, Effect, Export, FileType, Meta, Op, Probe, Reading, Refused, known, place},
    value::{AbsPath, NfsClient, one_spelling},
};

/// A directory exported by NFS, and to whom. It has a file of its own in /etc/exports.d.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NfsExport {
    /// The directory.
    path: AbsPath,
    /// Clients and their options (exports(5)). Without any client the directory is exported to nobody.
    clients: BTreeMap<NfsClient, Vec<String>>,
}

const EXPORTS: &str = "/etc/exports";
const DIRECTORY: &str = "/etc/exports.d";

/// What the files say, and what the server does.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    /// The directory's own file.
    own: Option<Bytes>,
    /// Whether /etc/exports.d is there.
    directory: bool,
    /// Lines of other files that export the directory, with the file each is in.
    others: Vec<(String, Entry)>,
    /// What files have of other directories: exportfs puts that in effect too.
    elsewhere: Vec<Entry>,
    /// What the directory is called without links: so the server shows it.
    place: String,
    /// What is exported now.
    live: Vec<Export>,
    /// A mount point at or above the directory that fstab has and that is not mounted.
    unmounted: Option<String>,
    /// Whether the directory is there.
    exists: bool,
}

impl NfsExport {
    pub(super) const EXAMPLE: &str = "path: /backup\nclients:\n  192.168.56.11: [rw, sync, no_root_squash]\n";

    fn file(&self) -> Result<AbsPath> {
        let path = format!("{DIRECTORY}/{}", file::file_name(&self.path));
        path.parse().map_err(anyhow::Error::msg)
    }

    /// Which live export is which declared client's, and those that are nobody's. A host that is declared by its name is shown by
    /// another one that it has, so it may take any host that no line names otherwise and that has its options.
    fn matched<'a>(&'a self, current: &'a State) -> Matched<'a> {
        let mut left: Vec<&Export> = current
            .live
            .iter()
            .filter(|export| export.path == current.place)
            .collect();
        let mut take = |is: &dyn Fn(&Export) -> bool| {
            let at = left.iter().position(|export| is(export))?;
            Some(left.remove(at))
        };
        let mut own: Vec<_> = self
            .clients
            .iter()
            .map(|(client, options)| {
                (
                    client,
                    options,
                    take(&|export| is_same(&export.client, client.as_str())),
                )
            })
            .collect();
        let mut named: Vec<&Entry> = Vec::new();
        for (_, entry) in &current.others {
            if take(&|export| is_same(&export.client, &entry.client)).is_none() {
                named.push(entry);
            }
        }
        for (client, options, export) in &mut own {
            if export.is_none() && client.is_host_name() {
                *export = take(&|export| is_host(&export.client) && file::in_effect(&export.options, options));
            }
        }
        for entry in named {
            if entry
                .client
                .parse()
                .is_ok_and(|client: NfsClient| client.is_host_name())
            {
                take(&|export| is_host(&export.client));
            }
        }
        Matched { own, left }
    }

    /// What is exported once exportfs has read the files.
    fn makes(&self, current: &State) -> Effect {
        let foreign = |export: &&Export| {
            export.path != current.place
                || current
                    .others
                    .iter()
                    .any(|(_, entry)| is_same(&entry.client, &export.client))
        };
        let own = self.clients.iter().map(|(client, options)| Export {
            path: current.place.clone(),
            client: client.to_string(),
            options: file::effective(options).into_iter().collect(),
        });
        // A host that has a name is shown by another one, and may be there already.
        let is_live = |entry: &&Entry| {
            let is_name = entry
                .client
                .parse()
                .is_ok_and(|client: NfsClient| client.is_host_name());
            let mut there = current.live.iter().filter(|export| export.path == entry.path);
            there.any(|export| is_same(&export.client, &entry.client) || (is_name && is_host(&export.client)))
        };
        let elsewhere = current
            .elsewhere
            .iter()
            .filter(|entry| !is_live(entry))
            .map(|entry| Export {
                path: entry.path.clone(),
                client: entry.client.clone(),
                options: file::effective(&entry.options).into_iter().collect(),
            });
        Effect::Exported(
            current
                .live
                .iter()
                .filter(foreign)
                .cloned()
                .chain(own)
                .chain(elsewhere)
                .collect(),
        )
    }
}

impl Provider for NfsExport {
    type State = State;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        let mut spellings = BTreeMap::new();
        for (client, options) in &self.clients {
            if let Some(other) = spellings.insert(client.one_spelling(), client) {
                return Err(PropertyError::of(
                    "clients",
                    format!("'{other}' and '{client}' are the same client: name it once"),
                ));
            }
            for option in options {
                file::check_option(option).map_err(|message| PropertyError::of("clients", message))?;
            }
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let own = self.file()?;
        let fstab = known!(node.contents(Path::new("/etc/fstab"))?).unwrap_or_default();
        let mounts = known!(node.mounts()?);
        let unmounted = fstab::entries(&String::from_utf8_lossy(&fstab))
            .into_iter()
            .map(|entry| entry.target)
            .filter(|target| target.starts_with('/') && target != "/" && self.path.starts_with(target))
            .find(|target| {
                !mounts
                    .iter()
                    .any(|mount| mount.target == Path::new(target) && mount.fs_type != "autofs")
            });
        let is_directory = |path: &Path| -> Result<Reading<bool>> {
            Ok(node
                .entry(path)?
                .map(|entry| entry.is_some_and(|entry| entry.file_type == FileType::Directory)))
        };
        let place = place(node, &self.path)?;
        let (others, elsewhere) = known!(others(node, &own, &place)?);
        Ok(Reading::Known(State {
            directory: known!(is_directory(Path::new(DIRECTORY))?),
            others,
            elsewhere,
            place: place.to_string_lossy().into_owned(),
            own: known!(node.contents(&own)?),
            live: known!(node.exports()?).to_vec(),
            unmounted,
            exists: known!(is_directory(&self.path)?),
        }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        let own = self.file()?;
        for (place, entry) in &current.others {
            if self
                .clients
                .keys()
                .any(|client| is_same(client.as_str(), &entry.client))
            {
                bail!(
                    "{} is exported to {} by {place} line {} too, and the later of two wins: remove that line, or this client",
                    self.path,
                    entry.client,
                    entry.line
                );
            }
        }
        if self.clients.is_empty() {
            return Ok(self.to_nobody(current, own));
        }
        if let Some(target) = &current.unmounted {
            return Err(Refused::because(
                format!(
                    "{} is not exported, because {target} is in fstab and is not mounted: clients would fill the disk below",
                    self.path
                ),
                format!("mount it (mount {target}), or see why it is not"),
            ));
        }
        if !current.exists {
            bail!(
                "there is no directory {} to export: declare it, or the mount",
                self.path
            );
        }
        let wanted = file::render(&self.path, &self.clients);
        let written = current.own.as_deref() == Some(wanted.as_bytes());
        let mut plan = Plan::none();
        let matched = self.matched(current);
        if !written || !matched.in_effect() {
            plan = Plan::to(if current.own.is_some() {
                Action::Update
            } else {
                Action::Create
            });
            if !written && !current.directory {
                plan = plan.op(Op::MakeDirectory {
                    path: DIRECTORY.parse().map_err(anyhow::Error::msg)?,
                    meta: Meta::default(),
                });
            }
            let mut export = self.export(current);
            if !written {
                plan = plan.op(Op::WriteFile {
                    path: own.clone(),
                    contents: wanted.into_bytes().into(),
                    meta: Meta::default(),
                    validate: None,
                });
                export.otherwise = take_back(own, current.own.as_ref());
            }
            plan.changes = matched.changes();
            if plan.changes.is_empty() {
                plan = plan.change(Change::of("file", "other text", "as declared"));
            }
            plan = plan.op(Op::Run(export));
        }
        for (client, options) in &self.clients {
            if !options.iter().any(|option| option == "no_root_squash") {
                continue;
            }
            if client.is_everybody() {
                plan = plan.warn(format!(
                    "{} is exported to every machine with no_root_squash: any root anywhere is root on it",
                    self.path
                ));
            } else if client.is_pattern() {
                plan = plan.warn(format!(
                    "{} is exported to {client} with no_root_squash: whoever gives a machine such a name is root on it",
                    self.path
                ));
            }
        }
        Ok(plan)
    }

    fn is_absent(&self) -> bool {
        self.clients.is_empty()
    }

    fn provides(&self) -> Vec<Claim> {
        self.file().map(Claim::Path).into_iter().collect()
    }

    fn requires(&self) -> Vec<Claim> {
        vec![Claim::Path(self.path.clone())]
    }
}

impl NfsExport {
    fn export(&self, current: &State) -> Command {
        Command::new(["exportfs", "-ra"]).makes([self.makes(current)])
    }

    fn to_nobody(&self, current: &State, own: AbsPath) -> Plan {
        let matched = self.matched(current);
        if current.own.is_none() && matched.in_effect() {
            return Plan::none();
        }
        let mut plan = Plan::to(Action::Remove);
        plan.changes = matched.changes();
        if current.own.is_some() {
            plan = plan.op(Op::Remove { path: own });
        }
        plan.op(Op::Run(self.export(current)))
    }
}

/// See `NfsExport::matched`.
struct Matched<'a> {
    own: Vec<(&'a NfsClient, &'a Vec<String>, Option<&'a Export>)>,
    left: Vec<&'a Export>,
}

impl Matched<'_> {
    /// Whether the server exports exactly what is declared.
    fn in_effect(&self) -> bool {
        let right = |(_, options, export): &(_, &Vec<String>, Option<&Export>)| {
            export.is_some_and(|export| file::in_effect(&export.options, options))
        };
        self.left.is_empty() && self.own.iter().all(right)
    }

    /// Client by client, before and after.
    fn changes(&self) -> Vec<Change> {
        let property = |client: &str| format!("client {client}");
        let mut changes = Vec::new();
        for (client, options, export) in &self.own {
            let after = if options.is_empty() {
                "default options".to_owned()
            } else {
                options.join(",")
            };
            match export {
                None => changes.push(Change::new(property(client.as_str()), after)),
                Some(export) if file::in_effect(&export.options, options) => {}
                Some(export) => changes.push(Change::of(property(client.as_str()), export.options.join(","), after)),
            }
        }
        let gone = |export: &&Export| Change::gone(property(&export.client), export.options.join(","));
        changes.extend(self.left.iter().map(gone));
        changes
    }
}

/// See `others`.
type Others = (Vec<(String, Entry)>, Vec<Entry>);

/// Entries of other files than its own: those for the directory of this place, and all others.
fn others(node: &dyn Probe, own: &AbsPath, own_place: &Path) -> Result<Reading<Others>> {
    let mut files = vec![EXPORTS.to_owned()];
    let names = known!(node.list(Path::new(DIRECTORY))?);
    for name in names.iter().filter_map(|name| name.to_str()) {
        // exportfs reads no others.
        if name.ends_with(".exports") && !name.starts_with('.') {
            files.push(format!("{DIRECTORY}/{name}"));
        }
    }
    let (mut found, mut elsewhere) = (Vec::new(), Vec::new());
    for path in files.into_iter().filter(|path| path != own.as_str()) {
        let Some(bytes) = known!(node.contents(Path::new(&path))?) else {
            continue;
        };
        let text = std::str::from_utf8(&bytes).with_context(|| format!("{path} is not UTF-8"))?;
        for entry in file::entries(text) {
            if is_place(node, &entry.path, own_place) {
                found.push((path.clone(), entry));
            } else {
                elsewhere.push(entry);
            }
        }
    }
    Ok(Reading::Known((found, elsewhere)))
}

/// Whether two clients are the same, however they are spelled.
fn is_same(one: &str, other: &str) -> bool {
    one_spelling(one) == one_spelling(other)
}

/// Whether a path of an exports file is this place, through whatever links it leads there.
fn is_place(node: &dyn Probe, path: &str, own: &Path) -> bool {
    match path.parse::<AbsPath>() {
        // `place` follows what is above the last part.
        // A path that somebody bends is another place.
        Ok(path) => &*path == own || place(node, &path.join("_")).is_ok_and(|place| place.parent() == Some(own)),
        Err(_) => false,
    }
}

/// Whether a client that the server shows is one host.
fn is_host(client: &str) -> bool {
    !client.contains(['*', '?', '[', '/']) && !client.starts_with('@')
}

/// Puts the file back as it was, and has the server read it again.
fn take_back(own: AbsPath, before: Option<&Bytes>) -> Vec<Op> {
    let restore = match before {
        Some(contents) => Op::WriteFile {
            path: own,
            contents: contents.clone(),
            meta: Meta::default(),
            validate: None,
        },
        None => Op::Remove { path: own },
    };
    vec![restore, Op::Run(Command::new(["exportfs", "-ra"]))]
}
