//! Moving what a directory holds onto the filesystem that is to be mounted over it.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{Ground, Mount, State};
use crate::{
    resource::{Change, Plan},
    system::{Active, Amount, BlockDevice, MARKER, MoveData, Op, Probe, Reading, Refused, known, shown_name},
    value::{AbsPath, Size, UnitName},
};

/// What is to be known of a directory before what it holds is moved.
#[derive(Debug, PartialEq)]
pub(super) struct Data {
    amount: Amount,
    /// Units that are to be stopped and run now.
    running: Vec<UnitName>,
    /// The mount point of the filesystem that it is on.
    on: PathBuf,
    /// A mount point below it.
    below: Option<PathBuf>,
}

impl Mount {
    /// Looks at what would be moved; nothing where the directory is empty.
    pub(super) fn data(&self, node: &dyn Probe, ground: &Ground) -> Result<Reading<Option<Data>>> {
        if ground.names.is_empty() || self.hide || self.device().is_none() {
            return Ok(Reading::Known(None));
        }
        let mounts = known!(node.mounts()?);
        let is_above = |target: &PathBuf| self.path.starts_with(target);
        let above = mounts.iter().map(|mount| mount.target.clone()).filter(is_above);
        let below = mounts
            .iter()
            .find(|mount| mount.target.starts_with(&*self.path) && mount.target != *self.path);
        let mut running = Vec::new();
        for unit in &self.stop {
            if known!(node.unit(unit)?).is_some_and(|unit| matches!(unit.active, Active::Active | Active::Changing)) {
                running.push(unit.clone());
            }
        }
        Ok(Reading::Known(Some(Data {
            amount: known!(node.amount(&self.path)?),
            running,
            on: above
                .max_by_key(|target| target.components().count())
                .unwrap_or_else(|| "/".into()),
            below: below.map(|mount| mount.target.clone()),
        })))
    }

    /// Plans the move of what is in the directory, or refuses to mount over it.
    pub(super) fn move_data(&self, mut plan: Plan, current: &State, ground: &Ground, fs_type: &str) -> Result<Plan> {
        let some: Vec<String> = ground.names.iter().take(3).map(|name| shown_name(name)).collect();
        let holds = format!(
            "{} is not mounted, and its directory is not empty: it holds {}{}",
            self.path,
            some.join(", "),
            if ground.names.len() > some.len() {
                " and more"
            } else {
                ""
            }
        );
        let Some((data, block)) = current.data.as_ref().zip(current.block.as_ref()) else {
            return Err(Refused::because(
                holds,
                "move what is there away, or set `hide: true` to mount over it",
            ));
        };
        let files = |amount: Amount| format!("{} in {} files", amount.size(), amount.entries);
        let room = room(block);
        if self.move_data != Some(true) {
            let consent = match self.move_data {
                // The role leaves it to who runs it.
                Some(_) => "run again with `--set move_data=true`",
                None => "set `move_data: true`",
            };
            return Err(Refused::because(
                holds,
                format!(
                    "to move what is there ({}) onto {}, which has room for about {}, {consent}; or set `hide: true` to mount over it",
                    files(data.amount),
                    self.device,
                    Size::bytes(room)
                ),
            ));
        }
        if let Some(below) = &data.below {
            bail!(
                "what is in {} is not moved while something is mounted in it, on {}: unmount it (umount {1})",
                self.path,
                below.display()
            );
        }
        if data.amount.bytes > room {
            return Err(Refused::because(
                format!(
                    "{} holds {}, and {} has room for about {}",
                    self.path,
                    files(data.amount),
                    self.device,
                    Size::bytes(room)
                ),
                "give it a larger volume or disk; nothing was stopped",
            ));
        }
        let stopped: Vec<&str> = data.running.iter().map(UnitName::as_str).collect();
        plan = plan.change(Change::of(
            "data",
            format!("on the filesystem of {}", data.on.display()),
            format!("copied onto {}", self.device),
        ));
        if !stopped.is_empty() {
            plan = plan.change(Change::new("stopped meanwhile", stopped.join(", ")));
        }
        let (bind, inside) = self.hidden(&data.on);
        plan = plan.warn(format!(
            "{} are copied and compared, which takes a while{}; what is there now stays on {}, below the mount: `mount --bind {bind} /mnt` \
             shows it as {inside}, and `find {inside} -mindepth 1 -delete` removes it when nobody needs it",
            files(data.amount),
            if stopped.is_empty() { String::new() } else { format!(", with {} stopped", stopped.join(", ")) },
            data.on.display()
        ));
        let device = self
            .device()
            .cloned()
            .unwrap_or_else(|| unreachable!("`data` is of a device"));
        Ok(plan.op(Op::MoveData(MoveData {
            from: self.path.clone(),
            device,
            fs_type: fs_type.to_owned(),
            stop: self.stop.clone(),
        })))
    }

    /// What to bind, and where the old data is seen below /mnt then.
    fn hidden(&self, on: &PathBuf) -> (String, String) {
        let inside = self.path.strip_prefix(on).unwrap_or(&self.path);
        (on.display().to_string(), format!("/mnt/{}", inside.display()))
    }

    /// Where a move puts its marker.
    pub(super) fn marker(&self) -> PathBuf {
        self.path.join(MARKER)
    }

    /// Ends a move: the units that were stopped for it run again.
    pub(super) fn finish_move(&self, plan: Plan, start: Vec<UnitName>) -> Plan {
        plan.op(Op::FinishMove {
            path: AbsPath::clone(&self.path),
            start,
        })
    }
}

impl Data {
    /// Units to start when it is over.
    pub(super) fn start(&self) -> &[UnitName] {
        &self.running
    }
}

/// What a device has room for, at the most: its log and its tables take some. What it really has is asked before anything is stopped.
fn room(block: &BlockDevice) -> u64 {
    let room = block.size - block.size / 32;
    room - room % (1 << 20)
}
