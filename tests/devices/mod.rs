//! Real block devices of this machine: loop devices that carry everything a disk can carry. Needs root and the tools of
//! `lab/packages.txt`; what needs device-mapper or NFS is in `node/`.

mod apart;
mod contents;
mod groups;
mod growth;
mod identity;
mod late_target;
mod loops;
mod matrix;
mod mounts;
mod moves;
mod silent;
mod stand_ins;
mod swap;
mod volumes;

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, anyhow, bail};
use glrl::{
    resource::{self, Plan, Resource, Role},
    system::{Bytes, LocalNode, Op, Probe, Reading, System},
};
use serde_json::{Map, Value};

/// One test at a time: LVM looks at all devices, also at those that another test takes away.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A resource of these properties.
fn resource(kind: &str, properties: Value) -> Result<Box<dyn Resource>> {
    let Some(resource) = resource::parse(kind, properties) else {
        bail!("there is no kind {kind}")
    };
    let mut resource = resource?;
    resource.prepare(&Nothing)?;
    Ok(resource)
}

/// What it would do on this machine as it is.
fn plan(resource: &dyn Resource) -> Result<Plan> {
    match resource.plan(&LocalNode::live()?, false)? {
        Reading::Known(plan) => Ok(plan),
        Reading::Unknown { after } => Err(anyhow!("known after {after} only")),
    }
}

/// Does it, and proves that nothing is left to do. Returns what was planned.
fn converge(resource: &dyn Resource) -> Result<Plan> {
    let node = LocalNode::live()?;
    let plan = known(resource, &node)?;
    for op in &plan.ops {
        node.execute(op)?;
    }
    let left = known(resource, &node)?;
    if !left.is_empty() {
        bail!("it was applied, and this is left: {:?}", left.changes);
    }
    Ok(plan)
}

fn known(resource: &dyn Resource, node: &dyn Probe) -> Result<Plan> {
    match resource.plan(node, false)? {
        Reading::Known(plan) => Ok(plan),
        Reading::Unknown { after } => Err(anyhow!("known after {after} only")),
    }
}

/// The programs that a plan would run.
fn programs(plan: &Plan) -> Vec<String> {
    plan.ops
        .iter()
        .map(|op| match op {
            Op::Run(command) => command.argv.join(" "),
            Op::MakeDirectory { path, .. } => format!("mkdir {path}"),
            other => format!("{other:?}"),
        })
        .collect()
}

/// A role with nothing beside it.
struct Nothing;

impl Role for Nothing {
    fn file(&self, source: &str) -> Result<Bytes> {
        bail!("there is no file {source}")
    }

    fn tree(&self, source: &str) -> Result<Vec<String>> {
        bail!("there is no directory {source}")
    }

    fn render(&self, source: &str, _: &Map<String, Value>) -> Result<String> {
        bail!("there is no template {source}")
    }
}
