//! `link`: a symbolic link.

use std::path::PathBuf;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role, parent, presence::Presence};
use crate::{
    system::{Claim, FileType, Op, Probe, Reading, known},
    value::AbsPath,
};

/// A symbolic link. What it leads to need not be there. A file or directory that stands in its place is never replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// Where the link is. Its directory has to be there, or be declared.
    path: AbsPath,
    /// What it leads to: an absolute path, or one that is relative to the link's directory.
    target: Option<String>,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
}

impl Link {
    pub(super) const EXAMPLE: &str = "path: /etc/localtime\ntarget: /usr/share/zoneinfo/Europe/Berlin\n";
}

impl Provider for Link {
    /// What the link there holds.
    type State = Option<PathBuf>;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        match (self.state, self.target.as_deref()) {
            (Presence::Present, None | Some("")) => Err(PropertyError::of("target", "a link needs a `target`")),
            _ => Ok(()),
        }
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Option<PathBuf>>> {
        let found = match known!(node.entry(&self.path)?).map(|entry| entry.file_type) {
            Some(FileType::Link { target }) => return Ok(Reading::Known(Some(target))),
            None => {
                if self.state == Presence::Present {
                    known!(parent::check(node, &self.path)?);
                }
                return Ok(Reading::Known(None));
            }
            Some(FileType::File { .. }) => "file",
            Some(FileType::Directory) => "directory",
            Some(FileType::Other) => "device, socket or fifo",
        };
        bail!(
            "{} is a {found}, and glrl does not replace it by a link: move it away first",
            self.path
        )
    }

    fn diff(&self, current: &Option<PathBuf>, _notified: bool) -> Result<Plan> {
        let make = |target: &str| Op::MakeLink {
            path: self.path.clone(),
            target: target.into(),
        };
        Ok(match (self.state, &self.target, current) {
            (Presence::Absent, _, Some(current)) => Plan::to(Action::Remove)
                .change(Change::gone("target", current.display()))
                .op(Op::Remove {
                    path: self.path.clone(),
                }),
            (Presence::Present, Some(target), None) => Plan::to(Action::Create)
                .change(Change::new("target", target))
                .op(make(target)),
            (Presence::Present, Some(target), Some(current)) if current.as_os_str() != target.as_str() => {
                Plan::to(Action::Update)
                    .change(Change::of("target", current.display(), target))
                    .op(make(target))
            }
            _ => Plan::none(),
        })
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        let absent = (self.state == Presence::Absent).then(|| Claim::Absent(self.path.clone()));
        [Claim::Path(self.path.clone())].into_iter().chain(absent).collect()
    }

    fn requires(&self) -> Vec<Claim> {
        parent::required(&self.path).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::laws::*;

    #[test]
    fn a_link_is_made_changed_and_removed() {
        let tree = offline(&[]);
        for declared in [
            json!({"path": "/etc/l", "target": "/srv/none"}),
            json!({"path": "/etc/l", "target": "../srv"}),
            json!({"path": "/etc/l", "state": "absent"}),
        ] {
            assert!(!converge(&tree.node, "link", declared.clone()).unwrap().is_empty());
            assert!(converge(&tree.node, "link", declared).unwrap().is_empty());
        }
        converge(&imagined(&[]), "link", json!({"path": "/etc/l", "target": "x"})).unwrap();
    }

    #[test]
    fn nothing_else_is_replaced_by_a_link() {
        let tree = offline(&[write("/etc/f", "mine"), make_directory("/etc/d")]);
        for (path, state) in [("/etc/f", "present"), ("/etc/d", "present"), ("/etc/f", "absent")] {
            let declared = json!({"path": path, "target": "/srv", "state": state});
            assert!(error(converge(&tree.node, "link", declared)).contains("does not replace it"));
        }
        assert_eq!(tree.text("/etc/f"), "mine");
        assert!(resource("link", json!({"path": "/etc/l"})).is_err());
    }
}
