//! What a server on a backup has, compared with what the server had.

use std::collections::BTreeMap;

use crate::model::inventory::{Inventory, Item, Kind};

/// Says, one line each, what is missing on the copy, what it has beyond the inventory, and what is of another engine, type or collation. `collation`:
/// the server's own, which a schema has that says nothing of it.
pub(crate) fn differ(inventory: &Inventory, copy: &[Item], collation: Option<&str>) -> Vec<String> {
    let had: BTreeMap<_, &Item> = inventory.items.iter().map(|item| (item.key(), item)).collect();
    let has: BTreeMap<_, &Item> = copy.iter().map(|item| (item.key(), item)).collect();
    let overlooked = |schema: &str| {
        had.get(&(Kind::Schema, schema, "", ""))
            .is_some_and(|item| item.of_type == "IGNORED")
    };
    let mut lines = Vec::new();
    for (key, item) in &had {
        if overlooked(&item.schema) {
            continue;
        }
        let named = format!("{} {}", item.word(), item.shown());
        match has.get(key) {
            None => lines.push(format!("{named} is missing")),
            Some(other) if item.kind == Kind::Table => lines.extend(change(item, other).map(|how| named + &how)),
            Some(other) if item.kind == Kind::Schema => {
                let said = [&item.of_type, &other.of_type]
                    .iter()
                    .all(|of_type| !of_type.is_empty());
                if said && item.of_type != other.of_type && collation.is_some_and(|own| own != item.of_type) {
                    lines.push(format!(
                        "{named} was of collation {} and is of {}",
                        item.of_type, other.of_type
                    ));
                }
            }
            Some(_) => {}
        }
    }
    if inventory.complete {
        let more = has
            .iter()
            // What the copy's server is told to overlook is not there for anybody.
            .filter(|(key, item)| {
                let ignored = item.kind == Kind::Schema && item.of_type == "IGNORED";
                !ignored && !had.contains_key(*key) && !overlooked(&item.schema)
            });
        lines.extend(more.map(|(_, item)| format!("{} {} was not on the server", item.word(), item.shown())));
    }
    lines
}

/// What is different about a table. A server that lacks an engine names none, and lists what is of that engine as a table.
fn change(had: &Item, has: &Item) -> Option<String> {
    let (Some(one), Some(other)) = (&had.engine, &has.engine) else {
        return None;
    };
    if one != other {
        return Some(format!(" was of engine {one} and is of {other}"));
    }
    (had.of_type != has.of_type).then(|| format!(" was a {} and is a {}", had.of_type, has.of_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(lines: &[&str]) -> Vec<Item> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_is_missing_more_or_other_is_named() {
        let mut inventory = Inventory {
            items: items(&[
                r#"{"kind":"schema","schema":"shop","of_type":"latin1_bin"}"#,
                r#"{"kind":"schema","schema":"older"}"#,
                r#"{"kind":"schema","schema":"plain","of_type":"own"}"#,
                r#"{"kind":"schema","schema":"dumps","of_type":"IGNORED"}"#,
                r#"{"kind":"table","schema":"shop","name":"a","of_type":"BASE TABLE","engine":"InnoDB"}"#,
                r#"{"kind":"table","schema":"shop","name":"b","of_type":"VIEW"}"#,
                r#"{"kind":"table","schema":"shop","name":"c","of_type":"BASE TABLE","engine":"FEDERATED"}"#,
                r#"{"kind":"routine","schema":"shop","name":"p","of_type":"PROCEDURE"}"#,
                r#"{"kind":"routine","schema":"shop","name":"p","of_type":"FUNCTION"}"#,
                r#"{"kind":"trigger","schema":"shop","name":"g"}"#,
                r#"{"kind":"event","schema":"shop","name":"e"}"#,
            ]),
            complete: true,
        };
        let copy = items(&[
            r#"{"kind":"schema","schema":"shop","of_type":"utf8mb4_bin"}"#,
            r#"{"kind":"schema","schema":"older","of_type":"utf8mb4_bin"}"#,
            r#"{"kind":"schema","schema":"plain","of_type":"utf8mb4_bin"}"#,
            r#"{"kind":"schema","schema":"dumps"}"#,
            r#"{"kind":"table","schema":"dumps","name":"x"}"#,
            r#"{"kind":"table","schema":"shop","name":"a","of_type":"BASE TABLE","engine":"MyISAM"}"#,
            r#"{"kind":"table","schema":"shop","name":"c","of_type":"BASE TABLE"}"#,
            r#"{"kind":"routine","schema":"shop","name":"p","of_type":"PROCEDURE"}"#,
            r#"{"kind":"table","schema":"shop","name":"new","of_type":"BASE TABLE","engine":"InnoDB"}"#,
        ]);
        let missing = [
            "schema shop was of collation latin1_bin and is of utf8mb4_bin",
            "table shop.a was of engine InnoDB and is of MyISAM",
            "view shop.b is missing",
            "trigger shop.g is missing",
            "routine shop.p is missing",
            "event shop.e is missing",
        ];
        let said = differ(&inventory, &copy, Some("own"));
        assert_eq!(said[..6], missing);
        assert_eq!(said[6..], ["table shop.new was not on the server"]);
        // Who may not see everything cannot say what was not there.
        inventory.complete = false;
        assert_eq!(differ(&inventory, &copy, Some("own")), missing);
        assert_eq!(differ(&inventory, &inventory.items, Some("own")), Vec::<String>::new());
    }
}
