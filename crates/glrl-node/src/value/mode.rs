//! Permission bits of a file.

use std::{fmt, str::FromStr};

use super::string_value;

/// Permission bits, `0` to `0o7777`, written in octal and quoted: `"0644"` (chmod(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u32);

impl Mode {
    /// `0644`: what a file gets when nothing is said.
    pub const FILE: Self = Self(0o644);
    /// Its owner's alone.
    pub const PRIVATE: Self = Self(0o600);
    /// `0755`: what a directory gets when nothing is said.
    pub const DIRECTORY: Self = Self(0o755);

    /// The permission bits of a `st_mode`; the bits of the file's type are dropped.
    pub const fn of(st_mode: u32) -> Self {
        Self(st_mode & 0o7777)
    }

    /// The bits, as chmod(2) takes them.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a mode: write three or four octal digits in quotes, as in \"0644\"");
        if !(3..=4).contains(&text.len()) || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
            return Err(wrong());
        }
        u32::from_str_radix(text, 8).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

string_value!(
    Mode,
    "Permission bits in octal, quoted (chmod(1)).",
    "^[0-7]{3,4}$",
    ["0644", "0755"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_octal_only() {
        assert_eq!("0644".parse(), Ok(Mode(0o644)));
        assert_eq!("4755".parse(), Ok(Mode(0o4755)));
        for wrong in ["", "6", "0o644", "888", "00644", "u+x", "-644"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }
}
