//! The identity of a resource.

use std::{fmt, str::FromStr};

use super::string_value;

/// `kind:name`, as in `package:nfs-common`, `mount:/backup`, `logical_volume:mysql/data`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    text: std::sync::Arc<str>,
    kind: usize,
}

impl Id {
    /// The id of the resource of this kind with this name.
    pub fn new(kind: &str, name: &str) -> Self {
        Self {
            text: format!("{kind}:{name}").into(),
            kind: kind.len(),
        }
    }

    /// What stands before the colon.
    pub fn kind(&self) -> &str {
        &self.text[..self.kind]
    }

    /// What stands behind the colon.
    pub fn name(&self) -> &str {
        &self.text[self.kind + 1..]
    }

    /// The whole, `kind:name`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _ => Err(format!(
                "'{text}' is not a resource: write kind:name, as in package:lvm2"
            )),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

string_value!(
    Id,
    "A resource, kind:name.",
    "^[a-z_]+:.+$",
    ["package:lvm2", "mount:/backup"]
);
