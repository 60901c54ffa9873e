//! `service`: a unit of systemd and whether it runs, now and after the next boot.

use std::path::Path;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Change, Plan, PropertyError, Provider, Role};
use crate::{
    system::{Active, Claim, Enablement, FileType, Op, Probe, Reading, Unit, UnitVerb, known},
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
            let says = |wanted: &str| text.lines().any(|line| line.trim() == wanted);
            let remains = ["yes", "true", "on", "1"]
                .iter()
                .any(|yes| says(&format!("RemainAfterExit={yes}")));
            return Ok(Reading::Known(Some(Unit {
                ends: says("Type=oneshot") && !remains,
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

    /// What stands where `systemctl mask` makes a link to /dev/null.
    fn in_the_way(&self, node: &dyn Probe) -> Result<Reading<Option<AbsPath>>> {
        let path: AbsPath = format!("{}/{}", DIRECTORIES[0], self.name.as_str())
            .parse()
            .map_err(anyhow::Error::msg)?;
        let is_mask =
            |file_type: &FileType| matches!(file_type, FileType::Link { target } if target == Path::new("/dev/null"));
        Ok(node
            .entry(&path)?
            .map(|entry| entry.filter(|entry| !is_mask(&entry.file_type)).map(|_| path)))
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
            plan.ops
                .push(self.op(if wanted { UnitVerb::Mask } else { UnitVerb::Unmask }));
        } else if masked && (self.enabled == Some(true) || self.running == Some(true)) {
            bail!("{} is masked: say `masked: false` to have it run", self.name);
        }
        if unit.enablement == Enablement::Gone {
            if self.enabled == Some(true) {
                bail!(
                    "{} has no unit file any more: need the package that brings it, or declare its unit file",
                    self.name
                );
            }
            plan.warnings.push(format!(
                "{} runs without a unit file, which was removed; what has enabled it may be left: ls -l {}/*.wants/{}",
                self.name,
                DIRECTORIES[0],
                self.name.as_str()
            ));
            return Ok(());
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

/// What of the node matters to a unit.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    unit: Option<Unit>,
    /// What stands where a mask would be.
    in_the_way: Option<AbsPath>,
}

impl Provider for Service {
    type State = State;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.masked == Some(true) && (self.running == Some(true) || self.enabled == Some(true)) {
            return Err(PropertyError::of(
                "masked",
                "a masked unit can neither run nor be enabled",
            ));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let unit = known!(match node.unit(&self.name)? {
            Reading::Known(Some(unit)) => Reading::Known(Some(unit)),
            Reading::Known(None) => self.of_unit_file(node)?,
            // A unit file that is planned says it, whatever packages are installed before.
            Reading::Unknown { after } => match self.of_unit_file(node)? {
                Reading::Known(Some(unit)) => Reading::Known(Some(unit)),
                _ => Reading::Unknown { after },
            },
        });
        let in_the_way = if self.masked == Some(true) {
            known!(self.in_the_way(node)?)
        } else {
            None
        };
        Ok(Reading::Known(State { unit, in_the_way }))
    }

    fn diff(&self, current: &State, notified: bool) -> Result<Plan> {
        let is_masked = matches!(
            &current.unit,
            Some(Unit {
                enablement: Enablement::Masked,
                ..
            })
        );
        if let (Some(file), false) = (&current.in_the_way, is_masked) {
            bail!(
                "{} cannot be masked while there is {file}, where the mask would be: declare that file absent",
                self.name
            );
        }
        let Some(unit) = &current.unit else {
            return self.absent();
        };
        let mut plan = Plan::to(Action::Update);
        self.enablement(unit, &mut plan)?;
        let runs = unit.active == Active::Active;
        if self.running == Some(true) && unit.ends && !runs {
            bail!(
                "{} does not go on running: it is a oneshot that ends when its work is done; declare `enabled` only, or give it \
                 RemainAfterExit=yes",
                self.name
            );
        }
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
            _ if notified && runs && unit.enablement != Enablement::Gone => {
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

    fn provides(&self) -> Vec<Claim> {
        vec![Claim::Unit(self.name.clone())]
    }

    fn requires(&self) -> Vec<Claim> {
        let file = format!("{}/{}", DIRECTORIES[0], unit_file(&self.name));
        let file = file.parse::<AbsPath>().map(Claim::Path).into_iter();
        // Many a package brings the unit of its own name. A mask may have to be there before it does.
        let package = (self.masked != Some(true)).then(|| Claim::Package(package(&self.name).to_owned()));
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
        let unit = Unit {
            active,
            enablement,
            ends: false,
        };
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
        service
            .as_object_mut()
            .unwrap()
            .extend(properties.as_object().unwrap().clone());
        service
    }

    #[test]
    fn what_is_declared_is_done_and_nothing_else() {
        use {Active as A, Enablement as E, UnitVerb as Verb};
        for (active, enablement, declared, expected) in [
            (
                A::Inactive,
                E::Disabled,
                json!({"running": true, "enabled": true}),
                vec![Verb::Enable, Verb::Start],
            ),
            (A::Failed, E::Enabled, json!({"running": true}), vec![Verb::Start]),
            (A::Failed, E::Enabled, json!({"running": false}), vec![]),
            (
                A::Active,
                E::Enabled,
                json!({"running": false, "enabled": false}),
                vec![Verb::Disable, Verb::Stop],
            ),
            (A::Active, E::Enabled, json!({}), vec![]),
            (
                A::Inactive,
                E::Masked,
                json!({"masked": false, "enabled": true, "running": true}),
                vec![Verb::Unmask, Verb::Enable, Verb::Start],
            ),
            (A::Inactive, E::Enabled, json!({"masked": true}), vec![Verb::Mask]),
            (
                A::Inactive,
                E::Masked,
                json!({"running": false, "enabled": false}),
                vec![],
            ),
            (A::Active, E::Fixed, json!({"enabled": true}), vec![]),
        ] {
            let plan = converge(&node(active, enablement), "service", service(declared.clone())).unwrap();
            assert_eq!(verbs(&plan.ops), expected, "{declared}");
        }
    }

    #[test]
    fn what_systemd_would_refuse_fails_in_the_plan() {
        let directories = ["/etc/systemd", "/etc/systemd/system"].map(make_directory);
        let with_file = |text: &str| {
            let node = imagined(&directories);
            node.execute(&write("/etc/systemd/system/db.service", text)).unwrap();
            node
        };
        let oneshot = "[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        for (text, declared, expected) in [
            (oneshot, json!({"running": true}), Some("does not go on running")),
            (oneshot, json!({"enabled": true}), None),
            (
                &*format!("{oneshot}[Service]\nRemainAfterExit=yes\n"),
                json!({"running": true}),
                None,
            ),
            ("[Service]\n", json!({"masked": true}), Some("where the mask would be")),
            ("[Service]\n", json!({"running": false}), None),
        ] {
            let answer = converge(&with_file(text), "service", service(declared.clone()));
            match expected {
                Some(expected) => assert!(error(answer).contains(expected), "{declared}"),
                None => drop(answer.unwrap()),
            }
        }
    }

    #[test]
    fn one_whose_unit_file_is_gone_is_stopped_and_never_started() {
        let gone = || node(Active::Active, Enablement::Gone);
        let plan = converge(&gone(), "service", service(json!({"running": false, "enabled": false}))).unwrap();
        assert_eq!((verbs(&plan.ops), plan.warnings.len()), (vec![UnitVerb::Stop], 1));
        assert!(
            error(converge(&gone(), "service", service(json!({"enabled": true}))))
                .contains("has no unit file any more")
        );
    }

    #[test]
    fn a_notification_restarts_what_runs() {
        let told = |active, declared| {
            let node = node(active, Enablement::Enabled);
            let resource = resource("service", service(declared)).unwrap();
            let plan = plan(&node, &*resource, true).unwrap();
            (plan.action, verbs(&plan.ops))
        };
        assert_eq!(
            told(Active::Active, json!({})),
            (Action::Restart, vec![UnitVerb::Restart])
        );
        assert_eq!(
            told(Active::Active, json!({"running": true, "on_notify": "reload"})),
            (Action::Reload, vec![UnitVerb::Reload])
        );
        // One that is only started now has read its configuration.
        assert_eq!(
            told(Active::Inactive, json!({"running": true})),
            (Action::Update, vec![UnitVerb::Start])
        );
        assert_eq!(told(Active::Inactive, json!({})), (Action::None, vec![]));
        assert_eq!(
            told(Active::Active, json!({"running": false})),
            (Action::Update, vec![UnitVerb::Stop])
        );
    }

    #[test]
    fn a_unit_that_is_nowhere_is_an_error_unless_it_is_not_wanted() {
        let node = imagined(&[]);
        assert!(
            error(converge(&node, "service", service(json!({"running": true}))))
                .contains("there is no unit db.service")
        );
        assert!(
            converge(&node, "service", service(json!({"running": false, "enabled": false})))
                .unwrap()
                .is_empty()
        );
        let masked = node_error(Enablement::Masked);
        assert!(masked.contains("is masked"), "{masked}");
        assert!(resource("service", service(json!({"masked": true, "running": true}))).is_err());
    }

    fn node_error(enablement: Enablement) -> String {
        error(converge(
            &node(Active::Inactive, enablement),
            "service",
            service(json!({"running": true})),
        ))
    }

    #[test]
    fn a_unit_of_a_planned_unit_file_is_foreseen() {
        let node = imagined(&[make_directory("/etc/systemd"), make_directory("/etc/systemd/system")]);
        node.execute(&write(
            "/etc/systemd/system/db@.service",
            "[Service]\n[Install]\nWantedBy=x.target\n",
        ))
        .unwrap();
        let declared = json!({"name": "db@main", "running": true, "enabled": true});
        let plan = converge(&node, "service", declared).unwrap();
        assert_eq!(verbs(&plan.ops), [UnitVerb::Enable, UnitVerb::Start]);
    }
}
