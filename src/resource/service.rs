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
/// notified and runs, it is restarted or reloaded, once, after all that it needs. One that ends as soon as it is started has failed.
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

/// The package that a unit has its name from, if any: of `a@b.service` that is `a`.
fn package(name: &UnitName) -> &str {
    let name = name.as_str();
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    name.split_once('@').map_or(name, |(name, _)| name)
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

    fn is_absent(&self) -> bool {
        let wants = self.running == Some(true) || self.enabled == Some(true) || self.masked == Some(true);
        !wants && (self.running == Some(false) || self.enabled == Some(false))
    }

    fn provides(&self) -> Vec<Fact> {
        vec![Fact::Unit(self.name.clone())]
    }

    fn requires(&self) -> Vec<Fact> {
        let file = format!("{}/{}", DIRECTORIES[0], unit_file(&self.name));
        let file = file.parse::<AbsPath>().map(Fact::Path).into_iter();
        // Many a package brings the unit of its own name. A mask may have to be there before it does.
        let package = (self.masked != Some(true)).then(|| Fact::Package(package(&self.name).to_owned()));
        file.chain(package).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Action, laws::*};
    use crate::system::{Active, Command, Effect, Enablement, Op, System, Unit, UnitVerb, overlay::Overlay};

    fn node(active: Active, enablement: Enablement) -> Overlay<'static> {
        let unit = Unit { active, enablement };
        imagined(&[Op::Run(
            Command::new(["true"]).makes([Effect::Unit("db".parse().unwrap(), Some(unit))]),
        )])
    }

    fn verbs(ops: &[Op]) -> Vec<UnitVerb> {
        ops.iter()
            .map(|op| match op {
                Op::Unit { verb, .. } => *verb,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn service(properties: Value) -> Value {
        let mut service = json!({"name": "db"});
        service.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        service
    }

    #[test]
    fn what_is_declared_is_done_and_nothing_else() {
        use {Active as A, Enablement as E, UnitVerb as Verb};
        for (active, enablement, declared, expected) in [
            (A::Inactive, E::Disabled, json!({"running": true, "enabled": true}), vec![Verb::Enable, Verb::Start]),
            (A::Failed, E::Enabled, json!({"running": true}), vec![Verb::Start]),
            (A::Failed, E::Enabled, json!({"running": false}), vec![]),
            (A::Active, E::Enabled, json!({"running": false, "enabled": false}), vec![Verb::Disable, Verb::Stop]),
            (A::Active, E::Enabled, json!({}), vec![]),
            (A::Inactive, E::Masked, json!({"masked": false, "enabled": true, "running": true}), vec![Verb::Unmask, Verb::Enable, Verb::Start]),
            (A::Inactive, E::Enabled, json!({"masked": true}), vec![Verb::Mask]),
            (A::Inactive, E::Masked, json!({"running": false, "enabled": false}), vec![]),
            (A::Active, E::Fixed, json!({"enabled": true}), vec![]),
        ] {
            let plan = converge(&node(active, enablement), "service", service(declared.clone())).unwrap();
            assert_eq!(verbs(&plan.ops), expected, "{declared}");
        }
    }

    #[test]
    fn a_notification_restarts_what_runs() {
        let told = |active, declared| {
            let node = node(active, Enablement::Enabled);
            let resource = resource("service", service(declared)).unwrap();
            let plan = plan(&node, &*resource, true).unwrap();
            (plan.action, verbs(&plan.ops))
        };
        assert_eq!(told(Active::Active, json!({})), (Action::Restart, vec![UnitVerb::Restart]));
        assert_eq!(
            told(Active::Active, json!({"running": true, "on_notify": "reload"})),
            (Action::Reload, vec![UnitVerb::Reload])
        );
        // One that is only started now has read its configuration.
        assert_eq!(told(Active::Inactive, json!({"running": true})), (Action::Update, vec![UnitVerb::Start]));
        assert_eq!(told(Active::Inactive, json!({})), (Action::None, vec![]));
        assert_eq!(told(Active::Active, json!({"running": false})), (Action::Update, vec![UnitVerb::Stop]));
    }

    #[test]
    fn a_unit_that_is_nowhere_is_an_error_unless_it_is_not_wanted() {
        let node = imagined(&[]);
        assert!(error(converge(&node, "service", service(json!({"running": true})))).contains("there is no unit db.service"));
        assert!(converge(&node, "service", service(json!({"running": false, "enabled": false}))).unwrap().is_empty());
        let masked = node_error(Enablement::Masked);
        assert!(masked.contains("is masked"), "{masked}");
        assert!(resource("service", service(json!({"masked": true, "running": true}))).is_err());
    }

    fn node_error(enablement: Enablement) -> String {
        error(converge(&node(Active::Inactive, enablement), "service", service(json!({"running": true}))))
    }

    #[test]
    fn a_unit_of_a_planned_unit_file_is_foreseen() {
        let node = imagined(&[make_directory("/etc/systemd"), make_directory("/etc/systemd/system")]);
        node.execute(&write("/etc/systemd/system/db@.service", "[Service]\n[Install]\nWantedBy=x.target\n")).unwrap();
        let declared = json!({"name": "db@main", "running": true, "enabled": true});
        let plan = converge(&node, "service", declared).unwrap();
        assert_eq!(verbs(&plan.ops), [UnitVerb::Enable, UnitVerb::Start]);
    }
}
