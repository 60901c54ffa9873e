//! `service`: a unit of systemd and whether it runs, now and after the next boot.

use std::path::Path;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role};
use crate::{
    system::{Active, Enablement, Fact, Op, Probe, Reading, Unit, UnitVerb, known},
    value::{AbsPath, UnitName},
};

/// A unit of systemd: a service, or a socket, timer, path … by its full name. What is not declared stays as it is. When it is
/// notified and runs, it is restarted or reloaded, once, after all that it needs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// The unit; without a suffix, a service.
    name: UnitName,
    /// Whether it runs now.
    running: Option<bool>,
    /// Whether it is started at boot.
    enabled: Option<bool>,
    /// Whether starting it is impossible (systemctl(1), `mask`).
    masked: Option<bool>,
    /// What is done when it is notified.
    #[serde(default)]
    on_notify: OnNotify,
}

/// What a notification does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnNotify {
    /// It is stopped and started.
    #[default]
    Restart,
    /// It reads its configuration again.
    Reload,
}

/// Where unit files are that roles write, and that packages bring (systemd.unit(5)).
const DIRECTORIES: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

impl Service {
    pub(super) const EXAMPLE: &str = "name: mariadb\nrunning: true\nenabled: true\n";

    fn op(&self, verb: UnitVerb) -> Op {
        Op::Unit {
            name: self.name.clone(),
            verb,
        }
    }

    /// The unit that a planned unit file will bring: systemd does not know it yet.
    fn of_unit_file(&self, node: &dyn Probe) -> Result<Reading<Option<Unit>>> {
        let file = unit_file(&self.name);
        for directory in DIRECTORIES {
            let path = Path::new(directory).join(&file);
            if known!(node.entry(&path)?).is_none() {
                continue;
            }
            let contents = known!(node.contents(&path)?);
            let text = String::from_utf8_lossy(contents.as_deref().unwrap_or_default());
            return Ok(Reading::Known(Some(Unit {
                active: Active::Inactive,
                enablement: if text.lines().any(|line| line.trim() == "[Install]") {
                    Enablement::Disabled
                } else {
                    Enablement::Fixed
                },
            })));
        }
        Ok(Reading::Known(None))
    }

    /// What is wanted of a unit that there is none of.
    fn absent(&self) -> Result<Plan> {
        if self.running == Some(true) || self.enabled == Some(true) {
            bail!(
                "there is no unit {}: need the package that brings it, or declare its unit file",
                self.name.as_str()
            );
        }
        Ok(if self.masked == Some(true) {
            Plan::to(Action::Update)
                .change(Change::of("masked", false, true))
                .op(self.op(UnitVerb::Mask))
        } else {
            Plan::none()
        })
    }

    fn enablement(&self, unit: &Unit, plan: &mut Plan) -> Result<()> {
        let masked = unit.enablement == Enablement::Masked;
        if let Some(wanted) = self.masked
            && wanted != masked
        {
            plan.changes.push(Change::of("masked", masked, wanted));
            plan.ops.push(self.op(if wanted { UnitVerb::Mask } else { UnitVerb::Unmask }));
        } else if masked && (self.enabled == Some(true) || self.running == Some(true)) {
            bail!("{} is masked: say `masked: false` to have it run", self.name);
        }
        let Some(wanted) = self.enabled else { return Ok(()) };
        let (before, verb) = match (unit.enablement, wanted) {
            // What lies below a mask cannot be seen, and both are harmless where they are true already.
            (Enablement::Disabled | Enablement::Masked, true) => (false, UnitVerb::Enable),
            (Enablement::Enabled, false) => (true, UnitVerb::Disable),
            (Enablement::Masked, false) if self.masked == Some(false) => (true, UnitVerb::Disable),
            (Enablement::Fixed, true) => {
                plan.warnings.push(format!(
                    "{} has nothing to enable: something else starts it, or nothing does",
                    self.name
                ));
                return Ok(());
            }
            _ => return Ok(()),
        };
        plan.changes.push(Change::of("enabled", before, wanted));
        plan.ops.push(self.op(verb));
        Ok(())
    }
}

/// The name of the file a unit is read from: of an instance `a@b.service` that is `a@.service`.
fn unit_file(name: &UnitName) -> String {
    let name = name.as_str();
    match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((template, _)), Some((_, suffix))) => format!("{template}@.{suffix}"),
        _ => name.to_owned(),
    }
}

impl Provider for Service {
    type State = Option<Unit>;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.masked == Some(true) && (self.running == Some(true) || self.enabled == Some(true)) {
            return Err(PropertyError::of("masked", "a masked unit can neither run nor be enabled"));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Option<Unit>>> {
        match node.unit(&self.name)? {
            Reading::Known(Some(unit)) => Ok(Reading::Known(Some(unit))),
            Reading::Known(None) => self.of_unit_file(node),
            // A unit file that is planned says it, whatever packages are installed before.
            Reading::Unknown { after } => Ok(match self.of_unit_file(node)? {
                Reading::Known(Some(unit)) => Reading::Known(Some(unit)),
                _ => Reading::Unknown { after },
            }),
        }
    }

    fn diff(&self, current: &Option<Unit>, notified: bool) -> Result<Plan> {
        let Some(unit) = current else { return self.absent() };
        let mut plan = Plan::to(Action::Update);
        self.enablement(unit, &mut plan)?;
        let runs = unit.active == Active::Active;
        match self.running {
            Some(true) if !runs => {
                plan.changes.push(Change::of("running", shown(unit.active), true));
                plan.ops.push(self.op(UnitVerb::Start));
            }
            Some(false) if runs || unit.active == Active::Changing => {
                plan.changes.push(Change::of("running", shown(unit.active), false));
                plan.ops.push(self.op(UnitVerb::Stop));
            }
            // One that does not run reads its configuration when it starts.
            _ if notified && runs => {
                let (action, word, verb) = match self.on_notify {
                    OnNotify::Restart => (Action::Restart, "restarted", UnitVerb::Restart),
                    OnNotify::Reload => (Action::Reload, "reloaded", UnitVerb::Reload),
                };
                if plan.ops.is_empty() {
                    plan.action = action;
                }
                plan.changes.push(Change::new(word, "notified"));
                plan.ops.push(self.op(verb));
            }
            _ => {}
        }
        if plan.ops.is_empty() {
            plan.action = Action::None;
        }
        Ok(plan)
    }

    fn provides(&self) -> Vec<Fact> {
        vec![Fact::Unit(self.name.clone())]
    }

    fn requires(&self) -> Vec<Fact> {
        let file = format!("{}/{}", DIRECTORIES[0], unit_file(&self.name));
        file.parse::<AbsPath>().map(Fact::Path).into_iter().collect()
    }
}

/// As the role would say it.
fn shown(active: Active) -> &'static str {
    match active {
        Active::Active => "true",
        Active::Inactive => "false",
        Active::Failed => "failed",
        Active::Changing => "changing",
    }
}
