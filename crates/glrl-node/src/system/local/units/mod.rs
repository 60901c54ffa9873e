//! systemd's units by systemctl(1): one call for all that are declared.

mod watch;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    system::{
        Active, Enablement, Unit, UnitVerb, limit,
        programs::{Program, TookTooLong},
    },
    value::{UnitName, secret::redact_pieces},
};

/// Longer than systemd's own `DefaultTimeoutStartSec`, and than a database's recovery on a slow disk.
const TIMEOUT: Duration = Duration::from_mins(15);

/// What is known of units.
#[derive(Debug, Default)]
pub(super) struct Units(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Asked for once, or announced: they are asked for together.
    names: BTreeSet<UnitName>,
    units: HashMap<UnitName, Option<Unit>>,
}

impl Units {
    /// Announces units that will be asked for, so that one call answers for all.
    pub(super) fn expect(&self, names: impl IntoIterator<Item = UnitName>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .names
            .extend(names);
    }

    pub(super) fn get(&self, name: &UnitName) -> Result<Option<Unit>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unit) = known.units.get(name) {
            return Ok(unit.clone());
        }
        known.names.insert(name.clone());
        let names: Vec<UnitName> = known
            .names
            .iter()
            .filter(|name| !known.units.contains_key(name))
            .cloned()
            .collect();
        let units = show(&names)?;
        known.units.extend(names.into_iter().zip(units));
        Ok(known.units.get(name).cloned().flatten())
    }

    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).units.clear();
    }
}

/// Whether systemd runs this machine (`sd_booted(3)`).
fn booted() -> bool {
    nix::unistd::access("/run/systemd/system", nix::unistd::AccessFlags::F_OK).is_ok()
}

fn systemctl() -> Program {
    Program::new("systemctl")
        .args(["--no-ask-password", "--no-pager"])
        .timeout(limit::or(TIMEOUT))
}

/// The states of these units, in their order.
fn show(names: &[UnitName]) -> Result<Vec<Option<Unit>>> {
    ensure!(
        booted(),
        "systemd does not run this machine: its units cannot be managed"
    );
    let output = systemctl()
        .args([
            "show",
            "--property=LoadState,ActiveState,UnitFileState,Type,RemainAfterExit",
            "--",
        ])
        .args(names.iter().map(UnitName::as_str))
        .stdout()?;
    let units = parse(&String::from_utf8_lossy(&output))?;
    ensure!(
        units.len() == names.len(),
        "systemctl show answered for {} units of {}",
        units.len(),
        names.len()
    );
    Ok(units)
}

/// Blocks of `Key=value` lines with an empty line between two.
fn parse(text: &str) -> Result<Vec<Option<Unit>>> {
    text.split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(unit)
        .collect()
}

/// A property's value in such a block.
fn field<'b>(block: &'b str, name: &str) -> Option<&'b str> {
    block
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

fn unit(block: &str) -> Result<Option<Unit>> {
    let field = |name: &str| field(block, name).with_context(|| format!("systemctl show says nothing of {name}"));
    let load = field("LoadState")?;
    let is_gone = load == "not-found";
    if is_gone && matches!(field("ActiveState")?, "inactive" | "failed") {
        return Ok(None);
    }
    let active = match field("ActiveState")? {
        // A unit that reloads runs all the while.
        "active" | "reloading" | "refreshing" => Active::Active,
        "inactive" => Active::Inactive,
        "activating" | "deactivating" => Active::Changing,
        "failed" | "maintenance" => Active::Failed,
        other => bail!("systemctl show says ActiveState={other}, which glrl does not know"),
    };
    let enablement = match field("UnitFileState")? {
        _ if is_gone => Enablement::Gone,
        "enabled" => Enablement::Enabled,
        // Until the next boot only, or from a place that nothing points to at boot.
        "disabled" | "enabled-runtime" | "linked" | "linked-runtime" => Enablement::Disabled,
        _ if load == "masked" => Enablement::Masked,
        "masked" | "masked-runtime" => Enablement::Masked,
        _ => Enablement::Fixed,
    };
    // What is no service has no type.
    let is = |name, value| self::field(block, name) == Some(value);
    Ok(Some(Unit {
        active,
        enablement,
        ends: is("Type", "oneshot") && !is("RemainAfterExit", "yes"),
    }))
}

