//! `group`: a group of group(5), by shadow-utils.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role, number, presence::Presence};
use crate::{
    system::{Claim, Command, Effect, Group as Entry, Op, Probe, Reading, known},
    value::AccountName,
};

/// A group of accounts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// Its name.
    name: AccountName,
    /// Its number; the next free one for a new group.
    gid: Option<u32>,
    /// Whether a new group gets a number of the range for system groups (`SYS_GID_MIN` of login.defs(5)).
    #[serde(default)]
    system: bool,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
    /// Numbers that others are to have.
    #[serde(skip)]
    others: Vec<u32>,
}

/// What of the node matters to a group.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    group: Option<Entry>,
    /// The number of a new group, declared or chosen.
    gid: Option<u32>,
}

impl Group {
    pub(super) const EXAMPLE: &str = "name: backup-readers\ngid: 2400\n";
}

impl Provider for Group {
    type State = State;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.state == Presence::Absent && &*self.name == "root" {
            return Err(PropertyError::of("state", "no node works without the group root"));
        }
        if self.gid == Some(u32::MAX) {
            return Err(PropertyError::of("gid", "the last number is no group's"));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let group = known!(node.group(&self.name)?);
        match (self.state, self.gid, &group) {
            (Presence::Present, Some(gid), _) => {
                let others = known!(node.groups()?);
                if let Some(holder) = others
                    .iter()
                    .find(|other| other.gid == Some(gid) && other.name != *self.name)
                {
                    bail!(
                        "gid {gid} is taken by {}: declare another, or give {0} another before",
                        holder.name
                    );
                }
            }
            (Presence::Absent, _, Some(Entry { gid: Some(gid), .. })) => {
                let users = known!(node.users()?);
                if let Some(member) = users.iter().find(|user| user.gid == Some(*gid)) {
                    bail!(
                        "{} is the primary group of {}: give that account another `group`, or declare it absent",
                        self.name,
                        member.name
                    );
                }
            }
            _ => {}
        }
        let gid = match (self.gid, self.state, &group) {
            (None, Presence::Present, None) => known!(number::free(node, self.system, &self.others)?),
            (gid, ..) => gid,
        };
        Ok(Reading::Known(State { group, gid }))
    }

    fn diff(&self, current: &State, _notified: bool) -> Result<Plan> {
        let name = || self.name.to_string();
        let makes = |group: Option<Entry>| Effect::Group(name(), group);
        Ok(match (self.state, &current.group) {
            (Presence::Absent, None) => Plan::none(),
            (Presence::Absent, Some(_)) => {
                Plan::to(Action::Remove)
                    .change(Change::gone("group", &self.name))
                    .op(Op::Run(
                        Command::new(["groupdel".to_owned(), name()]).makes([makes(None)]),
                    ))
            }
            (Presence::Present, None) => {
                let mut argv = vec!["groupadd".to_owned()];
                if self.system {
                    argv.push("--system".to_owned());
                }
                if let Some(gid) = current.gid {
                    argv.extend(["--gid".to_owned(), gid.to_string()]);
                }
                argv.push(name());
                let gid = current
                    .gid
                    .map_or_else(|| "next free".to_owned(), |gid| gid.to_string());
                let plan = Plan::to(Action::Create).change(Change::new("gid", gid));
                let group = Entry {
                    name: name(),
                    gid: current.gid,
                    members: Vec::new(),
                };
                plan.op(Op::Run(Command::new(argv).makes([makes(Some(group))])))
            }
            (Presence::Present, Some(group)) => match (self.gid, group.gid) {
                (Some(wanted), Some(gid)) if wanted != gid => {
                    let argv = ["groupmod".to_owned(), "--gid".to_owned(), wanted.to_string(), name()];
                    let group = Entry {
                        gid: Some(wanted),
                        ..group.clone()
                    };
                    Plan::to(Action::Update)
                        .change(Change::of("gid", gid, wanted))
                        .op(Op::Run(Command::new(argv).makes([makes(Some(group))])))
                        .warn(format!("files of group {gid} keep that number"))
                }
                _ => Plan::none(),
            },
        })
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn numbers(&mut self) -> Option<&mut Vec<u32>> {
        self.gid.is_none().then_some(&mut self.others)
    }

    fn provides(&self) -> Vec<Claim> {
        let group = Claim::Group(self.name.to_string());
        [group].into_iter().chain(self.gid.map(Claim::Number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::laws::*;

    #[test]
    fn a_group_is_made_renumbered_and_removed() {
        let (tree, node) = (offline(&[]), imagined(&[]));
        for declared in [
            json!({"name": "app", "system": true}),
            json!({"name": "app", "gid": 2400}),
            json!({"name": "app", "state": "absent"}),
        ] {
            assert!(
                !converge(&tree.node, "group", declared.clone()).unwrap().is_empty(),
                "{declared}"
            );
            assert!(converge(&tree.node, "group", declared.clone()).unwrap().is_empty());
            converge(&node, "group", declared).unwrap();
        }
        assert!(tree.text("/etc/group").contains("staff:x:50:ann"));
        assert!(resource("group", json!({"name": "root", "state": "absent"})).is_err());
    }
}
