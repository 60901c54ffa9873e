//! Whether a plan destroys what is protected.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::ledger::{Ledger, Thing};
use crate::{
    graph::Declaration,
    resource::{Action, Plan},
    system::{BlockDevice, Contents, Effect, Op, Probe, Reading, Refused, Stray, place},
    value::{DevicePath, Id},
};

const ITSELF: &str = "is neither removed nor reformatted";
const HOLDS: &str = "what it holds is not removed by another role";

impl Ledger {
    /// What a resource has to do. A plan that would remove or reformat what is protected is refused, whoever makes it.
    pub(super) fn plan(&self, declaration: &Declaration, node: &dyn Probe, notified: bool) -> Result<Reading<Plan>> {
        let answer = declaration.resource.plan(node, notified)?;
        let Reading::Known(plan) = &answer else {
            return Ok(answer);
        };
        let Some((held, how)) = self.destroyed_by(plan, declaration, node)? else {
            return Ok(answer);
        };
        let declared = if declaration.protect.is_none() || held != &declaration.resource.id() {
            self.entries()
                .find(|(id, _)| *id == held)
                .map(|(_, entry)| format!(" (role {} declared it)", entry.role))
        } else {
            None
        };
        Err(Refused::because(
            format!("{held} is protected, and {how}{}", declared.unwrap_or_default()),
            format!("leave out what destroys it; or, if it may really go, declare {held} with `protect: false`"),
        ))
    }

    /// The protected resource that a plan would destroy. What a protected directory holds is its role's to remove, and no other's.
    fn destroyed_by(&self, plan: &Plan, declaration: &Declaration, node: &dyn Probe) -> Result<Option<(&Id, &str)>> {
        let own = declaration.resource.id();
        if plan.action == Action::Remove
            && let Some((id, _)) = self.entries().find(|(id, _)| **id == own)
        {
            return Ok(Some((id, ITSELF)));
        }
        let losses: Vec<Loss<'_>> = plan.ops.iter().flat_map(losses).collect();
        if losses.is_empty() {
            return Ok(None);
        }
        let mut places = HashMap::new();
        let mut devices = Vec::new();
        for (id, entry) in self.entries() {
            for thing in &entry.things {
                match thing {
                    // Where somebody bends the path, what is protected is what it is called.
                    Thing::Path(path) => {
                        let place = place(node, path).unwrap_or_else(|_| path.to_path_buf());
                        places.insert(place, (id, &entry.role));
                    }
                    Thing::Device { name, uuid } => devices.push((name, uuid.as_deref(), id)),
                }
            }
        }
        let within = |place: &Path| {
            let mut above = place.ancestors().skip(1).filter_map(|above| places.get(above));
            above
                .find(|(_, role)| **role != *declaration.role)
                .map(|(id, _)| (*id, HOLDS))
        };
        for loss in losses {
            match loss {
                Loss::Path(path) => {
                    let place = place(node, path)?;
                    if let Some(held) = places
                        .get(&place)
                        .map(|(id, _)| (*id, ITSELF))
                        .or_else(|| within(&place))
                    {
                        return Ok(Some(held));
                    }
                }
                Loss::Strays(directory, strays) => {
                    let directory = place(node, directory)?;
                    let going: HashSet<&Path> = strays.iter().map(|stray| &*stray.path).collect();
                    let goes = |place: &PathBuf| {
                        let below = place.strip_prefix(&directory).unwrap_or(Path::new(""));
                        below.ancestors().any(|path| going.contains(path))
                    };
                    if let Some((_, (id, _))) = places.iter().find(|(place, _)| goes(place)) {
                        return Ok(Some((id, ITSELF)));
                    }
                    if let Some(held) = within(&directory.join("stray")) {
                        return Ok(Some(held));
                    }
                }
                Loss::Device(erased) => {
                    for (name, uuid, id) in &devices {
                        if is_on(node, erased, name, *uuid)? {
                            return Ok(Some((id, ITSELF)));
                        }
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Something that is gone after an operation.
enum Loss<'p> {
    Path(&'p Path),
    /// All these below a directory.
    Strays(&'p Path, &'p [Stray]),
    /// All that is on a device.
    Device(&'p DevicePath),
}

fn losses<'p>(op: &'p Op) -> Vec<Loss<'p>> {
    match op {
        Op::Remove { path } => vec![Loss::Path(path)],
        Op::Purge { directory, strays } => vec![Loss::Strays(directory, strays)],
        Op::Run(command) => {
            let loss = |effect: &'p Effect| match effect {
                Effect::Contents(device, Contents::Empty) => Some(Loss::Device(device)),
                Effect::Entry(path, None) => Some(Loss::Path(path)),
                _ => None,
            };
            command.makes.iter().filter_map(loss).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether what was recorded for a device is on, or in a partition of, the one that is erased.
fn is_on(node: &dyn Probe, lost: &DevicePath, name: &DevicePath, uuid: Option<&str>) -> Result<bool> {
    let Reading::Known(Some(erased)) = node.block(lost)? else {
        return Ok(lost == name);
    };
    if uuid.is_some() && uuid_of(&erased) == uuid {
        return Ok(true);
    }
    let Reading::Known(Some(held)) = node.block(name)? else {
        return Ok(lost == name);
    };
    // The kernel may have given the name to another disk since, which its UUID tells.
    let is_another = name.is_unstable() && uuid.is_some() && uuid_of(&held).is_some_and(|found| Some(found) != uuid);
    Ok(!is_another && (held.path == erased.path || is_partition(&held.path, &erased.path)))
}

fn uuid_of(block: &BlockDevice) -> Option<&str> {
    match &block.contents {
        Contents::Known(signature) => signature.uuid.as_deref(),
        _ => None,
    }
}

/// Whether the kernel calls this a partition of that: `sda1` of `sda`, `nvme0n1p1` of `nvme0n1`.
fn is_partition(part: &Path, disk: &Path) -> bool {
    let (Some(part), Some(disk)) = (part.to_str(), disk.to_str()) else {
        return false;
    };
    let Some(rest) = part.strip_prefix(disk) else {
        return false;
    };
    let number = if disk.ends_with(|c: char| c.is_ascii_digit()) {
        rest.strip_prefix('p')
    } else {
        Some(rest)
    };
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_told_by_the_kernels_names() {
        for (part, disk, is) in [
            ("/dev/sda1", "/dev/sda", true),
            ("/dev/nvme0n1p2", "/dev/nvme0n1", true),
            ("/dev/loop0p1", "/dev/loop0", true),
            ("/dev/loop10", "/dev/loop1", false),
            ("/dev/sdab", "/dev/sda", false),
            ("/dev/sda", "/dev/sda", false),
        ] {
            assert_eq!(is_partition(Path::new(part), Path::new(disk)), is, "{part} of {disk}");
        }
    }
}
