//! A copy of the server's option files for the manifest: whoever restores wants to know how the server was set up.
//! Sources: MySQL reference manual, "Using Option Files"; Debian's layout of `/etc/mysql`.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// More than this is no option file.
const LONGEST: u64 = 64 << 10;

/// The option files below `/etc`, by path, without what they hold of passwords. What cannot be read is left out: it is not the data.
pub(crate) fn copy() -> BTreeMap<String, String> {
    copy_below(Path::new("/etc"))
}

fn copy_below(etc: &Path) -> BTreeMap<String, String> {
    let mut found = vec![etc.join("my.cnf")];
    collect(&etc.join("mysql"), &mut found);
    found
        .into_iter()
        .filter_map(|path| {
            let meta = fs::metadata(&path).ok()?;
            // debian.cnf and its like are logins of clients, not settings of a server.
            let for_all = meta.mode() & 0o004 != 0;
            let text = (for_all && meta.len() <= LONGEST).then(|| fs::read_to_string(&path).ok())??;
            Some((path.to_string_lossy().into_owned(), without_passwords(&text)))
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), found),
            Ok(_) if entry.path().extension().is_some_and(|extension| extension == "cnf") => found.push(entry.path()),
            _ => {}
        }
    }
}

fn without_passwords(text: &str) -> String {
    text.lines()
        .map(|line| match line.split_once('=') {
            Some((key, _)) if is_secret(key) => format!("{key}= (left out)\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

/// Whether a value is, or may hold, a password or a key: Galera's `wsrep_sst_auth` is USER:PASSWORD, `file_key_management_filekey` the key
/// of the keys.
fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "sst_auth",
        "filekey",
    ]
    .iter()
    .any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn settings_are_copied_and_passwords_are_not() {
        let etc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode| {
            let path = etc.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let settings = write(
            "mysql/mariadb.conf.d/50.cnf",
            "[mysqld]\nssl-key-password = hidden\nwsrep_sst_auth=sst:hidden\nloose-file-key-management-filekey=hidden\nserver_id=7\n",
            0o644,
        );
        write("mysql/debian.cnf", "[client]\npassword=hidden\n", 0o600);
        write("mysql/README", "hidden", 0o644);
        let copy = copy_below(etc.path());
        assert_eq!(copy.len(), 1);
        assert_eq!(
            copy[&settings],
            "[mysqld]\nssl-key-password = (left out)\nwsrep_sst_auth= (left out)\nloose-file-key-management-filekey= (left out)\n\
             server_id=7\n"
        );
    }
}
