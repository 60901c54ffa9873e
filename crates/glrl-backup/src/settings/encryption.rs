//! `encryption`: who can read the backups.

use glrl_node::value::AbsPath;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::model::recipient::{self, Recipient};

/// Who can read the backups. All who can read the target, unless there is a recipient.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionSettings {
    /// Public keys of age (`age1…`). The owner of any one of them can read the backups, nobody else can.
    #[schemars(with = "Vec<String>")]
    pub recipients: Vec<Recipient>,
    /// A file with more of them, one a line; lines that begin with `#` are comments.
    #[serde(deserialize_with = "path")]
    pub recipients_file: Option<AbsPath>,
    /// Where backups are verified or restored: the file with the secret key, as age-keygen writes it, mode 0600.
    #[serde(deserialize_with = "path")]
    pub identity_file: Option<AbsPath>,
}

/// The path of a file. A secret key in its place is refused, and shown nowhere.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AbsPath>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if recipient::is_secret(&text) {
        return Err(D::Error::custom(
            "this is a secret key: write it to a file of its owner's alone, and the file's path here",
        ));
    }
    text.parse().map(Some).map_err(D::Error::custom)
}
