//! The operations that make swap, begin and end its use, and write fstab.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{
    Action, BlockDevice, Change, DevicePath, Entry, FileType, Op, Plan, Size, State, Swap, fstab, signature,
    truncation, wipe,
};
use crate::{
    system::{Command, Contents, Effect, Meta, Signature, Swap as Live},
    value::{Mode, Owner},
};

/// Writing a file of some GiB, and reading back what was swapped out, take their time.
const LONG: Duration = Duration::from_hours(1);
const PRIVATE: u32 = 0o600;
/// What the kernel gives to the first that has no priority of its own.
const NO_PRIORITY: i32 = -2;

impl Swap {
    /// Makes a device swap, if it is proven to be empty.
    pub(super) fn on_device(&self, device: &DevicePath, block: Option<&BlockDevice>) -> Result<Plan> {
        let block = block.with_context(|| format!("there is no device {device}"))?;
        let agrees = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        if let Some(found) = signature(Some(block))
            && found.what == "swap"
            && agrees(&self.label, &found.label)
            && agrees(&self.uuid, &found.uuid)
        {
            truncation::check(device, block)?;
            return Ok(Plan::to(Action::Update));
        }
        let mut plan = Plan::to(Action::Create);
        if let Some(erase) = wipe::clear(device, block, self.wipe.as_ref())? {
            if let Some(found) = signature(Some(block)) {
                plan = plan.change(Change::gone("signature", found));
            }
            plan.ops.push(erase);
        }
        // Without --force.
        let mut argv = vec!["mkswap"];
        for (option, value) in [("--label", &self.label), ("--uuid", &self.uuid)] {
            if let Some(value) = value {
                argv.extend([option, value]);
            }
        }
        argv.push(device.as_str());
        let made = Signature {
            what: "swap".to_owned(),
            uuid: self.uuid.clone(),
            label: self.label.clone(),
            ..Signature::default()
        };
        Ok(plan.change(Change::new("size", Size::bytes(block.size))).op(Op::Run(
            Command::new(argv).makes([Effect::Contents(device.clone(), Contents::Known(made))]),
        )))
    }

    /// Makes the file under another name first: what has the declared one is finished, or was not made by glrl, and is not made over.
    pub(super) fn in_file(&self, current: &State) -> Result<Plan> {
        let mebibytes = self.size.map_or(0, Size::get).div_ceil(1 << 20);
        let size = mebibytes << 20;
        if let Some(file) = &current.file {
            return self.there(file, size);
        }
        let unfinished = self.unfinished()?;
        let mut plan = Plan::to(Action::Create).change(Change::new("size", Size::bytes(size)));
        if current.unfinished {
            plan = plan.op(Op::Remove {
                path: unfinished.clone(),
            });
        }
        let entry = |mode| Entry {
            file_type: FileType::File { size },
            mode: Mode::of(mode),
            owner: Owner::ROOT,
            group: Owner::ROOT,
        };
        let (target, count) = (format!("of={unfinished}"), format!("count={mebibytes}"));
        // Written, not allocated: the kernel swaps to no file with holes.
        let mut fill = Command::new([
            "dd",
            "if=/dev/zero",
            &target,
            "bs=1MiB",
            &count,
            "conv=excl,fsync",
            "status=none",
        ]);
        fill.timeout = LONG;
        fill.otherwise.push(Op::Remove {
            path: unfinished.clone(),
        });
        let private = Meta {
            mode: Some(Mode::of(PRIVATE)),
            ..Meta::default()
        };
        let rename = Command::new([
            "mv",
            "--no-clobber",
            "--no-target-directory",
            unfinished.as_str(),
            self.path.as_str(),
        ]);
        Ok(plan
            .op(Op::Run(
                fill.makes([Effect::Entry(unfinished.to_path_buf(), Some(entry(0o644)))]),
            ))
            .op(Op::SetMeta {
                path: unfinished.clone(),
                meta: private,
            })
            .op(Op::Run(Command::new(["mkswap", unfinished.as_str()])))
            .op(Op::Run(rename.makes([
                Effect::Entry(unfinished.to_path_buf(), None),
                Effect::Entry(self.path.to_path_buf(), Some(entry(PRIVATE))),
            ]))))
    }

