//! `package`: a package of dpkg and apt.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Change, Plan, PropertyError, Provider, Role};
use crate::{
    system::{Claim, Command, Effect, Foretold, Op, Package as Installed, Probe, Reading, Refused, known},
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
    /// Whether it may be given an older version than the one that is installed.
    #[serde(default)]
    downgrade: bool,
    /// Whether apt keeps it at its version (apt-mark(8)); unchanged where nothing is said.
    hold: Option<bool>,
    /// Whether it is to be installed.
    #[serde(default)]
    state: Wanted,
}

/// `state` of a package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    /// It is installed.
    #[default]
    Present,
    /// It is not installed. Its conffiles stay when it is removed.
    Absent,
    /// It is not installed, and has no conffiles any more. What its scripts remove on a purge goes with them: of some packages that is data.
    Purged,
}

impl Package {
    pub(super) const EXAMPLE: &str = "name: nfs-common\n";

    /// As apt-get is told.
    fn wanted(&self) -> String {
        match &self.version {
            Some(version) => format!("{}={version}", self.name),
            None => self.name.to_string(),
        }
    }

    fn install(&self) -> Op {
        Op::Install {
            packages: vec![self.wanted()],
        }
    }

    fn uninstall(&self) -> Op {
        Op::Uninstall {
            packages: vec![self.name.to_string()],
            purge: self.state == Wanted::Purged,
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

/// What of the node matters to a package.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    installed: Option<Installed>,
    /// Whether nothing but its conffiles is there.
    leftover: bool,
    /// What apt says of what has to be done.
    foretold: Foretold,
}

impl Provider for Package {
    type State = State;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.is_absent() && (self.version.is_some() || self.hold.is_some()) {
            return Err(PropertyError::of(
                "state",
                "an absent package has no version and no hold",
            ));
        }
        if self.downgrade && self.version.is_none() {
            return Err(PropertyError::of("downgrade", "say to which `version`"));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let installed = known!(node.package(&self.name)?);
        let is_wanted = |package: &Installed| {
            package.configured && self.version.as_ref().is_none_or(|version| **version == package.version)
        };
        let leftover = self.state == Wanted::Purged && known!(node.leftover(&self.name)?);
        let foretold = match self.state {
            Wanted::Absent | Wanted::Purged if installed.is_some() => {
                node.transaction(&[], &[self.name.to_string()])?
            }
            Wanted::Present if !installed.as_ref().is_some_and(is_wanted) => node.transaction(&[self.wanted()], &[])?,
            _ => Foretold::Possible,
        };
        Ok(Reading::Known(State {
            installed,
            leftover,
            foretold,
        }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        let wanted = self.version.as_deref();
        let doing = if self.is_absent() { "removing" } else { "installing" };
        current.foretold.clone().check(doing, &[self.name.to_string()])?;
        match (self.state, &current.installed) {
            (Wanted::Purged, None) if current.leftover => Ok(Plan::to(Action::Remove)
                .change(Change::gone("conffiles", "left"))
                .op(self.uninstall())),
            (Wanted::Absent | Wanted::Purged, None) => Ok(Plan::none()),
            (Wanted::Absent | Wanted::Purged, Some(package)) if package.hold => Err(self.held(&package.version)),
            (Wanted::Absent | Wanted::Purged, Some(package)) => Ok(Plan::to(Action::Remove)
                .change(Change::gone("version", &package.version))
                .op(self.uninstall())),
            (Wanted::Present, None) => {
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
            (Wanted::Present, Some(package)) => self.update(package),
        }
    }

    fn is_absent(&self) -> bool {
        self.state != Wanted::Present
    }

    fn provides(&self) -> Vec<Claim> {
        vec![Claim::Package(self.name.to_string())]
    }
}

impl Package {
    fn update(&self, package: &Installed) -> Result<Plan> {
        let version = self.version.as_ref().filter(|version| ***version != package.version);
        let after = version.map_or(&*package.version, |version| &**version);
        let mut plan = Plan::to(Action::Update);
        let mut hold = package.hold;
        if !package.configured {
            plan = plan.change(Change::of("configured", false, true));
        }
        if let Some(version) = version {
            if package
                .version
                .parse()
                .is_ok_and(|now: PackageVersion| version.is_older_than(&now))
            {
                if !self.downgrade {
                    return Err(Refused::because(
                        format!("{} {} would be downgraded to {version}", self.name, package.version),
                        "few packages read what a newer one has written: say `downgrade: true` if this one does",
                    ));
                }
                plan = plan.warn(format!(
                    "{version} is older than {}: this is a downgrade",
                    package.version
                ));
            }
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
        git.as_object_mut()
            .unwrap()
            .extend(properties.as_object().unwrap().clone());
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
            (json!({"state": "purged"}), Action::Remove, 1),
            (json!({}), Action::Create, 1),
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
