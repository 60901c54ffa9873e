//! What glrl manages. Each kind is one file here, one line in `kinds!` below and one folder in `tests/cases/`; the parser,
//! the JSON schema, the reference, completions and the laws' tests follow from the line.

mod cron_field;
mod crontab;
mod exports_file;
mod fstab;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod home;
#[cfg(test)]
mod laws;
mod metadata;
mod mkfs;
mod mount_options;
mod number;
mod parent;
mod plan;
mod presence;
mod regular;
mod snapshots;
mod truncation;
mod wipe;

use std::{borrow::Cow, fmt, sync::LazyLock, time::Duration};

use anyhow::Result;
use schemars::Schema;
use serde::Deserializer;

pub use plan::{Action, Change, Plan, Shown};

use crate::{
    system::{Bytes, Claim, Op, Probe, Reading, check_way},
    value::{AbsPath, GroupName, Id, VolumeSize, secret::redact},
};

/// One kind of thing glrl manages: what a provider's author writes, besides the properties themselves
/// (`#[derive(Deserialize, JsonSchema)] #[serde(deny_unknown_fields)]`).
pub trait Provider: fmt::Debug + Send + Sync {
    /// What of the node matters to it.
    type State: PartialEq + fmt::Debug;

    /// Its name within its kind: a path, `group/volume`, a package's name.
    fn name(&self) -> String;

    /// Reads and renders what lies beside the role, once, before any node is looked at. An error here is an error in the
    /// role; name the property with `PropertyError::of`.
    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        Ok(())
    }

    /// Looks at the node.
    fn read(&self, node: &dyn Probe) -> Result<Reading<Self::State>>;

    /// What has to change, as changes to show and operations to execute. Pure: the same answer for the same arguments, and
    /// empty when the state is as declared. `notified`: something that this one watches has changed. What must not be done
    /// for the data's sake is a `Refused` error.
    fn diff(&self, current: &Self::State, notified: bool) -> Result<Plan>;

    /// What the operator should know of the node as the whole run leaves it, where that is for this one to say: room that is used up
    /// by others.
    fn final_warnings(&self, _node: &dyn Probe) -> Result<Reading<Vec<String>>> {
        Ok(Reading::Known(Vec::new()))
    }

    /// For one that runs programs of the role's while it is planned: how long each of them may take, where the role says so.
    fn limit(&mut self, _timeout: Duration) {}

    /// Whether it is declared not to be there. What it then provides is what others find gone, and what it requires must not go before
    /// it.
    fn is_absent(&self) -> bool {
        false
    }

    /// What others can rely on once it is applied.
    fn provides(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// What it relies on. An implied edge goes to the resource that provides it, if one does.
    fn requires(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// For one that removes what nobody declares: where, and what others declare there.
    fn purges(&mut self) -> Option<Purge<'_>> {
        None
    }

    /// For a volume group: its name, and what its volumes are to leave.
    fn reserve(&self) -> Option<(&GroupName, VolumeSize)> {
        None
    }

    /// For a volume: the group that it takes extents of, and what it has to leave of it; the graph fills that in.
    fn leaves(&mut self) -> Option<(&GroupName, &mut Option<VolumeSize>)> {
        None
    }

    /// For an account: the numbers that are declared, in order; the graph fills that in.
    fn numbers(&mut self) -> Option<&mut Vec<u32>> {
        None
    }

    /// For a filesystem that is to grow: whether something declared mounts it. For a mount: whether what it mounts is to grow. The graph
    /// fills both in.
    fn growth(&mut self) -> Option<&mut bool> {
        None
    }
}

/// A directory in which what nobody declares is removed.
#[derive(Debug)]
pub struct Purge<'r> {
    /// The directory.
    pub directory: &'r AbsPath,
    /// Paths below it that other resources claim; the graph fills them in.
    pub claimed: &'r mut Vec<AbsPath>,
}

