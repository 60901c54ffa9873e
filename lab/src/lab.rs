//! A lab: some nodes on one private segment.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::Ipv4Addr,
    ops::Index,
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, bail};

use crate::{
    cache::Cache,
    image::Image,
    logs::Logs,
    node::{Node, Shared},
    release::Release,
    run_folder::RunFolder,
    segment::Segment,
    spec::NodeSpec,
    state::{State, Workshop},
};

/// The nodes that the roles know, and their addresses. Every node can resolve these names.
const KNOWN: [(&str, Ipv4Addr); 3] = [
    ("backup", Ipv4Addr::new(192, 168, 56, 10)),
    ("mysql", Ipv4Addr::new(192, 168, 56, 11)),
    ("verify", Ipv4Addr::new(192, 168, 56, 12)),
];

/// Running nodes. They end with it.
#[derive(Debug)]
pub struct Lab {
    nodes: Vec<Node>,
}

impl Lab {
    /// Starts the nodes, all at once, and returns when each answers on ssh, has its disks and
    /// reaches the others by name. The first call on a machine builds what is missing, for some
    /// minutes; it says so on standard error.
    ///
    /// # Errors
    /// When the host lacks a program (the message says which package brings it) or a node does not
    /// start (the message says where its logs are).
    pub fn start(specs: impl IntoIterator<Item = NodeSpec>) -> Result<Self> {
        let specs: Vec<_> = specs.into_iter().collect();
        let addresses = addresses(&specs)?;
        let mut workshops = BTreeMap::new();
        for spec in &specs {
            if let Entry::Vacant(missing) = workshops.entry(spec.release) {
                missing.insert(Workshop::open(spec.release)?);
            }
        }
        let known = KNOWN.iter().map(|(name, address)| (*name, *address));
        let others = specs
            .iter()
            .map(|spec| spec.name.as_str())
            .zip(addresses.iter().copied());
        let others = others.filter(|(name, _)| KNOWN.iter().all(|(known, _)| known != name));
        let hosts = known
            .chain(others)
            .flat_map(|(name, address)| [address.to_string(), name.to_owned()])
            .collect();
        let run = RunFolder::new(&Cache::open()?)?;
        let logs = Logs::new()?;
        let segment = Segment::default();
        let shared = Arc::new(Shared {
            segment,
            hosts,
            run,
            logs,
        });
        let nodes = thread::scope(|scope| {
            let started = specs.iter().zip(addresses).map(|(spec, address)| {
                let (shared, workshop) = (&shared, workshops[&spec.release].clone());
                scope.spawn(move || Node::start(spec, address, workshop, shared))
            });
            let threads: Vec<_> = started.collect();
            let join = |(thread, spec): (thread::ScopedJoinHandle<'_, Result<Node>>, &NodeSpec)| {
                let node = thread.join().map_err(|_| anyhow::anyhow!("its thread panicked"));
                node.flatten().with_context(|| format!("starting node {}", spec.name))
            };
            // All are joined before an error is returned.
            let nodes: Vec<_> = threads.into_iter().zip(&specs).map(join).collect();
            nodes.into_iter().collect::<Result<Vec<_>>>()
        })?;
        Ok(Self { nodes })
    }

    /// Returns why nodes of this release cannot be had on this host: no mirror of the distribution answers, and its image has not been
    /// built before. `None` where they can.
    ///
    /// # Errors
    /// When the host's apt cannot be asked.
    pub fn unavailable(release: Release) -> Result<Option<String>> {
        Image::unavailable(&Cache::open()?, release)
    }

    /// Builds what nodes of a release need, for later.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn build(release: Release) -> Result<()> {
        let workshop = Workshop::open(release)?;
        State::get(&workshop, NodeSpec::new("any").hardware, None).map(drop)
    }

    /// All nodes, in the order they were asked for.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of that name, if there is one.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name() == name)
    }
}

/// `lab["mysql"]`: the node of that name, which must be there.
impl Index<&str> for Lab {
    type Output = Node;

    fn index(&self, name: &str) -> &Node {
        match self.node(name) {
            Some(node) => node,
            None => panic!("this lab has no node {name}"),
        }
    }
}

/// Gives each node its address: the known one, else from 192.168.56.20 on.
fn addresses(specs: &[NodeSpec]) -> Result<Vec<Ipv4Addr>> {
    let mut free = 20..=250;
    let mut addresses = Vec::new();
    for (position, spec) in specs.iter().enumerate() {
        let name = &spec.name;
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 20 || !name.bytes().all(valid) || name.starts_with('-') {
            bail!("{name:?} is no node name: 1 to 20 lower-case letters, digits and hyphens");
        }
        if specs[..position].iter().any(|other| other.name == *name) {
            bail!("two nodes are named {name}");
        }
        let known = KNOWN.iter().find(|(known, _)| known == name);
        addresses.push(match known {
            Some((_, address)) => *address,
            None => Ipv4Addr::new(192, 168, 56, free.next().context("too many nodes")?),
        });
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[&str]) -> Result<Vec<String>> {
        let specs: Vec<_> = names.iter().map(|name| NodeSpec::new(name)).collect();
        Ok(addresses(&specs)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn known_nodes_have_their_addresses_and_others_follow() {
        assert_eq!(
            given(&["a", "mysql", "b", "backup"]).unwrap(),
            ["192.168.56.20", "192.168.56.11", "192.168.56.21", "192.168.56.10"]
        );
    }

    #[test]
    fn names_are_host_names_and_unique() {
        for names in [&["a", "a"][..], &[""], &["A"], &["a b"], &["-a"], &["../x"]] {
            given(names).unwrap_err();
        }
    }
}
