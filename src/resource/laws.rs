//! The laws, as the tests of each kind call them: on a node that is only an overlay, and on a real tree of files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::{Plan, Resource, Role, parse};
use crate::system::{
    Bytes, LocalNode, Meta, Op, Probe, Reading, System,
    overlay::{Bare, Overlay},
};

/// A role with one file and one template, and a tree of two.
struct Beside;

impl Role for Beside {
    fn file(&self, source: &str) -> Result<Bytes> {
        match source {
            "motd" => Ok(b"hello\n".as_slice().into()),
            "site/index.html" => Ok(b"<p>one\n".as_slice().into()),
            "site/css/site.css" => Ok(b"p {}\n".as_slice().into()),
            _ => bail!("there is no file {source}"),
        }
    }

    fn tree(&self, source: &str) -> Result<Vec<String>> {
        match source {
            "site" => Ok(vec!["css/site.css".to_owned(), "index.html".to_owned()]),
            _ => bail!("there is no directory {source}"),
        }
    }

    fn render(&self, source: &str, vars: &Map<String, Value>) -> Result<String> {
        match source {
            "conf.hbs" => Ok(format!("port = {}\n", vars["port"])),
            _ => bail!("there is no template {source}"),
        }
    }
}

/// A resource as a role declares it, prepared.
pub(super) fn resource(kind: &str, properties: Value) -> Result<Box<dyn Resource>> {
    let mut resource = parse(kind, properties).context("no such kind")??;
    resource.prepare(&Beside)?;
    Ok(resource)
}

/// Its plan on a node that knows all.
pub(super) fn plan(node: &dyn Probe, resource: &dyn Resource, notified: bool) -> Result<Plan> {
    match resource.plan(node, notified)? {
        Reading::Known(plan) => Ok(plan),
        Reading::Unknown { after } => bail!("unknown after {after}"),
    }
}

/// Law 2 and 3: its plan, executed, leaves nothing to do. Returns the plan.
pub(super) fn converge(node: &dyn System, kind: &str, properties: Value) -> Result<Plan> {
    let resource = resource(kind, properties)?;
    let planned = plan(node, &*resource, false)?;
    for op in &planned.ops {
        node.execute(op)?;
    }
    let left = plan(node, &*resource, false)?;
    assert!(left.is_empty(), "{planned:#?}\nleaves\n{left:#?}");
    Ok(planned)
}

/// A node of nothing but what these operations make.
pub(super) fn imagined(ops: &[Op]) -> Overlay<'static> {
    let overlay = Overlay::new(&Bare);
    for op in ops {
        overlay.execute(op).unwrap();
    }
    overlay
}

/// A tree of files in a temporary directory.
pub(super) struct Offline {
    /// Removed with it.
    _directory: tempfile::TempDir,
    pub(super) node: LocalNode,
}

/// A tree with the usual directories, an account `ann` with a group `staff`, and what these operations make.
pub(super) fn offline(ops: &[Op]) -> Offline {
    let directory = tempfile::tempdir().unwrap();
    let node = LocalNode::offline(directory.path()).unwrap();
    for path in ["/etc", "/home", "/srv", "/tmp", "/usr", "/var"] {
        node.execute(&make_directory(path)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1042:1042:Ann:/home/ann:/bin/sh\n";
    let group = "root:x:0:\nann:x:1042:\nstaff:x:50:ann\n";
    node.execute(&write("/etc/passwd", passwd)).unwrap();
    node.execute(&write("/etc/group", group)).unwrap();
    for op in ops {
        node.execute(op).unwrap();
    }
    Offline {
        _directory: directory,
        node,
    }
}

impl Offline {
    /// What a file of the tree holds.
    pub(super) fn text(&self, path: &str) -> String {
        match self.node.contents(Path::new(path)).unwrap() {
            Reading::Known(Some(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }
}

pub(super) fn write(path: &str, contents: &str) -> Op {
    Op::WriteFile {
        path: path.parse().unwrap(),
        contents: contents.as_bytes().into(),
        meta: Meta::default(),
        validate: None,
    }
}

pub(super) fn make_directory(path: &str) -> Op {
    Op::MakeDirectory {
        path: path.parse().unwrap(),
        meta: Meta::default(),
    }
}

pub(super) fn make_link(path: &str, target: &str) -> Op {
    Op::MakeLink {
        path: path.parse().unwrap(),
        target: target.into(),
    }
}

/// The names of a plan's changes.
pub(super) fn properties(plan: &Plan) -> Vec<&str> {
    plan.changes.iter().map(|change| change.property.as_str()).collect()
}

/// The message of an error that there has to be.
pub(super) fn error(result: Result<impl std::fmt::Debug>) -> String {
    format!("{:#}", result.unwrap_err())
}
