//! The roles that are part of the binary, with their templates and files. A test compares the list with the directories.

/// A list of files of the repository, by path.
macro_rules! bundle {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

/// Paths and contents: `roles/NAME.yml`, `templates/…`, `files/…`.
pub(super) static FILES: &[(&str, &[u8])] = bundle![
    "roles/backup.yml",
    "roles/mysql.yml",
    "roles/verify.yml",
    "templates/backup.yml.hbs",
    "templates/mysql.cnf.hbs",
    "templates/mysql.service.hbs",
    "templates/mysql_backup.sh.hbs",
    "templates/mysql_verify.sh.hbs",
    "templates/verify.yml.hbs",
];

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "it reads a checkout of glrl, not a node")]
mod tests {
    use std::path::Path;

    use super::*;

    /// Regular files below a directory of the repository, by path.
    fn below(path: &str, found: &mut Vec<String>) {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        for name in crate::system::texts::list(&whole).expect("the repository is readable") {
            let path = format!("{path}/{name}");
            if whole.join(&name).is_dir() {
                below(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_role_template_and_file_is_bundled() {
        let mut found = Vec::new();
        for directory in ["roles", "templates", "files"] {
            below(directory, &mut found);
        }
        let mut listed: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        listed.sort_unstable();
        found.sort_unstable();
        assert_eq!(
            listed, found,
            "src/config/bundled.rs lists what is below roles/, templates/ and files/"
        );
    }
}
