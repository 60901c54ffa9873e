//! The login of an option file: `[client]` of what `mysql --defaults-file=` reads.
//! Source: MySQL reference manual, "Using Option Files"; MariaDB knowledge base, "Configuring MariaDB with Option Files".

use std::{
    fs::File,
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use glrl_node::system::trust::{self, Untrusted};

/// The groups that are read, the later one wins, as the clients do it.
const GROUPS: [&str; 4] = ["client", "client-server", "client-mariadb", "glrl"];

/// What an option file says about logging in.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) socket: Option<String>,
}

/// Reads the file.
pub(crate) fn read(path: &Path) -> Result<Login> {
    private(path, "it holds a password").map(|text| parse(&text))
}

/// Reads a file which only its owner may read, the owner being root or who runs this, since `it_holds` what is nobody else's business.
pub(crate) fn private(path: &Path, it_holds: &str) -> Result<String> {
    let doing = || format!("reading {}", path.display());
    // A pipe that nobody writes to would hold up who opens it.
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    let mut file = file.with_context(doing)?;
    let meta = file.metadata().with_context(doing)?;
    if !meta.is_file() {
        bail!("{} is not a regular file", path.display());
    }
    if meta.mode() & 0o077 != 0 {
        bail!(
            "{} can be read by others than its owner: chmod 600 it, {it_holds}",
            path.display()
        );
    }
    if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
        bail!(
            "{} belongs to user {}: it must belong to root",
            path.display(),
            meta.uid()
        );
    }
    trust::check(path).map_err(|error| match error.downcast::<Untrusted>() {
        Ok(untrusted) => anyhow!("{untrusted}: {}", untrusted.mend),
        Err(other) => other,
    })?;
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(doing)?;
    Ok(text)
}

fn parse(text: &str) -> Login {
    let mut login = Login::default();
    let mut wanted = false;
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            wanted = GROUPS.contains(&group.trim());
        } else if wanted && let Some((key, value)) = line.split_once('=') {
            match key.trim().replace('_', "-").as_str() {
                "user" => login.user = Some(value_of(value)),
                "password" => login.password = Some(value_of(value)),
                "socket" => login.socket = Some(value_of(value)),
                _ => {}
            }
        }
    }
    login
}

/// A value without its quotes, its comment and its escapes.
fn value_of(raw: &str) -> String {
    let raw = raw.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = raw.strip_prefix(quote)
            && let Some(end) = rest.rfind(quote)
        {
            return unescape(&rest[..end]);
        }
    }
    // In the middle of a line a comment begins with '#', not with ';'.
    unescape(raw.split('#').next().unwrap_or_default().trim_end())
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('s') => out.push(' '),
            Some(other @ ('\\' | '"' | '\'')) => out.push(other),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_client_groups_count() {
        let login = parse(
            "# comment\n[mysqld]\nsocket=/no\n[client]\nuser = root\npassword = \"a#b\\\"c\"\nport=3306\n[mysqldump]\nuser=x\n[glrl]\nsocket=/s # ours\n",
        );
        assert_eq!(login.user.as_deref(), Some("root"));
        assert_eq!(login.password.as_deref(), Some("a#b\"c"));
        assert_eq!(login.socket.as_deref(), Some("/s"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o640)).unwrap();
        let error = read(file.path()).err().unwrap();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o600)).unwrap();
        assert!(read(file.path()).is_ok());
    }
}
