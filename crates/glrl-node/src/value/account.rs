//! Names of users and groups.

use std::{fmt, ops::Deref, str::FromStr};

use super::{owner::is_account_name, string_value};

/// A name that shadow-utils accept for a user or a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

impl FromStr for AccountName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_account_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is not an account's name: start it with a letter or _, use letters, digits, _, - and ., and at most 32"
        ))
    }
}

impl Deref for AccountName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(
    AccountName,
    "A user's or group's name.",
    "^[A-Za-z_][A-Za-z0-9_.$-]{0,31}$",
    ["mysql", "www-data"]
);
