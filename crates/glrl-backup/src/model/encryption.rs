//! What a manifest says of an encrypted backup.

use serde::{Deserialize, Serialize};

use crate::model::recipient::Recipient;

/// What a manifest says of an encrypted backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// How.
    pub format: Format,
    /// To whom.
    pub recipients: Vec<Recipient>,
}

/// How something is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// age.
    #[serde(rename = "age-encryption.org/v1")]
    Age,
}

impl Encryption {
    /// `None`, where there is nobody to encrypt to.
    pub(crate) fn to(recipients: &[Recipient]) -> Option<Self> {
        (!recipients.is_empty()).then(|| Self {
            format: Format::Age,
            recipients: recipients.to_vec(),
        })
    }
}