/// What lies beside a role: its `files/` and `templates/`, and the values that templates see.
pub trait Role {
    /// A file below the role's `files/`; an absolute path is read from the machine glrl runs on.
    fn file(&self, source: &str) -> Result<Bytes>;
    /// Names below a directory of `files/`, relative to it, sorted; only regular files.
    fn tree(&self, source: &str) -> Result<Vec<String>>;
    /// A template below the role's `templates/`, rendered in strict mode with the role's `inputs`, `vars` and `facts`, and
    /// `vars` of the resource's own on top.
    fn render(&self, source: &str, vars: &serde_json::Map<String, serde_json::Value>) -> Result<String>;
}

/// A property that is well-formed but wrong, found in `prepare`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PropertyError {
    /// The property's name.
    pub property: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl PropertyError {
    /// An error about this property.
    pub fn of(property: &str, message: impl Into<String>) -> anyhow::Error {
        Self {
            property: property.to_owned(),
            message: message.into(),
            hint: None,
        }
        .into()
    }
}

/// A resource of any kind, as the engine sees it.
pub trait Resource: fmt::Debug + Send + Sync {
    /// `kind:name`.
    fn id(&self) -> Id;
    /// See `Provider::prepare`.
    fn prepare(&mut self, role: &dyn Role) -> Result<()>;
    /// See `Provider::limit`.
    fn limit(&mut self, _timeout: Duration) {}
    /// `read`, then `diff`; an error where the node cannot carry it out.
    fn plan(&self, node: &dyn Probe, notified: bool) -> Result<Reading<Plan>>;
    /// See `Provider::final_warnings`.
    fn final_warnings(&self, node: &dyn Probe) -> Result<Reading<Vec<String>>>;
    /// See `Provider::is_absent`.
    fn is_absent(&self) -> bool {
        false
    }
    /// See `Provider::provides`.
    fn provides(&self) -> Vec<Claim>;
    /// See `Provider::requires`.
    fn requires(&self) -> Vec<Claim>;
    /// See `Provider::purges`.
    fn purges(&mut self) -> Option<Purge<'_>> {
        None
    }
    /// See `Provider::reserve`.
    fn reserve(&self) -> Option<(&GroupName, VolumeSize)> {
        None
    }
    /// See `Provider::leaves`.
    fn leaves(&mut self) -> Option<(&GroupName, &mut Option<VolumeSize>)> {
        None
    }
    /// See `Provider::numbers`.
    fn numbers(&mut self) -> Option<&mut Vec<u32>> {
        None
    }
    /// See `Provider::growth`.
    fn growth(&mut self) -> Option<&mut bool> {
        None
    }
}

/// A provider with its kind's name.
#[derive(Debug)]
struct Of<P> {
    kind: &'static str,
    provider: P,
}

impl<P: Provider> Resource for Of<P> {
    fn id(&self) -> Id {
        Id::new(self.kind, &self.provider.name())
    }

    fn prepare(&mut self, role: &dyn Role) -> Result<()> {
        self.provider.prepare(role)
    }

    fn limit(&mut self, timeout: Duration) {
        self.provider.limit(timeout);
    }

    fn plan(&self, node: &dyn Probe, notified: bool) -> Result<Reading<Plan>> {
        Ok(match self.provider.read(node)? {
            Reading::Known(state) => {
                let mut plan = self.provider.diff(&state, notified)?;
                for op in &plan.ops {
                    node.check_supported(op)?;
                    for path in op.ways() {
                        check_way(node, path)?;
                    }
                    plan.warnings.extend(node.check(op)?);
                    plan.warnings.extend(told_by_ps(op));
                }
                Reading::Known(plan)
            }
            Reading::Unknown { after } => Reading::Unknown { after },
        })
    }

    fn final_warnings(&self, node: &dyn Probe) -> Result<Reading<Vec<String>>> {
        self.provider.final_warnings(node)
    }

