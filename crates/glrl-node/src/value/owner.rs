//! Who owns a file.

use std::{fmt, str::FromStr};

use super::string_value;

/// A user or a group: by name, or by number where the node knows no name for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A name of passwd(5) or group(5).
    Name(String),
    /// A uid or gid.
    Id(u32),
}

impl Owner {
    /// uid or gid 0.
    pub const ROOT: Self = Self::Id(0);
}

/// Whether `text` is a name that shadow-utils accept for a user or a group (useradd(8), Debian's rule).
pub fn is_account_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 32
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_uppercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$'))
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse::<u32>() {
            return Ok(Self::Id(id));
        }
        if is_account_name(text) {
            return Ok(Self::Name(text.to_owned()));
        }
        Err(format!(
            "'{text}' is not an account: write its name, as in mysql, or its number"
        ))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

string_value!(
    Owner,
    "A user or group, by name or number.",
    "^([A-Za-z_][A-Za-z0-9_.$-]*|[0-9]+)$",
    ["root", "mysql"]
);
