//! What tells a log from another one of the same name, time and length, which there may be after RESET MASTER: a hash of its end, in its
//! record. Where logs are encrypted that hash is keyed, by a key that never leaves this node: a record is in the clear, and of a short log nearly
//! all can be guessed, so that a plain hash would say what the rest is. When the key is lost, logs are archived once more.

use std::{fs::File, io::Read};

use anyhow::{Context, Result, anyhow};
use glrl_node::system::state::StateDir;

use crate::settings::Settings;

/// Bytes of a log's end.
pub(crate) const LENGTH: u64 = 64 << 10;
/// The key's file in the state directory.
const NAME: &str = "binlogs.key";

/// How ends are hashed on this node.
pub(crate) struct Tails {
    key: Option<[u8; blake3::KEY_LEN]>,
}

impl Tails {
    /// With the node's key, if there is one; where logs are encrypted, there will be.
    pub(crate) fn open(settings: &Settings, encrypted: bool) -> Result<Self> {
        let state = StateDir::open(&settings.state_directory)?;
        let key = match state.read(NAME)? {
            Some(key) => {
                let key = key.try_into();
                Some(key.map_err(|_| anyhow!("{NAME} in {} is damaged: remove it", settings.state_directory))?)
            }
            None if encrypted => {
                let mut key = [0; blake3::KEY_LEN];
                let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key));
                random.context("reading /dev/urandom")?;
                state.write(NAME, &key)?;
                Some(key)
            }
            None => None,
        };
        Ok(Self { key })
    }

    /// The hash of an end, as the record of a log has it. `None` where this node has no key, so that it knows no encrypted log again.
    pub(crate) fn of(&self, end: &[u8], encrypted: bool) -> Option<String> {
        if encrypted {
            self.key.map(|key| blake3::keyed_hash(&key, end).to_string())
        } else {
            Some(blake3::hash(end).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn an_encrypted_logs_hash_is_this_nodes_own() {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::settings(directory.path());
        let plain = Some(blake3::hash(b"end").to_string());
        let none = Tails::open(&settings, false).unwrap();
        assert_eq!((none.of(b"end", false), none.of(b"end", true)), (plain.clone(), None));
        let made = Tails::open(&settings, true).unwrap();
        let keyed = made.of(b"end", true).unwrap();
        assert_ne!(Some(&keyed), plain.as_ref());
        assert_eq!(made.of(b"end", false), plain);
        // It stays, also for a run that encrypts nothing.
        for encrypted in [true, false] {
            let again = Tails::open(&settings, encrypted).unwrap();
            assert_eq!(again.of(b"end", true).as_ref(), Some(&keyed));
        }
        let other = tempfile::tempdir().unwrap();
        let other = Tails::open(&fixtures::settings(other.path()), true).unwrap();
        assert_ne!(other.of(b"end", true), Some(keyed));
    }
}
