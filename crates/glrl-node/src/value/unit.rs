//! Names of systemd units.

use std::{fmt, str::FromStr};

use super::string_value;

/// A systemd unit's full name. A name without a suffix is a service: `mariadb` is `mariadb.service`, as systemctl(1) has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

const SUFFIXES: [&str; 7] = ["service", "socket", "timer", "path", "mount", "target", "swap"];

impl UnitName {
    /// The full name, with its suffix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name people type: without `.service`.
    pub fn short(&self) -> &str {
        self.0.strip_suffix(".service").unwrap_or(&self.0)
    }
}

impl FromStr for UnitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
        if text.is_empty() || text.len() > 255 || !text.bytes().all(allowed) || text.starts_with(['.', '-']) {
            return Err(format!("'{text}' is not a unit's name (systemd.unit(5))"));
        }
        let has_suffix = text
            .rsplit_once('.')
            .is_some_and(|(stem, suffix)| !stem.is_empty() && SUFFIXES.contains(&suffix));
        Ok(Self(if has_suffix {
            text.to_owned()
        } else {
            format!("{text}.service")
        }))
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

string_value!(
    UnitName,
    "A systemd unit; without a suffix, a service.",
    "^[A-Za-z0-9:_\\\\@][A-Za-z0-9:_.\\\\@-]*$",
    ["mariadb", "fstrim.timer"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_service() {
        assert_eq!("mariadb".parse::<UnitName>(), "mariadb.service".parse());
        assert_eq!("fstrim.timer".parse::<UnitName>().unwrap().as_str(), "fstrim.timer");
        assert_eq!("php8.2-fpm".parse::<UnitName>().unwrap().as_str(), "php8.2-fpm.service");
        for wrong in ["", "a b", "../x", "-x", "a/b"] {
            assert!(wrong.parse::<UnitName>().is_err(), "{wrong}");
        }
    }
}
