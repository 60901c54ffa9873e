//! `exec`: a program of the user's, with what tells whether it has to run.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role, parent};
use crate::{
    system::{Claim, Command, Effect, Entry, FileType, Guard, Op, Package, Probe, Reading, known},
    value::{AbsPath, AccountName, Mode, Owner, PackageName},
};

/// A program that is run, without a shell, when something says that it has to be: `creates`, `makes`, `unless`, `only_if` or a
/// notification. Once it has run, all of these must say that it need not run again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exec {
    /// A name for it.
    name: String,
    /// The program and its arguments, as a list. For a shell: `[sh, -c, …]`. Every user can see them while it runs: a secret goes into `env`.
    command: Vec<String>,
    /// It runs if nothing stands at this path. A resource that declares the path comes after it.
    creates: Option<AbsPath>,
    /// It runs if this program fails. It is run while planning, where it can write to no file.
    unless: Option<Vec<String>>,
    /// It runs if this program succeeds. It is run while planning, where it can write to no file.
    only_if: Option<Vec<String>>,
    /// The directory it runs in; `/` where none is given.
    cwd: Option<AbsPath>,
    /// Variables of its environment, which nobody but root and `user` can see, besides `PATH`, `HOME`, `LC_ALL` and `GLRL_RUN` (which names the run).
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Who runs it; root where none is given.
    user: Option<AccountName>,
    /// Whether it runs only when it is notified; what else it declares has to agree too.
    #[serde(default)]
    only_notified: bool,
    /// What it makes. It runs if one of these is missing, and a plan knows that they will be there.
    #[serde(default)]
    makes: Makes,
    /// How long a guard may take.
    #[serde(skip)]
    guard_timeout: Option<Duration>,
}

/// What a program makes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Makes {
    /// Files.
    #[serde(default)]
    files: Vec<AbsPath>,
    /// Directories.
    #[serde(default)]
    directories: Vec<AbsPath>,
    /// Packages.
    #[serde(default)]
    packages: Vec<PackageName>,
}

/// How long it may take, unless the resource's own `timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_hours(1);
/// How long a guard may take, likewise.
const GUARD_TIMEOUT: Duration = Duration::from_secs(30);

impl Makes {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty() && self.packages.is_empty()
    }

    fn paths(&self) -> impl Iterator<Item = &AbsPath> {
        self.files.iter().chain(&self.directories)
    }

    /// The first that is missing, as the plan shows it.
    fn missing(&self, node: &dyn Probe) -> Result<Reading<Option<Because>>> {
        for path in self.paths() {
            if known!(node.entry(path)?).is_none() {
                return Ok(Reading::Known(Some(Because::Missing(path.to_string()))));
            }
        }
        for name in &self.packages {
            if known!(node.package(name)?).is_none_or(|package| !package.configured) {
                return Ok(Reading::Known(Some(Because::Missing(format!("package {name}")))));
            }
        }
        Ok(Reading::Known(None))
    }

    fn effects(&self) -> impl Iterator<Item = Effect> {
        let entry = |path: &AbsPath, file_type, mode| {
            let entry = Entry {
                file_type,
                mode,
                owner: Owner::ROOT,
                group: Owner::ROOT,
            };
            Effect::Entry(path.to_path_buf(), Some(entry))
        };
        let directories = self
            .directories
            .iter()
            .map(move |path| entry(path, FileType::Directory, Mode::DIRECTORY));
        let files = self
            .files
            .iter()
            .map(move |path| entry(path, FileType::File { size: 0 }, Mode::FILE));
        let packages = self.packages.iter().map(|name| {
            let package = Package {
                version: String::new(),
                hold: false,
                configured: true,
            };
            Effect::Package(name.to_string(), Some(package))
        });
        directories.chain(files).chain(packages)
    }
}

/// Why it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Because {
    /// This is not there.
    Missing(String),
    /// Its `unless` fails.
    Unless,
    /// Its `only_if` succeeds.
    OnlyIf,
    /// Nothing speaks against it; it waits for a notification.
    Nothing,
}