/// Does something to a unit and waits for its result.
pub(super) fn execute(name: &UnitName, verb: UnitVerb) -> Result<()> {
    if verb == UnitVerb::DaemonReload {
        return daemon_reload();
    }
    let word = verb.to_string();
    let starts = matches!(verb, UnitVerb::Start | UnitVerb::Restart);
    if starts || verb == UnitVerb::Reload {
        prepare(name)?;
    }
    let program = systemctl().args([&*word, "--", name.as_str()]);
    let output = match program.output() {
        Err(error) if error.is::<TookTooLong>() => {
            let waits = format!(
                "systemd goes on with it (systemctl list-jobs): see what keeps it, or give it a longer `timeout`\n{}",
                last_words(name)
            );
            return Err(anyhow::anyhow!(waits).context(error));
        }
        output => output?,
    };
    if !output.status.success() {
        let error = program.failed(&output);
        return Err(if starts {
            error.context(format!("{name} does not start:\n{}", last_words(name)))
        } else {
            error
        });
    }
    if starts { watch::watch(name, verb) } else { Ok(()) }
}

/// The name that a unit has itself, where this may be an alias.
pub(super) fn own_name(name: &UnitName) -> Result<String> {
    let own = systemctl()
        .args(["show", "--property=Id", "--value", "--", name.as_str()])
        .stdout()?;
    Ok(String::from_utf8_lossy(&own).trim().to_owned())
}

/// Has systemd read its unit files again if this one, or a drop-in of it, has changed since: the run that changed it may not
/// have lived to say so. A unit that failed too often starts only after its failures are forgotten.
fn prepare(name: &UnitName) -> Result<()> {
    let state = systemctl()
        .args(["show", "--property=NeedDaemonReload,ActiveState", "--", name.as_str()])
        .stdout()?;
    let state = String::from_utf8_lossy(&state);
    if state.contains("NeedDaemonReload=yes") {
        daemon_reload()?;
    }
    if state.contains("ActiveState=failed") {
        systemctl().args(["reset-failed", "--", name.as_str()]).stdout()?;
    }
    Ok(())
}

fn daemon_reload() -> Result<()> {
    systemctl().args(["daemon-reload"]).stdout().map(drop)
}

/// Has systemd notice that a unit file was written or removed; nothing where systemd does not run.
pub(super) fn unit_files_changed() -> Result<()> {
    if booted() { daemon_reload() } else { Ok(()) }
}

/// Whether this is a place of unit files or of their drop-ins (systemd.unit(5)).
pub(super) fn is_unit_file(path: &Path) -> bool {
    [
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ]
    .iter()
    .any(|directory| path.starts_with(directory))
}

/// How the unit ended, and what it last said, for the error: systemctl only says that it failed. The journal's lines are those of
/// earlier starts too: of a unit that comes again and again `systemctl status` shows the youngest, which has not said anything yet.
fn last_words(name: &UnitName) -> String {
    let said = |program: Program| {
        let output = program.output().map(|output| output.stdout).unwrap_or_default();
        redact_pieces(&output).trim_end().to_owned()
    };
    let status = said(systemctl().args(["status", "--full", "--lines=0", "--", name.as_str()]));
    let journal = said(Program::new("journalctl").args([
        "--no-pager",
        "--quiet",
        "--lines=10",
        "--output=cat",
        "--unit",
        name.as_str(),
    ]));
    format!("{status}\n\n{journal}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `systemctl show` of systemd 252.
    const SHOWN: &str = "\
LoadState=loaded
ActiveState=active
UnitFileState=enabled

LoadState=not-found
ActiveState=inactive
UnitFileState=

LoadState=masked
ActiveState=inactive
UnitFileState=masked

LoadState=loaded
ActiveState=failed
UnitFileState=static

LoadState=not-found
ActiveState=active
UnitFileState=
Type=simple
RemainAfterExit=no

Type=oneshot
RemainAfterExit=no
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled

Type=oneshot
RemainAfterExit=yes
LoadState=loaded
ActiveState=active
UnitFileState=enabled
";

    #[test]
    fn states_are_read_in_order() {
        let unit = |active, enablement| {
            Some(Unit {
                active,
                enablement,
                ends: false,
            })
        };
        assert_eq!(
            parse(SHOWN).unwrap(),
            [
                unit(Active::Active, Enablement::Enabled),
                None,
                unit(Active::Inactive, Enablement::Masked),
                unit(Active::Failed, Enablement::Fixed),
                unit(Active::Active, Enablement::Gone),
                Some(Unit {
                    active: Active::Inactive,
                    enablement: Enablement::Disabled,
                    ends: true,
                }),
                unit(Active::Active, Enablement::Enabled),
            ]
        );
        assert!(parse("LoadState=loaded\nActiveState=confused\nUnitFileState=\n").is_err());
    }
}
