//! The ledger: what glrl made and protects. An entry is on disk before its thing is made, so that no run, however it ends, leaves
//! something that the next one would take for nobody's.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    graph::{Declaration, Graph},
    system::{Claim, Contents, Probe, Reading, state::StateDir},
    value::{AbsPath, DevicePath, Id},
};

const FILE: &str = "protected.json";

/// Protected resources by kind and name, whatever `id` a role gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ledger(BTreeMap<Id, Entry>);

/// A protected resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The role that declared it.
    pub(super) role: String,
    /// What it is on the node.
    pub(super) things: Vec<Thing>,
}

/// Something on the node that must not go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Thing {
    /// What stands at a path.
    Path(AbsPath),
    /// What is on a device.
    Device {
        /// The device's name in the role.
        name: DevicePath,
        /// The UUID of what is on it; none of a volume, which has none, and of what is only going to be made.
        uuid: Option<String>,
    },
}

impl Ledger {
    /// What earlier runs recorded.
    pub(super) fn load(state: &StateDir) -> Result<Self> {
        match state.read(FILE)? {
            Some(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{FILE} in the state directory cannot be read: remove it to forget what roles no longer declare"
                )
            }),
            None => Ok(Self::default()),
        }
    }

    /// With what these resources protect themselves, and without what they say need not be protected any more.
    pub(super) fn with(&self, graph: &Graph) -> Self {
        let mut held = self.clone();
        for declaration in declared(graph) {
            match declaration.protect {
                Some(true) => {
                    let entry = || Entry {
                        role: declaration.role.to_string(),
                        things: things(declaration),
                    };
                    held.0.entry(declaration.resource.id()).or_insert_with(entry);
                }
                Some(false) => drop(held.0.remove(&declaration.resource.id())),
                None => {}
            }
        }
        held
    }

    /// Those that these roles declared once, and declare no longer.
    pub(super) fn orphans(&self, graph: &Graph, roles: &[String]) -> Vec<(&Id, &Entry)> {
        let ids: std::collections::HashSet<Id> = graph
            .declarations()
            .iter()
            .map(|declaration| declaration.resource.id())
            .collect();
        self.entries()
            .filter(|(id, entry)| roles.contains(&entry.role) && !ids.contains(*id))
            .collect()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Id, &Entry)> {
        self.0.iter()
    }

    /// Whether a declaration takes its resource out of the ledger.
    pub(super) fn lifts(&self, declaration: &Declaration) -> bool {
        declaration.protect == Some(false) && self.0.contains_key(&declaration.resource.id())
    }

    /// Takes over, durably, what a declaration says of its protection, with what is on the node now.
    pub(super) fn record(&mut self, state: &StateDir, declaration: &Declaration, node: &dyn Probe) -> Result<()> {
        let id = declaration.resource.id();
        match declaration.protect {
            Some(true) => {
                let mut things = things(declaration);
                for thing in &mut things {
                    thing
                        .identify(declaration, node)
                        .with_context(|| format!("recording that {id} is protected"))?;
                }
                if self.0.get(&id).is_some_and(|entry| entry.things == things) {
                    return Ok(());
                }
                let role = declaration.role.to_string();
                self.0.insert(id, Entry { role, things });
            }
            Some(false) if self.0.remove(&id).is_some() => {}
            _ => return Ok(()),
        }
        state.write(FILE, &serde_json::to_vec_pretty(self)?)
    }
}

/// What is said of a resource that is taken out of the ledger.
pub(super) fn lifted() -> String {
    "it is no longer protected: from now on a role may remove or reformat it".to_owned()
}

/// Resources that have a turn.
fn declared(graph: &Graph) -> impl Iterator<Item = &Declaration> {
    graph
        .declarations()
        .iter()
        .filter(|declaration| declaration.skipped.is_none())
}

/// What a resource is on the node, as far as its declaration tells.
fn things(declaration: &Declaration) -> Vec<Thing> {
    let thing = |claim| match claim {
        Claim::Path(path) | Claim::Made(path) => Some(Thing::Path(path)),
        Claim::Device(name) | Claim::Filesystem(name) => Some(Thing::Device { name, uuid: None }),
        _ => None,
    };
    declaration.resource.provides().into_iter().filter_map(thing).collect()
}

impl Thing {
    /// Puts in the UUID of what is on a device. A volume is known by its name: what is on it is not it.
    fn identify(&mut self, declaration: &Declaration, node: &dyn Probe) -> Result<()> {
        let Self::Device { name, uuid } = self else {
            return Ok(());
        };
        if declaration.resource.provides().contains(&Claim::Device(name.clone())) {
            return Ok(());
        }
        if let Reading::Known(Some(block)) = node.block(name)?
            && let Contents::Known(signature) = block.contents
        {
            *uuid = signature.uuid;
        }
        Ok(())
    }
}
