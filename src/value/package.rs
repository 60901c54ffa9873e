//! Names and versions of packages.

use std::{fmt, ops::Deref, str::FromStr};

use super::string_value;

/// A package's name, with an architecture where it is not the node's own: `g++`, `libc6:i386` (Debian Policy 5.6.7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

/// A package's version as dpkg writes it: `[epoch:]upstream[-revision]` (deb-version(7)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageVersion(String);

impl FromStr for PackageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, architecture) = text.split_once(':').unwrap_or((text, "any"));
        let lower = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let name_is_right = name.len() > 1
            && name.bytes().all(|b| lower(&b) || b"+-.".contains(&b))
            && name.as_bytes().first().is_some_and(lower)
            // apt-get takes a minus at the end for "remove it".
            && !name.ends_with('-');
        let architecture_is_right = !architecture.is_empty() && architecture.bytes().all(|b| lower(&b) || b == b'-');
        if name_is_right && architecture_is_right {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is not a package's name: lower-case letters, digits, +, - and ., as in nfs-common or libc6:i386"
        ))
    }
}

impl FromStr for PackageVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".+~:-".contains(&b);
        if text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is not a version: write it whole, as `apt-cache policy` shows it, as in \"1:10.11.6-0+deb12u1\""
        ))
    }
}

macro_rules! text {
    ($type:ty) => {
        impl Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(PackageName);
text!(PackageVersion);

string_value!(
    PackageName,
    "A package's name, with `:architecture` where it is not the node's own.",
    "^[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9-]+)?$",
    ["nfs-common", "g++", "libc6:i386"]
);
string_value!(
    PackageVersion,
    "A version as dpkg writes it.",
    "^[0-9][A-Za-z0-9.+~:-]*$",
    ["1:10.11.6-0+deb12u1"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_debians() {
        for name in ["g++", "nfs-common", "libc6:i386", "0ad", "libstdc++6", "php8.2-fpm"] {
            assert_eq!(
                name.parse::<PackageName>().map(|name| name.to_string()),
                Ok(name.to_owned())
            );
        }
        for wrong in [
            "",
            "a",
            "Foo",
            "-y",
            "git-",
            "git=1",
            "a b",
            "git:",
            ".git",
            "--reinstall",
        ] {
            assert!(wrong.parse::<PackageName>().is_err(), "{wrong}");
        }
        for version in ["1:10.11.6-0+deb12u1", "2024a-0+deb12u1", "1.0~rc1", "7"] {
            assert!(version.parse::<PackageVersion>().is_ok(), "{version}");
        }
        for wrong in ["", "latest", "1.*", "1 2", "-1"] {
            assert!(wrong.parse::<PackageVersion>().is_err(), "{wrong}");
        }
    }
}
