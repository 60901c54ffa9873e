//! Names of LVM's volume groups and logical volumes.

use std::{fmt, str::FromStr};

use super::string_value;

/// A volume group's name (lvm(8), "VALID NAMES"). It cannot start with a hyphen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

/// A logical volume's name (lvm(8), "VALID NAMES"). Names that LVM keeps for its own internal volumes are refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// Parts of a name that mark LVM's internal volumes (lvm2 2.03, `apply_lvname_restrictions`).
const RESERVED: [&str; 18] = [
    "_cdata",
    "_cmeta",
    "_corig",
    "_cpool",
    "_cvol",
    "_imeta",
    "_iorig",
    "_mimage",
    "_mlog",
    "_pmspare",
    "_rimage",
    "_rmeta",
    "_tdata",
    "_tmeta",
    "_vdata",
    "_vorigin",
    "_wcorig",
    "_integrity",
];

/// Longest name that leaves room for both in a device-mapper name of 127 bytes.
const LONGEST: usize = 100;

fn check(text: &str, what: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+_.-".contains(&b);
    if text.is_empty()
        || text.len() > LONGEST
        || text.starts_with('-')
        || matches!(text, "." | "..")
        || !text.bytes().all(allowed)
    {
        return Err(format!(
            "'{text}' is not a {what}'s name: letters, digits, + _ . - and no hyphen in front (lvm(8))"
        ));
    }
    Ok(())
}

impl GroupName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl VolumeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, "volume group")?;
        // vgcreate refuses a name that is taken below /dev; these always are.
        if [
            "disk", "mapper", "shm", "pts", "block", "char", "fd", "null", "zero", "md",
        ]
        .contains(&text)
        {
            return Err(format!(
                "'{text}' cannot name a volume group: /dev/{text} is something else"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for VolumeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, "logical volume")?;
        let internal = text.starts_with("snapshot") || text.starts_with("pvmove");
        if internal || RESERVED.iter().any(|reserved| text.contains(reserved)) {
            return Err(format!(
                "'{text}' cannot name a logical volume: LVM keeps such names for itself"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(
    GroupName,
    "A volume group's name.",
    "^[A-Za-z0-9+_.][A-Za-z0-9+_.-]*$",
    ["mysql", "backup"]
);
string_value!(
    VolumeName,
    "A logical volume's name.",
    "^[A-Za-z0-9+_.][A-Za-z0-9+_.-]*$",
    ["data"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lvms() {
        for right in ["mysql", "data-1", "a.b", "_x", "vg+0"] {
            assert!(
                right.parse::<GroupName>().is_ok() && right.parse::<VolumeName>().is_ok(),
                "{right}"
            );
        }
        for wrong in ["", "-x", ".", "..", "a/b", "a b", "ä", "--"] {
            assert!(
                wrong.parse::<GroupName>().is_err() && wrong.parse::<VolumeName>().is_err(),
                "{wrong}"
            );
        }
        for internal in ["snapshot0", "pvmove0", "x_rimage_0", "x_tdata"] {
            assert!(internal.parse::<VolumeName>().is_err(), "{internal}");
        }
        assert!("mapper".parse::<GroupName>().is_err());
    }
}
