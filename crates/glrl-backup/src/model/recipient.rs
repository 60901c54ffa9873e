//! A recipient: the public key of an X25519 pair, `age1…`, as age-keygen(1) makes it. Source: age-encryption.org/v1, "The X25519 recipient
//! type".

use std::{fmt, str::FromStr};

use age::x25519;
use glrl_node::value::secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A public key that backups are encrypted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    /// Of a secret key.
    pub(crate) fn of(identity: &x25519::Identity) -> Self {
        Self(identity.to_public())
    }

    pub(crate) fn key(&self) -> &dyn age::Recipient {
        &self.0
    }
}

/// Whether somebody has written a secret key here. It is hidden from then on.
pub(crate) fn is_secret(text: &str) -> bool {
    let secret = text.to_ascii_uppercase().contains("AGE-SECRET-KEY-");
    if secret {
        secret::register(text);
    }
    secret
}

impl FromStr for Recipient {
    type Err = String;

    /// A secret key in its place is refused, and shown nowhere.
    fn from_str(text: &str) -> Result<Self, String> {
        if is_secret(text) {
            let public = text.parse::<x25519::Identity>();
            let instead = public.map_or_else(
                |_| "'age-keygen -y FILE' says it".to_owned(),
                |identity| Self::of(&identity).to_string(),
            );
            return Err(format!(
                "this is a secret key, which is not for a node that makes backups: write the public key that belongs to it ({instead}), \
                 and make a new pair if others could read this"
            ));
        }
        let wrong = || {
            format!(
                "{text:?} is not a recipient: it is the public key that age-keygen shows, 'age1' and 58 letters and digits \
                 (no key of ssh, of a plugin, or post-quantum)"
            )
        };
        text.parse().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_recipient_reads_back() {
        let recipient = Recipient::of(&x25519::Identity::generate());
        assert_eq!(recipient.to_string().parse(), Ok(recipient));
    }

    #[test]
    fn what_is_no_recipient_is_named() {
        let good = Recipient::of(&x25519::Identity::generate()).to_string();
        let short = &good[..good.len() - 1];
        // One character in its middle is another.
        let other = if &good[30..31] == "q" { "p" } else { "q" };
        let typo = format!("{}{other}{}", &good[..30], &good[31..]);
        for text in ["", "age1", "ssh-ed25519 AAAA", "age1yubikey1qqqq", short, &typo] {
            let error = text.parse::<Recipient>().unwrap_err();
            assert!(
                error.contains(&format!("{text:?}")) && error.contains("age-keygen"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_secret_key_is_refused_and_never_shown() {
        let identity = x25519::Identity::generate();
        let text = identity.to_string().expose_secret().to_owned();
        let public = Recipient::of(&identity).to_string();
        let damaged = text[..text.len() - 3].to_owned();
        for (secret, said) in [
            (text.clone(), public.as_str()),
            (text.to_lowercase(), &public),
            (damaged, "age-keygen -y"),
        ] {
            let error = secret.parse::<Recipient>().unwrap_err();
            assert!(error.contains("secret key") && error.contains(said), "{error}");
            assert!(!error.contains(&secret[16..40]), "{error}");
        }
    }
}
