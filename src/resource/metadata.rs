//! Owner, group and mode: what is declared against what is there. Shared by all kinds of files.

use anyhow::{Result, bail};

use super::Change;
use crate::{
    system::{Claim, Entry, Meta, Probe, Reading, known},
    value::{Mode, Owner},
};

/// Ownership and mode as declared; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Metadata<'a> {
    pub(super) owner: Option<&'a Owner>,
    pub(super) group: Option<&'a Owner>,
    pub(super) mode: Option<Mode>,
}

/// The two tables that names of owners stand in.
#[derive(Clone, Copy)]
enum Table {
    Users,
    Groups,
}

impl Metadata<'_> {
    /// What differs from an entry, or, of something new, all that is declared. Accounts must be there, or be planned.
    pub(super) fn compare(self, node: &dyn Probe, entry: Option<&Entry>) -> Result<Reading<Vec<Change>>> {
        let mut changes = Vec::new();
        for (property, wanted, table) in [
            ("owner", self.owner, Table::Users),
            ("group", self.group, Table::Groups),
        ] {
            let Some(wanted) = wanted else { continue };
            let number = known!(table.number(node, wanted)?);
            match entry {
                None => changes.push(Change::new(property, wanted)),
                Some(entry) => {
                    let current = match table {
                        Table::Users => &entry.owner,
                        Table::Groups => &entry.group,
                    };
                    if *current != number {
                        changes.push(Change::of(property, shown(current), wanted));
                    }
                }
            }
        }
        if let Some(wanted) = self.mode {
            match entry.map(|entry| entry.mode) {
                None => changes.push(Change::new("mode", wanted)),
                Some(current) if current != wanted => changes.push(Change::of("mode", current, wanted)),
                Some(_) => {}
            }
        }
        Ok(Reading::Known(changes))
    }

    /// As an operation has it.
    pub(super) fn to_meta(self) -> Meta {
        Meta {
            mode: self.mode,
            owner: self.owner.cloned(),
            group: self.group.cloned(),
        }
    }

    /// The accounts it requires.
    pub(super) fn required(self) -> impl Iterator<Item = Claim> {
        let name = |owner: &Owner| match owner {
            Owner::Name(name) => Some(name.clone()),
            Owner::Id(_) => None,
        };
        let owner = self.owner.and_then(name).map(Claim::User);
        let group = self.group.and_then(name).map(Claim::Group);
        owner.into_iter().chain(group)
    }
}

impl Table {
    /// An account as an entry has it: its number, or its name while that has no number yet.
    fn number(self, node: &dyn Probe, owner: &Owner) -> Result<Reading<Owner>> {
        let Owner::Name(name) = owner else {
            return Ok(Reading::Known(owner.clone()));
        };
        // On every node, and so often declared that it is not looked up.
        if name == "root" {
            return Ok(Reading::Known(Owner::ROOT));
        }
        let (number, kind) = match self {
            Self::Users => (known!(node.user(name)?).map(|user| user.uid), "user"),
            Self::Groups => (known!(node.group(name)?).map(|group| group.gid), "group"),
        };
        match number {
            Some(number) => Ok(Reading::Known(number.map_or_else(|| owner.clone(), Owner::Id))),
            None => bail!("there is no {kind} {name}: declare it, or need the package that brings it"),
        }
    }
}

fn shown(owner: &Owner) -> String {
    match owner {
        Owner::Id(0) => "root".to_owned(),
        owner => owner.to_string(),
    }
}
