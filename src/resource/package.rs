//! `package`: a package of dpkg and apt.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role, presence::Presence};
use crate::{
    system::{Command, Effect, Fact, Op, Package as Installed, Probe, Reading},
    value::{PackageName, PackageVersion},
};

/// A package. It is installed without those it only recommends; declare what you need. Nothing is removed that is not declared
/// absent, and nothing installed in the place of what goes: where apt would, that is refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    /// Its name, with `:architecture` where that is not the node's own.
    name: PackageName,
    /// Its version, whole and exact. Without one, any version will do, and the newest that apt knows is installed where none is.
    version: Option<PackageVersion>,
    /// Whether apt keeps it at its version (apt-mark(8)); unchanged where nothing is said.
    hold: Option<bool>,
    /// Whether it is to be installed. Its conffiles stay when it is removed.
    #[serde(default)]
    state: Presence,
}

impl Package {
    pub(super) const EXAMPLE: &str = "name: nfs-common\n";

    fn install(&self) -> Op {
        let package = match &self.version {
            Some(version) => format!("{}={version}", self.name),
            None => self.name.to_string(),
        };
        Op::Install {
            packages: vec![package],
        }
    }

    /// `apt-mark hold` or `unhold`.
    fn mark(&self, hold: bool, version: &str) -> Op {
        let package = Installed {
            version: version.to_owned(),
            hold,
            configured: true,
        };
        let verb = if hold { "hold" } else { "unhold" };
        let command = Command::new(["apt-mark", verb, &self.name]);
        Op::Run(command.makes([Effect::Package(self.name.to_string(), Some(package))]))
    }

    fn held(&self, version: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "{} is on hold at {version} (apt-mark showhold), and this would change it: say `hold: false`, or `hold: true` to hold it at the \
             declared version",
            self.name
        )
    }
}

impl Provider for Package {
    type State = Option<Installed>;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.state == Presence::Absent && (self.version.is_some() || self.hold.is_some()) {
            return Err(PropertyError::of("state", "an absent package has no version and no hold"));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Option<Installed>>> {
        node.package(&self.name)
    }

    fn diff(&self, current: &Option<Installed>, _notified: bool) -> Result<Plan> {
        let wanted = self.version.as_deref();
        match (self.state, current) {
            (Presence::Absent, None) => Ok(Plan::none()),
            (Presence::Absent, Some(package)) if package.hold => Err(self.held(&package.version)),
            (Presence::Absent, Some(package)) => {
                let packages = vec![self.name.to_string()];
                Ok(Plan::to(Action::Remove)
                    .change(Change::gone("version", &package.version))
                    .op(Op::Uninstall { packages }))
            }
            (Presence::Present, None) => {
                let mut plan = Plan::to(Action::Create)
                    .change(Change::new("version", wanted.unwrap_or("newest")))
                    .op(self.install());
                if self.hold == Some(true) {
                    plan = plan
                        .change(Change::new("hold", true))
                        .op(self.mark(true, wanted.unwrap_or_default()));
                }
                Ok(plan)
            }
            (Presence::Present, Some(package)) => self.update(package),
        }
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Fact> {
        vec![Fact::Package(self.name.to_string())]
    }
}

impl Package {
    fn update(&self, package: &Installed) -> Result<Plan> {
        let version = self.version.as_deref().filter(|version| *version != package.version);
        let after = version.unwrap_or(&package.version);
        let mut plan = Plan::to(Action::Update);
        let mut hold = package.hold;
        if !package.configured {
            plan = plan.change(Change::of("configured", false, true));
        }
        if let Some(version) = version {
            plan = plan.change(Change::of("version", &package.version, version));
            if package.hold {
                if self.hold.is_none() {
                    bail!(self.held(&package.version));
                }
                plan = plan.op(self.mark(false, &package.version));
                hold = false;
            }
        }
        if !plan.changes.is_empty() {
            plan = plan.op(self.install());
        }
        if let Some(wanted) = self.hold {
            if wanted != package.hold {
                plan = plan.change(Change::of("hold", package.hold, wanted));
            }
            if wanted != hold {
                plan = plan.op(self.mark(wanted, after));
            }
        }
        Ok(if plan.ops.is_empty() { Plan::none() } else { plan })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Action, laws::*};
    use crate::system::{Command, Effect, Op, Package, System, overlay::Overlay};

    fn with(version: &str, hold: bool, configured: bool) -> Overlay<'static> {
        let package = Package {
            version: version.to_owned(),
            hold,
            configured,
        };
        imagined(&[Op::Run(
            Command::new(["dpkg"]).makes([Effect::Package("git".to_owned(), Some(package))]),
        )])
    }

    fn git(properties: Value) -> Value {
        let mut git = json!({"name": "git"});
        git.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        git
    }

    #[test]
    fn a_package_is_installed_held_changed_and_removed() {
        let node = imagined(&[]);
        for (declared, action, operations) in [
            (json!({}), Action::Create, 1),
            (json!({"version": "1:2.39.5-0"}), Action::Update, 1),
            (json!({"hold": true}), Action::Update, 1),
            (json!({"hold": true, "version": "1:2.40-1"}), Action::Update, 3),
            (json!({"hold": false}), Action::Update, 1),
            (json!({"state": "absent"}), Action::Remove, 1),
        ] {
            let plan = converge(&node, "package", git(declared.clone())).unwrap();
            assert_eq!((plan.action, plan.ops.len()), (action, operations), "{declared}");
            assert!(converge(&node, "package", git(declared)).unwrap().is_empty());
        }
    }

    #[test]
    fn a_package_on_hold_is_not_touched_unless_that_is_declared() {
        let node = with("1", true, true);
        for declared in [json!({"version": "2"}), json!({"state": "absent"})] {
            assert!(error(converge(&node, "package", git(declared))).contains("is on hold at 1"));
        }
        assert!(converge(&node, "package", git(json!({}))).unwrap().is_empty());
        converge(&node, "package", git(json!({"version": "2", "hold": false}))).unwrap();
    }

    #[test]
    fn a_package_that_is_half_configured_is_not_installed_yet() {
        let plan = converge(&with("1", false, false), "package", git(json!({}))).unwrap();
        assert_eq!((properties(&plan), plan.ops.len()), (vec!["configured"], 1));
    }

    #[test]
    fn an_offline_tree_is_read_and_not_installed_into() {
        let tree = offline(&[make_directory("/var/lib"), make_directory("/var/lib/dpkg")]);
        let declared = || json!({"name": "g++"});
        assert!(error(converge(&tree.node, "package", declared())).contains("there is no /var/lib/dpkg/status"));
        let status = "Package: g++\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n";
        tree.node.execute(&write("/var/lib/dpkg/status", status)).unwrap();
        assert!(converge(&tree.node, "package", declared()).unwrap().is_empty());
        assert!(converge(&tree.node, "package", json!({"name": "git"})).is_err());
    }
}
