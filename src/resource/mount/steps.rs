//! The operations that mount, follow changed options, write fstab, and unmount.

use std::time::Duration as Time;

use anyhow::{Context, Result, bail};

use super::{Ground, Mount, State, bind};
use crate::{
    resource::{
        Action, Change, Plan, Shown,
        fstab::{self, Entry},
        mkfs::{self, FsType},
        mount_options as options,
    },
    system::{Command, Contents, Effect, Meta, Mount as Live, Op, Refused, UnitVerb},
    value::{Duration, UnitName},
};

const WAIT: Duration = Duration::seconds(60);
/// One try at a server that may be down; the kernel alone would wait for minutes.
const NETWORK_TRY: Time = Time::from_secs(30);

impl Mount {
    /// Mounts it, on a directory that has nothing to hide, or whose files it gets. fstab is written afterwards: a mount
    /// that fails leaves it as it was.
    pub(super) fn mount(&self, mut plan: Plan, current: &State, fs_type: &str, wanted: &[String]) -> Result<Plan> {
        let nothing = Ground::default();
        // What lies below an automount point is not seen, and what is mounted on it hides nothing more.
        let ground = if current.waits {
            &nothing
        } else {
            current.ground.as_ref().context("the mount point was not looked at")?
        };
        let moves = !ground.names.is_empty() && !self.hide;
        if moves {
            plan = self.move_data(plan, current, ground, fs_type)?;
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
        let mut mount = self.mount_command(fs_type, wanted, current);
        if let (true, Some(data)) = (moves, &current.data) {
            let start = |unit: &UnitName| Op::Unit {
                name: unit.clone(),
                verb: UnitVerb::Start,
            };
            mount.otherwise.extend(data.start().iter().map(start));
        }
        Ok(plan.op(Op::Run(mount)))
    }

    /// Grows what could not grow before it was mounted. What fails here leaves it mounted, and the next run grows it.
    pub(super) fn grow(&self, plan: Plan, current: &State, wanted: &[String]) -> Plan {
        let (Some(device), Some(block)) = (self.device(), &current.block) else {
            return plan;
        };
        let Contents::Known(signature) = &block.contents else {
            return plan;
        };
        let (Some(geometry), Some(fs_type)) = (&signature.geometry, FsType::named(&signature.what)) else {
            return plan;
        };
        if geometry.grown(block.size).is_none() {
            return plan;
        }
        // systemd mounts it for the first who looks there.
        let waits = current.waits && self.is_on_demand();
        if waits || options::is_read_only(wanted) {
            return plan.warn(mkfs::can_grow_later(&signature.what, device, block.size));
        }
        fs_type.grow(plan, device, geometry, block.size, self.target())
    }

    pub(super) fn mount_command(&self, fs_type: &str, wanted: &[String], current: &State) -> Command {
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
        let makes = match &current.origin {
            Some(origin) => bind::makes_all(origin, wanted, &current.along),
            None => vec![self.makes(fs_type, wanted)],
        };
        let mut command = Command::new(argv).makes(makes);
        if self.is_network() {
            command.timeout = NETWORK_TRY;
            command.patience = self.wait.unwrap_or(WAIT).get();
        }
        command
    }

    pub(super) fn makes(&self, fs_type: &str, wanted: &[String]) -> Effect {
        Effect::Mounted(Live {
            source: self
                .device()
                .map_or_else(|| self.device.to_string(), ToString::to_string),
            root: "/".into(),
            target: self.path.to_path_buf(),
            fs_type: fs_type.to_owned(),
            options: options::predicted(wanted),
            device: String::new(),
        })
    }

    /// Makes the live mount follow the options. fstab's line, which is written last, is the witness of those that the kernel does
    /// not show: as long as it differs in one of them, that has not been put in effect.
    pub(super) fn update_live(
        &self,
        mut plan: Plan,
        current: &State,
        live: &Live,
        fs_type: &str,
        wanted: &[String],
    ) -> Result<Plan> {
        if let Some(origin) = &current.origin {
            return self.update_bound(plan, current, live, origin, wanted);
        }
        let entry = current.entries.first();
        let same_type = live.fs_type == fs_type
            || (self.is_network() && live.fs_type.starts_with("nfs") && fs_type.starts_with("nfs"));
        if !same_type {
            bail!(
                "{} is mounted as {}, not as the declared {fs_type}: unmount it",
                self.path,
                live.fs_type
            );
        }
        if options::failed_to_read_only(&live.options) {
            return Err(Refused::because(
                format!(
                    "the kernel has turned the filesystem on {} read-only: it does so after an error",
                    self.path
                ),
                "look at dmesg and check the filesystem before anything is written to it",
            ));
        }
        let witness =
            entry.is_some_and(|entry| !options::in_doubt(&live.options, &entry.options, wanted, fs_type).is_empty());
        if !options::contradict(&live.options, wanted, fs_type) && !witness {
            return Ok(plan);
        }
        plan = plan.change(Change::of(
            "mounted with",
            live.options.join(","),
            options::for_mounting(wanted).join(","),
        ));
        let before = entry.map(|entry| entry.options.as_slice());
        if self.is_network() || options::need_a_new_mount(&live.options, before, wanted, fs_type) {
            let mut mount = self.mount_command(fs_type, wanted, current);
            let again = if entry.is_some() {
                Command::new(["mount", self.target()])
            } else {
                let options = options::as_they_were(&live.options).join(",");
                Command::new([
                    "mount",
                    "-t",
                    &live.fs_type,
                    "-o",
                    &options,
                    &live.source,
                    self.target(),
                ])
            };
            mount.otherwise.push(Op::Run(again));
            return Ok(plan.op(Op::Run(self.unmount())).op(Op::Run(mount)));
        }
        let remount = options::for_remounting(wanted).join(",");
        let argv = ["mount", "-o", &remount, self.device.as_str(), self.target()];
        Ok(plan.op(Op::Run(Command::new(argv).makes([self.makes(fs_type, wanted)]))))
    }

    pub(super) fn unmount(&self) -> Command {
        let mut command = Command::new(["umount", self.target()]).makes([Effect::Unmounted(self.path.to_path_buf())]);
        if self.is_network() {
            command.timeout = NETWORK_TRY;
        }
        command
    }

    pub(super) fn persist(
        &self,
        mut plan: Plan,
        current: &State,
        stale: bool,
        fs_type: &str,
        wanted: &[String],
    ) -> Plan {
        let entry = current.entries.first();
        let block = current.block.as_ref();
        let source = match entry {
            // Another name of the same device is as good.
            Some(entry) if !stale => entry.source.clone(),
            _ => self.fstab_source(block),
        };
        let pass = if matches!(fs_type, "ext2" | "ext3" | "ext4") {
            2
        } else {
            0
        };
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
                Shown::Text(current.fstab.clone()),
                Shown::Text(text.clone()),
            )),
        };
        fstab::write(plan, text, current.systemd)
    }

    /// `nfs4` and `auto` in fstab say as much as what is mounted.
    pub(super) fn fstab_type<'a>(&self, entry: Option<&'a Entry>, fs_type: &'a str) -> &'a str {
        match entry.map(|entry| entry.fs_type.as_str()) {
            Some(found @ "nfs4") if self.is_network() && self.r#type.is_none() => found,
            Some(found @ "auto") if self.r#type.is_none() => found,
            _ => fs_type,
        }
    }

    pub(super) fn absent(&self, current: &State, mine: Option<&Live>) -> Result<Plan> {
        let mut plan = Plan::to(Action::Remove);
        if mine.is_some() {
            plan = plan.change(Change::gone("device", &self.device));
            plan = if self.bound().is_some() {
                self.unbind(plan, current)?
            } else {
                plan.op(Op::Run(self.unmount()))
            };
        }
        if !current.entries.is_empty() {
            plan = plan.change(Change::of("fstab", "yes", "no"));
            plan = fstab::write(plan, fstab::remove(&current.fstab, self.target()), current.systemd);
        }
        if plan.is_empty() {
            plan.action = Action::None;
        }
        Ok(plan)
    }
}
