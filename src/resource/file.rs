//! `file`: a regular file with its contents, owner, group and mode.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Plan, PropertyError, Provider, Role,
    metadata::Metadata,
    presence::Presence,
    regular::{self, Regular, Standing},
};
use crate::{
    system::{Bytes, Claim, Probe, Reading},
    value::{AbsPath, Mode, Owner},
};

/// A regular file, written atomically. A link or directory that stands in its place is never replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where it is. Its directory has to be there, or be declared.
    path: AbsPath,
    /// What it holds. Without `content` and `source` a file that is there keeps what it holds, and a new one is empty.
    content: Option<String>,
    /// A file below the role's `files/`, or of an absolute path on the machine glrl runs on, that holds the contents.
    source: Option<String>,
    /// Who owns it; root for a new one, unchanged for one that is there.
    owner: Option<Owner>,
    /// Its group; likewise.
    group: Option<Owner>,
    /// Its permission bits; `"0644"` for a new one, unchanged for one that is there.
    mode: Option<Mode>,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
    /// A program and its arguments that has to agree before the file is put in place; `{}` stands for the candidate's path, as in
    /// `[visudo, -cf, "{}"]`.
    validate: Option<Vec<String>>,
    #[serde(skip)]
    contents: Option<Bytes>,
}

impl File {
    pub(super) const EXAMPLE: &str =
        "path: /etc/motd\ncontent: |\n  This machine is managed by glrl.\nmode: \"0644\"\n";

    fn regular(&self) -> Regular<'_> {
        Regular {
            path: &self.path,
            contents: self.contents.as_ref(),
            metadata: Metadata {
                owner: self.owner.as_ref(),
                group: self.group.as_ref(),
                mode: self.mode,
            },
            validate: self.validate.as_deref(),
        }
    }
}

impl Provider for File {
    /// What stands at the path; of a file that is to be absent, only whether it is there.
    type State = Found;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, role: &dyn Role) -> Result<()> {
        if self.state == Presence::Absent && (self.content.is_some() || self.source.is_some()) {
            return Err(PropertyError::of("state", "an absent file has no contents"));
        }
        regular::check_validate(self.validate.as_deref())?;
        self.contents = match (self.content.take(), &self.source) {
            (Some(_), Some(_)) => {
                return Err(PropertyError::of(
                    "source",
                    "a file has `content` or `source`, not both",
                ));
            }
            (Some(content), None) => Some(content.into_bytes().into()),
            (None, Some(source)) => Some(role.file(source)?),
            (None, None) => None,
        };
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Found>> {
        match self.state {
            Presence::Present => Ok(self.regular().read(node)?.map(Found::Wanted)),
            Presence::Absent => Ok(regular::at(node, &self.path)?.map(|entry| Found::Unwanted(entry.is_some()))),
        }
    }

    fn diff(&self, found: &Found, _notified: bool) -> Result<Plan> {
        Ok(match found {
            Found::Wanted(standing) => self.regular().diff(standing),
            Found::Unwanted(present) => regular::removal(&self.path, *present),
        })
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        let mut facts = self.regular().provided();
        if self.state == Presence::Absent {
            facts.extend([Claim::Whole(self.path.clone()), Claim::Absent(self.path.clone())]);
        }
        facts
    }

    fn requires(&self) -> Vec<Claim> {
        self.regular().required()
    }
}

