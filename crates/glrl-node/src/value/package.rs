//! Names and versions of packages.

use std::{cmp::Ordering, fmt, ops::Deref, str::FromStr};

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

impl PackageVersion {
    /// Whether dpkg takes it for the earlier of two (deb-version(7)): epochs as numbers, then what is before the last minus, then what
    /// is after it.
    pub fn is_older_than(&self, other: &Self) -> bool {
        fn parts(text: &str) -> (u64, &str, &str) {
            let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
            let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
            (epoch.parse().unwrap_or(0), upstream, revision)
        }
        let (mine, theirs) = (parts(&self.0), parts(&other.0));
        let order = mine.0.cmp(&theirs.0);
        let order = order
            .then_with(|| compare(mine.1, theirs.1))
            .then_with(|| compare(mine.2, theirs.2));
        order == Ordering::Less
    }
}

/// Compares what is no number by letters, a tilde before all, even before the end, and numbers as numbers, in turns.
fn compare(mut left: &str, mut right: &str) -> Ordering {
    let weight = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    while !left.is_empty() || !right.is_empty() {
        let word = |text: &str| text.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        let (l, r) = (word(left), word(right));
        for at in 0..l.max(r) {
            let byte = |text: &str, length| text.as_bytes().get(at).copied().filter(|_| at < length);
            let order = weight(byte(left, l)).cmp(&weight(byte(right, r)));
            if order != Ordering::Equal {
                return order;
            }
        }
        (left, right) = (&left[l..], &right[r..]);
        let (l, r) = (digits(left), digits(right));
        let (a, b) = (left[..l].trim_start_matches('0'), right[..r].trim_start_matches('0'));
        let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (&left[l..], &right[r..]);
    }
    Ordering::Equal
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

    /// As `dpkg --compare-versions` says.
    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (older, newer) in [
            ("2.0-1", "1:1.5-1"),
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0-1"),
            ("1.0-1", "1.0-1+b1"),
            ("1.9", "1.10"),
            ("1.0a", "1.0+"),
            ("1.0~~", "1.0~"),
            ("1.0~~a", "1.0~"),
            ("1", "1a"),
            ("0.9", "1"),
            ("12.2.0-14", "12.2.0-14+deb12u1"),
            ("1:10.11.6-0+deb12u1", "1:10.11.19-0+deb12u1"),
            ("1.2-3-4", "1.2-3-5"),
            ("1.0a", "1.0b"),
        ] {
            let (older, newer): (PackageVersion, PackageVersion) = (older.parse().unwrap(), newer.parse().unwrap());
            assert!(
                older.is_older_than(&newer) && !newer.is_older_than(&older),
                "{older} {newer}"
            );
            assert!(!older.is_older_than(&older));
        }
        for (one, same) in [("1.0", "0:1.0"), ("1.00", "1.0"), ("1.0-0", "1.0-00"), ("1.0", "1.0-0")] {
            let (one, same): (PackageVersion, PackageVersion) = (one.parse().unwrap(), same.parse().unwrap());
            assert!(!one.is_older_than(&same) && !same.is_older_than(&one), "{one} {same}");
        }
    }

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