    /// A file that is there is used as it is, and only by root.
    fn there(&self, file: &Entry, wanted: u64) -> Result<Plan> {
        let FileType::File { size } = file.file_type else {
            bail!("{} is not a regular file", self.path)
        };
        let mut plan = Plan::to(Action::Update);
        if size != wanted {
            plan = plan.warn(format!(
                "{} has {}, {} than the declared {}: its size counts only when it is made",
                self.path,
                Size::bytes(size),
                if size < wanted { "less" } else { "more" },
                Size::bytes(wanted)
            ));
        }
        if file.mode.bits() != PRIVATE {
            let meta = Meta {
                mode: Some(Mode::of(PRIVATE)),
                ..Meta::default()
            };
            plan = plan
                .change(Change::of("mode", file.mode, Mode::of(PRIVATE)))
                .op(Op::SetMeta {
                    path: self.path.clone(),
                    meta,
                });
        }
        Ok(plan)
    }

    /// Has the kernel swap to it, with the declared priority.
    pub(super) fn used(&self, mut plan: Plan, current: &State) -> Plan {
        match (current.used, self.priority) {
            (None, priority) => {
                plan = plan.change(Change::of("used", "no", "yes"));
                if let Some(priority) = priority {
                    plan = plan.change(Change::new("priority", priority));
                }
            }
            (Some(found), Some(wanted)) if found != wanted => {
                plan = plan
                    .change(Change::of("priority", found, wanted))
                    .op(Op::Run(self.end(current)));
            }
            _ => return plan,
        }
        let priority = self.priority.map(|priority| priority.to_string());
        let mut argv = vec!["swapon"];
        if let Some(priority) = &priority {
            argv.extend(["--priority", priority]);
        }
        argv.push(self.path.as_str());
        let live = Live {
            path: current.place.clone(),
            priority: self.priority.unwrap_or(NO_PRIORITY),
        };
        plan.op(Op::Run(
            Command::new(argv).makes([Effect::Swap(current.place.clone(), Some(live))]),
        ))
    }

    /// What was swapped out is read back first; where there is no room for it in memory, it stays in use.
    fn end(&self, current: &State) -> Command {
        let mut command = Command::new(["swapoff", self.path.as_str()]);
        command.timeout = LONG;
        command.makes([Effect::Swap(current.place.clone(), None)])
    }

    /// Has fstab say so; other options that it has there stay.
    pub(super) fn persisted(&self, plan: Plan, current: &State) -> Plan {
        let line = current.lines.first();
        if !self.persist {
            return not_persisted(plan, current);
        }
        let source = match (line, &self.uuid, self.device()) {
            (Some(line), ..) => line.source.clone(),
            (None, Some(uuid), Some(device)) if device.is_unstable() => format!("UUID={uuid}"),
            _ => self.path.to_string(),
        };
        let mut options: Vec<String> = line.map(|line| line.options.clone()).unwrap_or_default();
        if let Some(priority) = self.priority {
            let wanted = format!("pri={priority}");
            if !options.contains(&wanted) {
                options.retain(|option| !option.starts_with("pri="));
                options.push(wanted);
            }
        }
        let wanted = fstab::Wanted {
            source: &source,
            target: line.map_or("none", |line| &line.target),
            fs_type: "swap",
            options: &options,
            pass: 0,
        };
        let text = fstab::set_where(&current.fstab, &wanted, |other| {
            line.is_some_and(|line| line.source == other.source && other.fs_type == "swap")
        });
        if text == current.fstab {
            return plan;
        }
        let change = match line {
            None => Change::of("fstab", "no", "yes"),
            Some(line) => Change::of("fstab options", line.options.join(","), options.join(",")),
        };
        fstab::write(plan.change(change), text, current.systemd)
    }

    /// Ends its use, for good.
    pub(super) fn absent(&self, current: &State) -> Plan {
        let mut plan = Plan::to(Action::Remove);
        if current.used.is_some() {
            plan = plan
                .change(Change::of("used", "yes", "no"))
                .op(Op::Run(self.end(current)));
        }
        not_persisted(plan, current)
    }
}

/// Takes its line out of fstab.
fn not_persisted(plan: Plan, current: &State) -> Plan {
    let Some(line) = current.lines.first() else {
        return plan;
    };
    let text = fstab::remove_where(&current.fstab, |other| {
        other.fs_type == "swap" && other.source == line.source
    });
    fstab::write(plan.change(Change::of("fstab", "yes", "no")), text, current.systemd)
}