/// What stands where a file is declared.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Where one is to be there.
    Wanted(Standing),
    /// Where none is to be there: whether one is.
    Unwanted(bool),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Action, laws::*};
    use crate::system::{Op, System};

    #[test]
    fn a_new_file_is_made_and_then_left_alone() {
        let declared =
            || json!({"path": "/etc/motd", "content": "hi\n", "mode": "0640", "owner": "ann", "group": "staff"});
        let tree = offline(&[]);
        let plan = converge(&tree.node, "file", declared()).unwrap();
        assert_eq!((plan.action, plan.ops.len()), (Action::Create, 1));
        assert_eq!(properties(&plan), ["contents", "owner", "group", "mode"]);
        assert_eq!(tree.text("/etc/motd"), "hi\n");
        assert!(converge(&tree.node, "file", declared()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_declared_stays() {
        let tree = offline(&[]);
        converge(
            &tree.node,
            "file",
            json!({"path": "/etc/a", "content": "1", "mode": "0600", "owner": "ann"}),
        )
        .unwrap();
        let plan = converge(&tree.node, "file", json!({"path": "/etc/a", "source": "motd"})).unwrap();
        assert_eq!(properties(&plan), ["contents"]);
        let same = json!({"path": "/etc/a", "mode": "0600", "owner": "ann"});
        assert!(converge(&tree.node, "file", same).unwrap().is_empty());
        assert_eq!(tree.text("/etc/a"), "hello\n");
        let plan = converge(&tree.node, "file", json!({"path": "/etc/a", "owner": "root"})).unwrap();
        assert!(matches!(plan.ops[..], [Op::SetMeta { .. }]));
    }

    #[test]
    fn nothing_else_is_replaced_by_a_file() {
        let tree = offline(&[make_link("/etc/l", "/srv/x"), make_directory("/etc/d")]);
        let at = |path: &str| json!({"path": path, "content": "1"});
        let fails = |path: &str| error(converge(&tree.node, "file", at(path)));
        assert!(fails("/etc/l").contains("is a link to /srv/x: declare the file it leads to"));
        assert!(fails("/etc/d").contains("is a directory"));
        assert!(fails("/opt/x").contains("there is no directory /opt"));
        assert!(fails("/etc/motd/x").contains("there is no directory /etc/motd"));
        let nobody = json!({"path": "/etc/n", "content": "1", "owner": "bob"});
        assert!(error(converge(&tree.node, "file", nobody)).contains("there is no user bob"));
        for state in ["/etc/l", "/etc/d"] {
            assert!(converge(&tree.node, "file", json!({"path": state, "state": "absent"})).is_err());
        }
    }

    #[test]
    fn an_absent_file_goes_and_its_neighbours_stay() {
        let tree = offline(&[write("/etc/a", "1"), write("/etc/b", "2")]);
        let plan = converge(&tree.node, "file", json!({"path": "/etc/a", "state": "absent"})).unwrap();
        assert_eq!(plan.action, Action::Remove);
        assert_eq!(tree.text("/etc/b"), "2");
        let nowhere = json!({"path": "/opt/none/a", "state": "absent"});
        assert!(converge(&tree.node, "file", nowhere).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_not_valid_is_not_put_in_place() {
        let tree = offline(&[write("/etc/a", "good\n")]);
        let declared =
            |content: &str| json!({"path": "/etc/a", "content": content, "validate": ["grep", "-q", "good", "{}"]});
        assert!(error(converge(&tree.node, "file", declared("bad\n"))).contains("not valid"));
        assert_eq!(tree.text("/etc/a"), "good\n");
        converge(&tree.node, "file", declared("good, better\n")).unwrap();
        let blind = json!({"path": "/etc/a", "content": "", "validate": ["true"]});
        assert!(error(resource("file", blind)).contains("no argument holds `{}`"));
    }

    #[test]
    fn a_file_in_a_planned_directory_of_a_planned_user_is_foreseen() {
        let node = imagined(&[]);
        converge(&node, "user", json!({"name": "app", "system": true})).unwrap();
        converge(
            &node,
            "directory",
            json!({"path": "/srv/app", "owner": "app", "group": "app"}),
        )
        .unwrap();
        let file = json!({"path": "/srv/app/x", "content": "1", "owner": "app", "group": "app"});
        converge(&node, "file", file).unwrap();
    }

    #[test]
    fn contradictions_are_found_before_any_node() {
        for wrong in [
            json!({"path": "/etc/a", "content": "1", "source": "motd"}),
            json!({"path": "/etc/a", "content": "1", "state": "absent"}),
            json!({"path": "etc/a"}),
            json!({"path": "/etc/a", "contents": "1"}),
            json!({"path": "/etc/a", "source": "no such"}),
        ] {
            assert!(resource("file", wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_parent_may_be_a_link_to_a_directory() {
        let tree = offline(&[make_directory("/srv/real"), make_link("/var/www", "../srv/real")]);
        converge(&tree.node, "file", json!({"path": "/var/www/x", "content": "1"})).unwrap();
        assert_eq!(tree.text("/srv/real/x"), "1");
        tree.node.execute(&make_link("/var/dangling", "/srv/none")).unwrap();
        let below = json!({"path": "/var/dangling/x", "content": "1"});
        assert!(error(converge(&tree.node, "file", below)).contains("there is no directory /srv/none"));
    }
}
