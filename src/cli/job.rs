//! What plan and converge have in common: the options, and a run that says its events.

use crate::{
    engine,
    engine::event::Event,
    report::{Human, Json, Renderer},
    system::{Claim, LocalNode},
    value::Id,
};

use super::{
    Context, Error,
    node::Node,
    roles::{Prepared, Roles},
    stop,
};
use crate::graph::Selection;

/// Options of plan and converge.
#[derive(Debug, clap::Args)]
pub(super) struct Job {
    #[command(flatten)]
    roles: Roles,
    /// Only this resource and what it needs; may be given several times
    #[arg(long, value_name = "KIND:NAME", help_heading = "Resources")]
    only: Vec<Id>,
    /// Not this resource; may be given several times
    #[arg(long, value_name = "KIND:NAME", help_heading = "Resources")]
    skip: Vec<Id>,
    /// Print each event as a line of JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Tell what changes and what fails apart by the exit status
    #[arg(long, help_heading = "Output")]
    pub(super) detailed_exitcode: bool,
}

impl Job {
    /// Reads the roles and takes the part of them that is asked for.
    pub(super) fn prepare(&self) -> Result<Prepared, Error> {
        let mut prepared = self.roles.prepare(false)?;
        let selection = Selection {
            only: self.only.clone(),
            skip: self.skip.clone(),
        };
        let selected = prepared.graph.select(&selection);
        selected.map_err(|message| Error::Usage { message, hint: None })?;
        Ok(prepared)
    }

    /// The node it is about.
    pub(super) fn node(&self) -> &Node {
        &self.roles.node
    }

    /// Opens the node, and announces the units that these roles will ask for.
    pub(super) fn open(&self, prepared: &Prepared) -> Result<LocalNode, Error> {
        let node = self.node().open()?;
        let graph = &prepared.graph;
        let services = graph
            .order()
            .iter()
            .map(|&index| graph.get(index))
            .filter(|one| one.id.kind() == "service");
        node.expect_units(
            services
                .flat_map(|one| one.resource.provides())
                .filter_map(|fact| match fact {
                    Claim::Unit(name) => Some(name),
                    _ => None,
                }),
        );
        Ok(node)
    }

    /// The run of these roles on this node.
    pub(super) fn run<'a>(&self, prepared: &'a Prepared) -> engine::Run<'a> {
        engine::Run {
            graph: &prepared.graph,
            sources: &prepared.sources,
            name: engine::Run::fresh_name(),
            host: self.node().name(),
            roles: prepared.roles.clone(),
            names: prepared.names.clone(),
            stop: stop::wanted,
        }
    }

    /// Says each event, for eyes or for programs.
    pub(super) fn emitter<'a>(&self, context: &'a mut Context) -> impl FnMut(Event) + use<'a> {
        let mut renderer: Box<dyn Renderer> = if self.json {
            Box::new(Json)
        } else {
            Box::new(Human::new(context.output.verbosity()).columns(context.terminal.columns()))
        };
        move |event| context.terminal.emit(&renderer.event(&event))
    }
}
