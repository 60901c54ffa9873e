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
/// absent: where apt would, that is refused.
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

    fn provides(&self) -> Vec<Fact> {
        match self.state {
            Presence::Present => vec![Fact::Package(self.name.to_string())],
            Presence::Absent => Vec::new(),
        }
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