    fn is_absent(&self) -> bool {
        self.provider.is_absent()
    }

    fn provides(&self) -> Vec<Claim> {
        self.provider.provides()
    }

    fn requires(&self) -> Vec<Claim> {
        self.provider.requires()
    }

    fn purges(&mut self) -> Option<Purge<'_>> {
        self.provider.purges()
    }

    fn reserve(&self) -> Option<(&GroupName, VolumeSize)> {
        self.provider.reserve()
    }

    fn leaves(&mut self) -> Option<(&GroupName, &mut Option<VolumeSize>)> {
        self.provider.leaves()
    }

    fn numbers(&mut self) -> Option<&mut Vec<u32>> {
        self.provider.numbers()
    }

    fn growth(&mut self) -> Option<&mut bool> {
        self.provider.growth()
    }
}

/// A warning where a program would have a secret among its arguments: the list of processes shows them to everybody.
fn told_by_ps(op: &Op) -> Option<String> {
    let (argv, program) = match op {
        Op::Run(command) => (command.argv.as_slice(), command.argv.first()?.as_str()),
        Op::WriteFile {
            validate: Some(argv), ..
        } => (argv.as_slice(), argv.first()?.as_str()),
        Op::Install { packages } | Op::Uninstall { packages, .. } => (packages.as_slice(), "apt-get"),
        _ => return None,
    };
    let holds_secret = argv.iter().any(|arg| matches!(redact(arg), Cow::Owned(_)));
    holds_secret.then(|| {
        format!(
            "an argument of {} holds a secret, which every user can see in the list of processes while it runs: give it in a file that only root can read",
            redact(program)
        )
    })
}

/// A kind, as the parser and the documentation see it.
#[derive(Debug)]
pub struct Kind {
    /// What stands in a role: `volume_group`.
    pub name: &'static str,
    /// An example of its properties in YAML, as the reference shows it; a test parses it.
    pub example: &'static str,
    /// JSON Schema of the properties; its description is the kind's own doc comment. Made when it is first asked for.
    pub schema: fn() -> &'static Schema,
}

/// Lists the kinds. `package::Package` is the kind `package`, whose properties and provider are the struct `Package` in
/// `package.rs`, with an associated `EXAMPLE`.
macro_rules! kinds {
    ($($module:ident :: $type:ident),+ $(,)?) => {
        $(mod $module;)+

        /// All kinds, in the order of the reference.
        pub static KINDS: &[Kind] = &[$(Kind {
            name: stringify!($module),
            example: $module::$type::EXAMPLE,
            schema: || {
                static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schemars::schema_for!($module::$type));
                &SCHEMA
            },
        }),+];

        /// Reads the properties of a resource of this kind; `None` if there is no such kind. `prepare` has not run yet.
        pub fn parse<'de, D: Deserializer<'de>>(kind: &str, properties: D) -> Option<Result<Box<dyn Resource>, D::Error>> {
            Some(match kind {
                $(stringify!($module) => <$module::$type as serde::Deserialize>::deserialize(properties)
                    .map(|provider| Box::new(Of { kind: stringify!($module), provider }) as Box<dyn Resource>),)+
                _ => return None,
            })
        }
    };
}

kinds! {
    package::Package,
    service::Service,
    file::File,
    template::Template,
    directory::Directory,
    volume_group::VolumeGroup,
    logical_volume::LogicalVolume,
    filesystem::Filesystem,
    mount::Mount,
    swap::Swap,
    nfs_export::NfsExport,
    link::Link,
    line::Line,
    user::User,
    group::Group,
    cron::Cron,
    exec::Exec,
}

#[cfg(test)]
mod tests {
    use super::KINDS;

    /// Every resource in short form looks into it.
    #[test]
    fn a_kinds_schema_is_made_once() {
        for kind in KINDS {
            assert!(std::ptr::eq((kind.schema)(), (kind.schema)()), "{}", kind.name);
        }
    }
}
