//! The node glrl runs on, or an offline tree of files (`--root DIR`). One file for each source of knowledge; each batch source
//! is read once and kept until an operation touches it.

mod accounts;
mod apt;
mod block;
mod devices;
mod explain;
mod exports;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
pub(super) mod kernel;
mod lvm;
mod mounts;
mod move_data;
mod packages;
mod remote;
mod run;
mod swaps;
pub(super) mod tree;
mod units;

use std::{
    collections::HashMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};

pub use self::mounts::mounts_of_process;

use super::{
    Amount, BlockDevice, Bytes, Entry, Export, Foretold, Group, Guard, Identity, KeepAt, Lvm, Meta, Mount, Op, Package,
    Probe, Reading, Refused, Stray, Swap, System, Unit, Usage, User, crontab, programs::Program, state,
};
use crate::value::{DevicePath, Owner, UnitName};

/// The node glrl runs on.
#[derive(Debug)]
pub struct LocalNode {
    tree: tree::Tree,
    /// False for an offline tree, in which only files, directories, links and accounts can be seen and changed.
    live: bool,
    accounts: Cache<accounts::Accounts>,
    packages: Cache<packages::Packages>,
    /// What apt has said of transactions; forgotten with the packages.
    foretold: Mutex<HashMap<Transaction, Foretold>>,
    lists: apt::Lists,
    units: units::Units,
    mounts: Cache<Vec<Mount>>,
    blocks: Mutex<HashMap<DevicePath, Option<BlockDevice>>>,
    lvm: Cache<Lvm>,
    exports: Cache<Vec<Export>>,
    remotes: Cache<Vec<remote::Remote>>,
}

/// What is to be installed, and what removed.
type Transaction = (Vec<String>, Vec<String>);

/// A batch source: read when first asked for, kept until forgotten.
#[derive(Debug)]
struct Cache<T>(Mutex<Option<Arc<T>>>);

