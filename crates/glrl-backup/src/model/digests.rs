//! The length of a file, and its hashes: BLAKE3, because it is fast, and SHA-256, because `sha256sum -c` is everywhere.

use serde::{Deserialize, Serialize};

/// Length and hashes of a file, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Its length.
    pub bytes: u64,
    /// BLAKE3, 256 bits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub blake3: String,
    /// SHA-256.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

impl Digests {
    /// The length alone, where hashes would tell too much.
    pub(crate) fn length(self) -> Self {
        Self {
            bytes: self.bytes,
            blake3: String::new(),
            sha256: String::new(),
        }
    }

    /// How these differ from what the manifest says, if they do.
    pub(crate) fn differs(&self, expected: &Self) -> Option<String> {
        if self.bytes != expected.bytes {
            return Some(format!(
                "it has {} bytes, the manifest says {}",
                self.bytes, expected.bytes
            ));
        }
        (self != expected).then(|| {
            format!(
                "its contents have changed: BLAKE3 {}, the manifest says {}",
                self.blake3, expected.blake3
            )
        })
    }
}
