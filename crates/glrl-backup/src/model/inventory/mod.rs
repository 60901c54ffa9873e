//! What a server has: schemas, tables, views, triggers, routines, events, each by name, read while no statement can change it (`server::survey`), and
//! compared with what a server on the backup has (`differ`). It lies beside the archive as `ID.tables.zst` (`.age`), see `store::tables`.
//!
//! Beside each table stands what is so on the server itself: that it cannot open it, or that its rows are not in its files (`engines`).

pub(crate) mod differ;
pub(crate) mod engines;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Schemas that a server makes up, or that hold nothing of a backup: ext4's directory is one for MariaDB.
pub(crate) const MADE_UP: &str = "'information_schema', 'performance_schema', 'lost+found', '#mysql50#lost+found'";

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A database.
    Schema,
    /// A table, a view or a sequence.
    Table,
    /// A trigger.
    Trigger,
    /// A procedure, a function, a package.
    Routine,
    /// An event.
    Event,
}

/// Something that a server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// What it is.
    pub(crate) kind: Kind,
    /// The schema that it is, or that it is in.
    pub(crate) schema: String,
    /// Its name; empty for a schema.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// The server's word for its type: `BASE TABLE`, `VIEW`, `PROCEDURE`; `IGNORED` for a directory that the server is told to overlook;
    /// a schema's collation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) of_type: String,
    /// A table's engine, where the server knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) engine: Option<String>,
    /// Why the server itself cannot open it, in its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) broken: Option<String>,
    /// Where its rows are, if not in the files of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) elsewhere: Option<String>,
}

impl Item {
    /// What tells it from all others. A procedure and a function may share a name.
    pub(crate) fn key(&self) -> (Kind, &str, &str, &str) {
        let of_type = if self.kind == Kind::Routine { &self.of_type } else { "" };
        (self.kind, &self.schema, &self.name, of_type)
    }

    /// Its name for readers: `shop.orders`.
    pub(crate) fn shown(&self) -> String {
        if self.name.is_empty() {
            self.schema.clone()
        } else {
            format!("{}.{}", self.schema, self.name)
        }
    }

    /// Whether its rows are gone when the server ends.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.engine.as_deref().is_some_and(engines::is_memory)
    }

    /// Whether its rows are on another server.
    pub(crate) fn is_remote(&self) -> bool {
        self.engine.as_deref().is_some_and(engines::is_remote)
    }

    /// The word for what it is.
    fn word(&self) -> &'static str {
        match self.kind {
            Kind::Schema => "schema",
            Kind::Table if self.of_type.contains("VIEW") => "view",
            Kind::Table if self.of_type == "SEQUENCE" => "sequence",
            Kind::Table => "table",
            Kind::Trigger => "trigger",
            Kind::Routine => "routine",
            Kind::Event => "event",
        }
    }

    /// Whether a server's message is about this table. Servers write `shop/t`, `shop`.`t`, 'shop.t'.
    pub(crate) fn is_named_in(&self, message: &str) -> bool {
        let (schema, name) = (&self.schema, &self.name);
        let goes_on = |next: char| next.is_alphanumeric() || "_$-#".contains(next);
        // A partition is the table's.
        let ends = |rest: &str| !rest.starts_with(goes_on) || rest.starts_with("#P#") || rest.starts_with("#p#");
        [
            format!("{schema}/{name}"),
            format!("`{schema}`.`{name}"),
            format!("{schema}.{name}"),
        ]
        .iter()
        .any(|way| {
            message
                .match_indices(way.as_str())
                .any(|(at, _)| ends(&message[at + way.len()..]))
        })
    }
}

/// What a server had, as a backup keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// Everything, schemas first.
    pub(crate) items: Vec<Item>,
    /// Whether the account that asked may see all of it.
    pub(crate) complete: bool,
}

impl Inventory {
    /// Tables by schema and name.
    pub(crate) fn tables(&self) -> BTreeMap<(&str, &str), &Item> {
        let tables = self.items.iter().filter(|item| item.kind == Kind::Table);
        tables.map(|item| ((&*item.schema, &*item.name), item)).collect()
    }

    /// Tables that the server itself cannot open.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.broken.is_some())
    }

    /// Tables whose rows are not in the server's files.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.elsewhere.is_some())
    }

    /// Adds what was found out before: about tables of which some may be gone by now.
    pub(crate) fn annotate(&mut self, survey: &Survey) {
        for item in self.items.iter_mut().filter(|item| item.kind == Kind::Table) {
            let name = (item.schema.clone(), item.name.clone());
            item.broken = survey.broken.get(&name).cloned();
            item.elsewhere = item.engine.as_deref().and_then(engines::elsewhere).map(str::to_owned);
        }
    }

    /// What is not in a backup of it, by engine, for a manifest, which names no table.
    pub(crate) fn not_included(&self) -> Vec<String> {
        let mut engines: Vec<&str> = self.elsewhere().filter_map(|item| item.engine.as_deref()).collect();
        engines.sort_unstable();
        let groups = engines.chunk_by(|one, other| one == other);
        groups
            .map(|group| {
                format!(
                    "{} of engine {}: {}",
                    glrl_node::value::text::count(group.len(), "table"),
                    group[0],
                    engines::elsewhere(group[0]).unwrap_or_default()
                )
            })
            .collect()
    }
}

/// Items by name, a few of them, and how many more there are.
pub(crate) fn few<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = items.iter().take(SHOWN).map(show).collect();
    let more = items.len().saturating_sub(SHOWN);
    let shown = shown.join(", ");
    if more > 0 {
        format!("{shown} and {more} more")
    } else {
        shown
    }
}

/// What was found out about a server's tables before it is locked.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Tables that it cannot open itself, and its words.
    pub(crate) broken: BTreeMap<(String, String), String>,
    /// Why not all tables were looked at.
    pub(crate) cut_short: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_about_the_table_that_it_names() {
        let item: Item = serde_json::from_str(r#"{"kind":"table","schema":"s","name":"t"}"#).unwrap();
        for message in [
            "Table './s/t' is marked as crashed",
            "InnoDB: Table `s`.`t` is corrupted",
            "File ./s/t.ibd is missing",
            "File ./s/t#P#p1.ibd is missing",
            "File ./s/t#p#p1.ibd is missing",
            "Table 's.t' doesn't exist",
        ] {
            assert!(item.is_named_in(message), "{message}");
        }
        for message in [
            "Table './s/t2' is corrupted",
            "File ./s/t_1.ibd",
            "File ./s/t#1.ibd",
            "`s`.`t2`",
            "nothing",
        ] {
            assert!(!item.is_named_in(message), "{message}");
        }
    }
}
