//! What CHECK TABLE answers.

use crate::server::session::Columns;

/// CHECK TABLE answers with any number of rows; the last one is the result.
pub(crate) fn last_is_ok(rows: &[Columns]) -> Result<(), String> {
    let column = |row: &Columns, name: &str| row.get(name).cloned().flatten().unwrap_or_default();
    let Some(last) = rows.last() else {
        return Err("CHECK TABLE said nothing".to_owned());
    };
    let (kind, text) = (column(last, "Msg_type"), column(last, "Msg_text"));
    let bad = rows
        .iter()
        .any(|row| column(row, "Msg_type").eq_ignore_ascii_case("error"));
    let good = kind == "status" && (text == "OK" || text == "Table is already up to date");
    // Engines without a check (MEMORY, BLACKHOLE) say so in a note; their rows are read all the same.
    let unable = kind == "note" && text.contains("doesn't support check");
    if !bad && (good || unable) {
        return Ok(());
    }
    let said: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", column(row, "Msg_type"), column(row, "Msg_text")))
        .collect();
    Err(said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(said: &[(&str, &str)]) -> Vec<Columns> {
        said.iter()
            .map(|(kind, text)| {
                [("Msg_type", kind), ("Msg_text", text)]
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), Some((*value).to_owned())))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn only_a_last_row_of_ok_is_good() {
        assert!(last_is_ok(&rows(&[("status", "OK")])).is_ok());
        assert!(
            last_is_ok(&rows(&[
                ("warning", "1 client is using or hasn't closed the table properly"),
                ("status", "OK")
            ]))
            .is_ok()
        );
        assert!(
            last_is_ok(&rows(&[(
                "note",
                "The storage engine for the table doesn't support check"
            )]))
            .is_ok()
        );
        assert!(last_is_ok(&rows(&[])).is_err());
        assert!(
            last_is_ok(&rows(&[
                ("Warning", "InnoDB: The B-tree of index PRIMARY is corrupted."),
                ("error", "Corrupt")
            ]))
            .is_err()
        );
        assert!(last_is_ok(&rows(&[("error", "Table upgrade required"), ("status", "OK")])).is_err());
        assert!(last_is_ok(&rows(&[("status", "Operation failed")])).is_err());
    }
}