impl Exec {
    pub(super) const EXAMPLE: &str = "name: make the certificate\ncommand: [/usr/local/bin/make-certificate, --self-signed]\ncreates: /etc/ssl/private/app.pem\n";

    fn passes(&self, node: &dyn Probe, argv: &[String]) -> Result<Reading<bool>> {
        node.guard(&Guard {
            argv: argv.to_vec(),
            timeout: self.guard_timeout.unwrap_or(GUARD_TIMEOUT),
        })
    }

    fn run(&self) -> Op {
        let mut command = Command::new(self.command.iter().cloned());
        command.env = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        command.cwd.clone_from(&self.cwd);
        command.user = self.user.as_ref().map(ToString::to_string);
        command.timeout = TIMEOUT;
        if self.creates.is_none() && self.makes.is_empty() {
            return Op::Run(command.makes([Effect::Anything]));
        }
        let creates = self.creates.iter().map(|path| Effect::Unsure(path.to_path_buf()));
        Op::Run(command.makes(creates.chain(self.makes.effects())))
    }
}

impl Provider for Exec {
    /// Why it has to run; `None` if it has not.
    type State = Option<Because>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        for (property, argv) in [
            ("command", Some(&self.command)),
            ("unless", self.unless.as_ref()),
            ("only_if", self.only_if.as_ref()),
        ] {
            if argv.is_some_and(|argv| argv.first().is_none_or(String::is_empty)) {
                return Err(PropertyError::of(property, "the list names no program"));
            }
        }
        if self.creates.is_none()
            && self.unless.is_none()
            && self.only_if.is_none()
            && self.makes.is_empty()
            && !self.only_notified
        {
            return Err(PropertyError::of(
                "command",
                "nothing says when it has to run: add `creates`, `makes`, `unless`, `only_if` or `only_notified: true`",
            ));
        }
        if let Some(name) = self
            .env
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(PropertyError::of("env", format!("'{name}' is not a variable's name")));
        }
        Ok(())
    }

    fn limit(&mut self, timeout: Duration) {
        self.guard_timeout = Some(timeout);
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Option<Because>>> {
        let mut because = Because::Nothing;
        if let Some(path) = &self.creates {
            if known!(node.entry(path)?).is_some() {
                return Ok(Reading::Known(None));
            }
            because = Because::Missing(path.to_string());
        }
        if !self.makes.is_empty() {
            match known!(self.makes.missing(node)?) {
                None => return Ok(Reading::Known(None)),
                Some(missing) => because = missing,
            }
        }
        if let Some(argv) = &self.unless {
            if known!(self.passes(node, argv)?) {
                return Ok(Reading::Known(None));
            }
            because = Because::Unless;
        }
        if let Some(argv) = &self.only_if {
            if !known!(self.passes(node, argv)?) {
                return Ok(Reading::Known(None));
            }
            because = Because::OnlyIf;
        }
        Ok(Reading::Known(Some(because)))
    }

    fn diff(&self, because: &Option<Because>, notified: bool) -> Result<Plan> {
        let Some(because) = because else {
            return Ok(Plan::none());
        };
        if self.only_notified && !notified {
            return Ok(Plan::none());
        }
        let because = match because {
            _ if self.only_notified => "it is notified".to_owned(),
            Because::Missing(what) => format!("there is no {what}"),
            Because::Unless => "its `unless` fails".to_owned(),
            Because::OnlyIf => "its `only_if` succeeds".to_owned(),
            Because::Nothing => return Ok(Plan::none()),
        };
        Ok(Plan::to(Action::Run)
            .change(Change::new("command", self.command.join(" ")))
            .change(Change::new("because", because))
            .op(self.run()))
    }

    fn provides(&self) -> Vec<Claim> {
        let mut paths: Vec<AbsPath> = self.creates.iter().chain(self.makes.paths()).cloned().collect();
        paths.sort_unstable();
        paths.dedup();
        let packages = self.makes.packages.iter().map(|name| Claim::Package(name.to_string()));
        paths.into_iter().map(Claim::Made).chain(packages).collect()
    }

    fn requires(&self) -> Vec<Claim> {
        let programs = [Some(&self.command), self.unless.as_ref(), self.only_if.as_ref()];
        let programs = programs
            .into_iter()
            .flatten()
            .filter_map(|argv| argv.first()?.parse().ok())
            .map(Claim::Path);
        let made = self
            .creates
            .iter()
            .chain(self.makes.paths())
            .filter_map(parent::required);
        programs
            .chain(made)
            .chain(self.cwd.clone().map(Claim::Path))
            .chain(self.user.as_ref().map(|user| Claim::User(user.to_string())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Action, laws::*};
    use crate::system::{Effect, Op, Reading};

    fn exec(properties: Value) -> Value {
        let mut exec = json!({"name": "x", "command": ["make-it", "now"]});
        exec.as_object_mut()
            .unwrap()
            .extend(properties.as_object().unwrap().clone());
        exec
    }

    #[test]
    fn something_has_to_say_when_it_runs() {
        for wrong in [
            json!({}),
            json!({"creates": "/a", "command": []}),
            json!({"unless": []}),
            json!({"creates": "a"}),
        ] {
            assert!(resource("exec", exec(wrong.clone())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_guard_has_the_time_that_the_role_gives_it() {
        let node = crate::system::LocalNode::live().unwrap();
        for guard in ["unless", "only_if"] {
            let mut resource = resource("exec", exec(json!({guard: ["sleep", "60"]}))).unwrap();
            resource.limit(std::time::Duration::from_millis(50));
            let error = error(plan(&node, &*resource, false));
            assert!(error.contains("sleep 60 took longer than 0.05 s"), "{error}");
        }
    }

    #[test]
    fn what_it_makes_is_foreseen() {
        let makes = || exec(json!({"makes": {"files": ["/srv/a/b"], "directories": ["/srv/a"], "packages": ["x1"]}}));
        let node = imagined(&[]);
        let plan = converge(&node, "exec", makes()).unwrap();
        assert_eq!(plan.action, Action::Run);
        converge(&node, "file", json!({"path": "/srv/a/c", "content": "1"})).unwrap();
        assert!(converge(&node, "exec", makes()).unwrap().is_empty());
    }

    #[test]
    fn what_it_creates_is_there_and_not_known() {
        let node = imagined(&[]);
        let resource = resource("exec", exec(json!({"creates": "/srv/a"}))).unwrap();
        for op in plan(&node, &*resource, false).unwrap().ops {
            crate::system::System::execute(&node, &op).unwrap();
        }
        assert!(matches!(resource.plan(&node, false).unwrap(), Reading::Unknown { .. }));
        let there = offline(&[write("/srv/a", "")]);
        assert!(plan(&there.node, &*resource, false).unwrap().is_empty());
    }

    #[test]
    fn without_that_anything_may_have_changed() {
        // `Bare` answers that no guard passes.
        let unless = resource("exec", exec(json!({"unless": ["true"]}))).unwrap();
        let node = imagined(&[]);
        let plan_of = plan(&node, &*unless, false).unwrap();
        assert!(matches!(&plan_of.ops[..], [Op::Run(command)] if command.makes == [Effect::Anything]));
        let only_if = resource("exec", exec(json!({"only_if": ["true"]}))).unwrap();
        assert!(plan(&node, &*only_if, false).unwrap().is_empty());
    }

    #[test]
    fn one_that_waits_for_a_notification_runs_only_then() {
        let node = imagined(&[]);
        let told = resource("exec", exec(json!({"only_notified": true}))).unwrap();
        assert!(plan(&node, &*told, false).unwrap().is_empty());
        assert_eq!(plan(&node, &*told, true).unwrap().action, Action::Run);
        let unless = resource(
            "exec",
            exec(json!({"only_notified": true, "makes": {"files": ["/etc"]}})),
        )
        .unwrap();
        assert!(plan(&node, &*unless, true).unwrap().is_empty());
    }
}
