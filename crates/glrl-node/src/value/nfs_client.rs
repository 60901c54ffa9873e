//! Clients of an NFS export.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::string_value;

/// Who may mount an export (exports(5)): a host by name or address, a network as `10.0.0.0/24`, a netgroup as `@name`, or a
/// pattern as `*.example.org`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NfsClient(String);

impl NfsClient {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one host by a name, not by an address.
    pub fn is_host_name(&self) -> bool {
        let pattern = self.0.contains(['*', '?', '[', '/', ':']) || self.0.starts_with('@');
        !pattern && self.0.parse::<std::net::IpAddr>().is_err()
    }

    /// Whether every machine is meant.
    pub fn is_everybody(&self) -> bool {
        matches!(self.one_spelling().as_str(), "*" | "0.0.0.0/0" | "::/0")
    }

    /// Whether every machine is meant whose name, as the DNS has it, is like this.
    pub fn is_pattern(&self) -> bool {
        self.0.contains(['*', '?', '[']) && !self.0.starts_with('@')
    }

    /// See `one_spelling`.
    pub fn one_spelling(&self) -> String {
        one_spelling(&self.0)
    }
}

/// A client of an export as it is written anywhere, in one of its spellings: names in small letters, networks with the length of their
/// prefix and without bits behind it.
pub fn one_spelling(client: &str) -> String {
    let network = || {
        let (address, mask) = client.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let length = match mask.parse::<Ipv4Addr>() {
            Ok(mask) => mask.to_bits().leading_ones(),
            Err(_) => mask.parse().ok()?,
        };
        let kept = |width: u32| u128::MAX.checked_shl(width.saturating_sub(length)).unwrap_or(0);
        let first = match address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(
                address.to_bits() & u32::try_from(kept(32) & 0xffff_ffff).ok()?,
            )),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & kept(128))),
        };
        Some(format!("{first}/{length}"))
    };
    let host = || Some(client.parse::<IpAddr>().ok()?.to_string());
    network().or_else(host).unwrap_or_else(|| client.to_ascii_lowercase())
}

impl FromStr for NfsClient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"*?[].:/@_-".contains(&b);
        if text.is_empty() || text.starts_with('-') || !text.bytes().all(allowed) {
            return Err(format!(
                "'{text}' is not a client of an export: write a host, a network as in 10.0.0.0/24, @netgroup or a pattern"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for NfsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(
    NfsClient,
    "A host, a network, @netgroup or a pattern.",
    "^[A-Za-z0-9*?\\[\\].:/@_][A-Za-z0-9*?\\[\\].:/@_-]*$",
    ["192.168.56.11", "10.0.0.0/24"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_addresses_and_patterns() {
        let named = |text: &str| text.parse::<NfsClient>().unwrap().is_host_name();
        assert!(named("db1") && named("db1.example.org"));
        for other in [
            "192.168.56.11",
            "10.0.0.0/24",
            "fe80::1",
            "@trusted",
            "*.example.org",
            "*",
        ] {
            assert!(!named(other), "{other}");
        }
    }

    #[test]
    fn one_client_has_one_spelling() {
        for (spelled, one) in [
            ("DB.Example.org", "db.example.org"),
            ("10.1.2.3/255.255.0.0", "10.1.0.0/16"),
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("1.2.3.4/0.0.0.0", "0.0.0.0/0"),
            ("10.0.0.1/32", "10.0.0.1/32"),
            ("FE80:0::1", "fe80::1"),
            ("fe80::1/64", "fe80::/64"),
            ("::/0", "::/0"),
            ("*", "*"),
            ("@Trusted/x", "@trusted/x"),
        ] {
            assert_eq!(one_spelling(spelled), one);
            assert_eq!(one_spelling(one), one);
        }
    }

    #[test]
    fn nothing_breaks_out_of_its_field() {
        for right in [
            "db1",
            "192.168.56.11",
            "10.0.0.0/255.0.0.0",
            "fe80::/64",
            "@trusted",
            "*.example.org",
            "*",
        ] {
            assert!(right.parse::<NfsClient>().is_ok(), "{right}");
        }
        for wrong in ["", "a b", "a(rw)", "a\n/etc *", "#a", "-rw", "\"a\"", "a,b", "a\\"] {
            assert!(wrong.parse::<NfsClient>().is_err(), "{wrong}");
        }
    }
}
