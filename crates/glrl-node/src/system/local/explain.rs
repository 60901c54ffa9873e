//! What a program's failure means to the operator, where the program does not say it: who keeps a mount busy, what lvcreate would not
//! wipe, how long a server was waited for.

use std::collections::BTreeSet;

use anyhow::Error;

use super::mounts::{self, Occupant};
use crate::system::{Command, Effect, Refused};

/// The error of a command that has failed, with what is known about it.
pub(super) fn explain(command: &Command, error: Error) -> Error {
    for effect in &command.makes {
        match effect {
            Effect::Unmounted(target) => {
                let occupants = mounts::occupants(target);
                let mut users: Vec<String> = occupants.iter().take(5).map(ToString::to_string).collect();
                users.extend(mounts::below(target));
                if !users.is_empty() {
                    return error.context(format!(
                        "{} is in use: {}{}",
                        target.display(),
                        users.join("; "),
                        stop(&occupants)
                    ));
                }
                if ran_out_of_time(&error) {
                    let target = target.display();
                    return error.context(format!(
                        "{target} could not be unmounted: its server does not answer; umount -f -l {target} lets go of it"
                    ));
                }
            }
            Effect::LogicalVolume { volume_group, name, .. } if declined_to_wipe(&error) => {
                return unwiped(command, volume_group, name, &error);
            }
            Effect::Mounted(mount) if !command.patience.is_zero() => {
                return error.context(format!(
                    "{} could not be mounted within {} s: its server does not answer, or does not export it yet",
                    mount.source,
                    command.patience.as_secs()
                ));
            }
            _ => {}
        }
    }
    error
}

/// What to stop, for those that are services.
fn stop(occupants: &[Occupant]) -> String {
    let units: BTreeSet<&str> = occupants.iter().filter_map(|one| one.unit.as_deref()).collect();
    if units.is_empty() {
        return String::new();
    }
    let units = units.into_iter().collect::<Vec<_>>().join(" ");
    format!("; stop it for as long as it takes (systemctl stop {units}) and run again")
}

/// See `Program::output`.
fn ran_out_of_time(error: &Error) -> bool {
    error.to_string().contains("took longer than")
}

/// lvcreate found an old signature in the extents it was to use, asked, and got no answer (lvm2 2.03, `wipe_lv`).
fn declined_to_wipe(error: &Error) -> bool {
    format!("{error:#}").contains("Failed to wipe signatures")
}

fn unwiped(command: &Command, group: &str, name: &str, error: &Error) -> Error {
    let said = format!("{error:#}");
    let what = said
        .split_once(" signature detected on")
        .and_then(|(before, _)| before.rsplit(' ').next())
        .unwrap_or("old");
    let by_hand = command.argv.join(" ").replacen("lvcreate", "lvcreate --yes", 1);
    Refused::because(
        format!(
            "{group}/{name} was not made: the free extents of {group} still carry an {what} signature, from a volume or a use of \
             the disk that is gone"
        ),
        format!("if nothing of it is needed, wipe it by making the volume yourself, and run again: {by_hand}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_signature_in_free_extents_is_a_refusal() {
        let effect = Effect::LogicalVolume {
            volume_group: "data".to_owned(),
            name: "b".to_owned(),
            size: 4 << 20,
            layout: crate::system::Layout::Linear,
            takes: 1,
        };
        let command = Command::new(["lvcreate", "--extents", "50", "--name", "b", "data"]).makes([effect]);
        // From lvm2 2.03.16.
        let said = "lvcreate failed (exit status: 5): WARNING: ext4 signature detected on /dev/data/b at offset 1080. Wipe it? [y/n]: [n]\n\
                    Aborted wiping of ext4.\n1 existing signature left on the device.\n\
                    Failed to wipe signatures on logical volume data/b.";
        let error = explain(&command, Error::msg(said));
        let refused = error.downcast_ref::<Refused>().unwrap();
        assert!(refused.what.contains("an ext4 signature"), "{}", refused.what);
        assert!(
            refused.hint.ends_with("lvcreate --yes --extents 50 --name b data"),
            "{}",
            refused.hint
        );
        assert!(!explain(&command, Error::msg("insufficient free space")).is::<Refused>());
    }
}
