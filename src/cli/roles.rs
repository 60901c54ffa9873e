//! Which roles, for which node, and the values for them: options that plan, converge, explain and graph share.

use std::path::PathBuf;

use super::{Error, environment, node::Node};
use crate::{
    config::{self, Failure, Loaded, NodeFacts, Request},
    graph::{self, Graph},
    source::Sources,
};

/// The roles and their values.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Roles")]
pub(super) struct Roles {
    /// A role by its name or its file; may be given several times
    #[arg(short, long = "role", value_name = "ROLE", required = true)]
    names: Vec<String>,
    /// Set an input; may be given several times, and wins over all else
    ///
    /// Not for a secret, which ps would show: give that in a file of --vars, or in the environment.
    #[arg(short, long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Read values of inputs from a YAML file; may be given several times
    #[arg(long, value_name = "FILE")]
    #[arg(
        long_help = "Read values of inputs from a YAML file; may be given several times. Weaker than the environment's \
                       GLRL_VAR_NAME, stronger than /etc/glrl/vars.d/*.yml"
    )]
    vars: Vec<PathBuf>,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    pub(super) node: Node,
}

/// Where roles are looked for.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Roles")]
pub(super) struct Places {
    /// Look for roles here first (then in ./roles, in /etc/glrl/roles and in glrl itself)
    #[arg(long, value_name = "DIR")]
    pub(super) roles_dir: Vec<PathBuf>,
}

/// Roles, loaded, and the order of their resources.
pub(super) struct Prepared {
    pub(super) sources: Sources,
    pub(super) graph: Graph,
    /// As they were asked for.
    pub(super) roles: Vec<String>,
    /// As they are called.
    pub(super) names: Vec<String>,
}

impl Roles {
    /// Reads the roles. All mistakes are reported at once. With `samples` an input that has no value gets a placeholder.
    pub(super) fn load(&self, samples: bool) -> Result<Loaded, Error> {
        let facts = NodeFacts::new(self.node.path());
        Ok(config::load(&Request {
            roles_directories: self.places.roles_dir.clone(),
            vars_directory: Some(self.node.path().join("etc/glrl/vars.d")),
            vars_files: self.vars.clone(),
            environment: environment::vars(),
            set: self.set.clone(),
            samples,
            ..Request::new(&self.names, &facts)
        })?)
    }

    /// Reads the roles and orders their resources.
    pub(super) fn prepare(&self, samples: bool) -> Result<Prepared, Error> {
        order(self.load(samples)?, self.names.clone())
    }
}

/// Orders the resources of what was loaded.
pub(super) fn order(loaded: Loaded, roles: Vec<String>) -> Result<Prepared, Error> {
    let Loaded {
        sources,
        declarations,
        asked: names,
        ..
    } = loaded;
    match graph::build(declarations) {
        Ok(graph) => Ok(Prepared {
            sources,
            graph,
            roles,
            names,
        }),
        Err(diagnostics) => Err(Error::Role { sources, diagnostics }),
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Role {
            sources: failure.sources,
            diagnostics: failure.diagnostics,
        }
    }
}