impl<T> Cache<T> {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What was read before, or what `read` reads now. An error is not kept.
    fn get(&self, read: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.as_ref() {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(read()?);
        *kept = Some(Arc::clone(&value));
        Ok(value)
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl LocalNode {
    /// The machine glrl runs on.
    pub fn live() -> Result<Self> {
        Self::new(Path::new("/"), true)
    }

    /// A tree of files below `root` that nobody runs: a chroot, an image. Absolute links inside it stay inside.
    pub fn offline(root: &Path) -> Result<Self> {
        Self::new(root, false)
    }

    fn new(root: &Path, live: bool) -> Result<Self> {
        Ok(Self {
            tree: tree::Tree::shared(root)?,
            live,
            accounts: Cache::new(),
            packages: Cache::new(),
            foretold: Mutex::default(),
            lists: apt::Lists::default(),
            units: units::Units::default(),
            mounts: Cache::new(),
            blocks: Mutex::default(),
            lvm: Cache::new(),
            exports: Cache::new(),
            remotes: Cache::new(),
        })
    }

    /// Announces the units that will be asked for, so that systemd is asked once for all of them. Without it the answers are
    /// the same, and take a call each.
    pub fn expect_units(&self, names: impl IntoIterator<Item = UnitName>) {
        self.units.expect(names);
    }

    /// An error for what an offline tree has none of.
    fn must_be_live(&self, what: &str) -> Result<()> {
        if !self.live {
            bail!("{what} cannot be managed in an offline tree (--root)");
        }
        Ok(())
    }

    /// Drops what an operation may have changed from the batch sources.
    fn forget(&self, op: &Op) {
        match op {
            Op::WriteFile { .. } | Op::Remove { .. } | Op::MakeLink { .. } | Op::Purge { .. } => {
                if changes(op, units::is_unit_file) {
                    self.units.forget();
                }
                if changes(op, |path| path.starts_with("/etc")) {
                    self.foretold.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    self.accounts.forget();
                }
            }
            Op::MakeDirectory { .. } | Op::MakeHome { .. } | Op::SetMeta { .. } | Op::Crontab { .. } => {}
            Op::Unit { .. } => {
                self.units.forget();
                self.forget_storage();
            }
            Op::Install { .. } | Op::Uninstall { .. } | Op::Run(_) | Op::MoveData(_) | Op::FinishMove { .. } => {
                self.accounts.forget();
                self.packages.forget();
                self.foretold.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.units.forget();
                self.forget_storage();
            }
        }
    }

    fn forget_storage(&self) {
        self.mounts.forget();
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.lvm.forget();
        self.exports.forget();
        self.remotes.forget();
    }

    /// An error for a path on a filesystem whose server does not answer; a link at its end is followed if `follow` says so.
    fn answers(&self, path: &Path, follow: bool) -> Result<()> {
        if self.live {
            remote::check(&self.remotes.get(remote::read)?, path, follow)?;
        }
        Ok(())
    }
}

impl Probe for LocalNode {
    fn entry(&self, path: &Path) -> Result<Reading<Option<Entry>>> {
        self.answers(path, false)?;
        self.tree.entry(path).map(Reading::Known)
    }

    fn contents(&self, path: &Path) -> Result<Reading<Option<Bytes>>> {
        self.answers(path, false)?;
        self.tree.contents(path).map(Reading::Known)
    }

    fn editable(&self, path: &Path) -> Result<Reading<Option<Bytes>>> {
        self.answers(path, false)?;
        self.tree.editable(path).map(Reading::Known)
    }

    fn list(&self, path: &Path) -> Result<Reading<Vec<OsString>>> {
        self.answers(path, true)?;
        self.tree.list(path).map(Reading::Known)
    }

    fn strays(&self, directory: &Path, keep: KeepAt<'_>) -> Result<Reading<Vec<Stray>>> {
        self.answers(directory, true)?;
        let own = [state::OF_MACHINE, state::OF_TREE].map(|path| self.tree.identity(Path::new(path)));
        let own: Vec<Identity> = own.into_iter().filter_map(|found| found.ok().flatten()).collect();
        self.tree.strays(directory, keep, &own).map(Reading::Known)
    }

    fn amount(&self, directory: &Path) -> Result<Reading<Amount>> {
        self.answers(directory, true)?;
        move_data::amount(&self.tree.outside(directory)?).map(Reading::Known)
    }

    fn user(&self, name: &str) -> Result<Reading<Option<User>>> {
        let accounts = self.accounts.get(|| accounts::Accounts::read(&self.tree))?;
        Ok(Reading::Known(accounts.user(name).cloned()))
    }

    fn group(&self, name: &str) -> Result<Reading<Option<Group>>> {
        let accounts = self.accounts.get(|| accounts::Accounts::read(&self.tree))?;
        Ok(Reading::Known(accounts.group(name).cloned()))
    }

    fn users(&self) -> Result<Reading<Vec<User>>> {
        let accounts = self.accounts.get(|| accounts::Accounts::read(&self.tree))?;
        Ok(Reading::Known(accounts.users().cloned().collect()))
    }

    fn groups(&self) -> Result<Reading<Vec<Group>>> {
        let accounts = self.accounts.get(|| accounts::Accounts::read(&self.tree))?;
        Ok(Reading::Known(accounts.groups().cloned().collect()))
    }

    fn package(&self, name: &str) -> Result<Reading<Option<Package>>> {
        let packages = self.packages.get(|| packages::Packages::read(&self.tree))?;
        Ok(Reading::Known(packages.get(name)))
    }

    fn leftover(&self, name: &str) -> Result<Reading<bool>> {
        let packages = self.packages.get(|| packages::Packages::read(&self.tree))?;
        Ok(Reading::Known(packages.is_leftover(name)))
    }

    fn transaction(&self, install: &[String], remove: &[String]) -> Result<Foretold> {
        if !self.live {
            return Ok(Foretold::Unknown);
        }
        let mut kept = self.foretold.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = (install.to_vec(), remove.to_vec());
        if let Some(foretold) = kept.get(&asked) {
            return Ok(foretold.clone());
        }
        let foretold = apt::foretell(&self.tree, install, remove)?;
        kept.insert(asked, foretold.clone());
        Ok(foretold)
    }

    fn unit(&self, name: &UnitName) -> Result<Reading<Option<Unit>>> {
        self.must_be_live("units")?;
        self.units.get(name).map(Reading::Known)
    }

    fn mounts(&self) -> Result<Reading<Arc<Vec<Mount>>>> {
        self.must_be_live("mounts")?;
        self.mounts.get(mounts::read).map(Reading::Known)
    }

    fn is_mount_point(&self, path: &Path) -> Result<Reading<bool>> {
        let target = self.tree.outside(path)?;
        let is_in = |mounts: &[Mount]| mounts.iter().any(|mount| mount.target == target);
        let now = is_in(&mounts::read()?);
        if now != is_in(&self.mounts.get(mounts::read)?) {
            self.forget_storage();
        }
        Ok(Reading::Known(now))
    }

    fn check_reachable(&self, path: &Path) -> Result<()> {
        self.answers(path, false)
    }

    fn usage(&self, mount_point: &Path) -> Result<Reading<Usage>> {
        self.must_be_live("mounts")?;
        self.answers(mount_point, true)?;
        mounts::usage(mount_point).map(Reading::Known)
    }

    fn block(&self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        self.must_be_live("block devices")?;
        let mut kept = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = kept.get(device) {
            return Ok(Reading::Known(block.clone()));
        }
        let block = block::read(device, &self.mounts.get(mounts::read)?)?;
        kept.insert(device.clone(), block.clone());
        Ok(Reading::Known(block))
    }

    fn lvm(&self) -> Result<Reading<Arc<Lvm>>> {
        self.must_be_live("LVM")?;
        self.lvm.get(lvm::read).map(Reading::Known)
    }

    fn swaps(&self) -> Result<Reading<Arc<Vec<Swap>>>> {
        self.must_be_live("swap")?;
        swaps::read().map(Arc::new).map(Reading::Known)
    }

    fn exports(&self) -> Result<Reading<Arc<Vec<Export>>>> {
        self.must_be_live("exports")?;
        self.exports.get(exports::read).map(Reading::Known)
    }

    fn guard(&self, guard: &Guard) -> Result<Reading<bool>> {
        self.must_be_live("programs")?;
        guard::passes(guard).map(Reading::Known)
    }

    fn check_supported(&self, op: &Op) -> Result<()> {
        match op {
            Op::Unit { .. } => self.must_be_live("units"),
            Op::Install { .. } | Op::Uninstall { .. } => self.must_be_live("packages"),
            Op::MoveData(_) | Op::FinishMove { .. } => self.must_be_live("mounts"),
            Op::Run(command) if !self.live => run::admits_offline(command),
            _ => Ok(()),
        }
    }

    fn check(&self, op: &Op) -> Result<Option<String>> {
        if let Op::Remove { path } = op
            && [state::OF_MACHINE, state::OF_TREE]
                .iter()
                .any(|own| path.starts_with(own))
        {
            return Err(Refused::because(
                format!("{path} is of glrl's own state, and is not removed while glrl runs"),
                "leave it out of the role",
            ));
        }
        let numbers = |meta: &Meta| op.path().and_then(|path| self.resolve(path, meta).ok());
        self.tree.check(op, numbers)
    }
}

impl System for LocalNode {
    fn execute(&self, op: &Op) -> Result<()> {
        // Forgotten also when it fails: it may have done a part.
        let result = self.carry_out(op);
        self.forget(op);
        result?;
        if self.live && changes(op, units::is_unit_file) {
            units::unit_files_changed()?;
        }
        Ok(())
    }

    fn discard(&self, temporary: &Path) -> Result<()> {
        self.tree.discard_directory(temporary)
    }

    fn temporary(&self, path: &Path) -> Option<PathBuf> {
        self.tree.temporary(path)
    }
}

/// Whether an operation replaces or removes one of these files.
fn changes(op: &Op, which: impl Fn(&Path) -> bool) -> bool {
    match op {
        Op::WriteFile { path, .. } | Op::Remove { path } | Op::MakeLink { path, .. } => which(path),
        Op::Purge { directory, strays } => strays.iter().any(|stray| which(&directory.join(&stray.path))),
        _ => false,
    }
}

impl LocalNode {
    /// Names to numbers.
    fn resolve(&self, path: &Path, meta: &Meta) -> Result<tree::Numbers> {
        let accounts = self.accounts.get(|| accounts::Accounts::read(&self.tree))?;
        let uid = match &meta.owner {
            None => None,
            Some(Owner::Id(id)) => Some(*id),
            // Whether or not a tree has accounts yet.
            Some(Owner::Name(name)) if name == "root" => Some(0),
            Some(Owner::Name(name)) => Some(
                accounts
                    .user(name)
                    .and_then(|user| user.uid)
                    .with_context(|| format!("{} cannot be given to {name}: there is no such user", path.display()))?,
            ),
        };
        let gid = match &meta.group {
            None => None,
            Some(Owner::Id(id)) => Some(*id),
            Some(Owner::Name(name)) if name == "root" => Some(0),
            Some(Owner::Name(name)) => Some(
                accounts
                    .group(name)
                    .and_then(|group| group.gid)
                    .with_context(|| format!("{} cannot be given to {name}: there is no such group", path.display()))?,
            ),
        };
        Ok(tree::Numbers {
            mode: meta.mode,
            uid,
            gid,
        })
    }

    fn carry_out(&self, op: &Op) -> Result<()> {
        self.check_supported(op)?;
        match op {
            Op::WriteFile {
                path,
                contents,
                meta,
                validate,
            } => self
                .tree
                .write(path, contents, &self.resolve(path, meta)?, validate.as_deref()),
            Op::MakeDirectory { path, meta } => self.tree.make_directory(path, &self.resolve(path, meta)?),
            Op::MakeHome { path, meta, skeleton } => self.tree.make_home(path, &self.resolve(path, meta)?, skeleton),
            Op::MakeLink { path, target } => self.tree.make_link(path, target),
            Op::SetMeta { path, meta } => self.tree.set_meta(path, &self.resolve(path, meta)?),
            Op::Remove { path } => self.tree.remove(path),
            Op::Purge { directory, strays } => self.tree.purge(directory, strays),
            Op::Unit { name, verb } => units::execute(name, *verb),
            Op::Install { packages } => apt::install(&self.tree, &self.lists, packages),
            Op::Uninstall { packages, purge } => apt::remove(&self.tree, &self.lists, packages, *purge),
            Op::Crontab { user, table } if self.live => Program::new("crontab")
                .args(["-u", user, "-"])
                .stdin(table.to_vec())
                .stdout()
                .map(drop),
            Op::Crontab { user, table } => {
                let path = crontab::path(user);
                let numbers = self.resolve(&path, &crontab::meta(user))?;
                self.tree.write(&path, table, &numbers, None)
            }
            Op::MoveData(moved) => move_data::copy(moved),
            Op::FinishMove { path, start } => move_data::finish(&self.tree, path, start),
            Op::Run(command) => {
                let accounts = self.accounts.get(|| accounts::Accounts::read(&self.tree))?;
                let result = run::run(command, &self.tree, self.live, &accounts);
                if result.is_err() {
                    for op in &command.otherwise {
                        // Its own error is not the one to tell.
                        if let Err(error) = self.carry_out(op) {
                            tracing::warn!("taking back what came before: {error:#}");
                        }
                    }
                }
                result
            }
        }
    }
}
