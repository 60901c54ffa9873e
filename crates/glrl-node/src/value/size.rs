//! Sizes in bytes.

use std::{fmt, str::FromStr};

use super::string_value;

/// A number of bytes, written with a binary unit: `512MiB`, `10GiB`. `M`, `G` and `T` mean the binary units too, as
/// they do to LVM; decimal units are refused, since nobody agrees on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

const UNITS: [(&str, u32); 5] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50)];

impl Size {
    /// A size of so many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of so many mebibytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a size: write a number and a unit, as in 512MiB or 10GiB");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let shift = match text[digits..].trim_start() {
            "" | "B" => 0,
            unit => {
                UNITS
                    .iter()
                    .find(|(name, _)| unit == *name || (unit.len() == 1 && unit.eq_ignore_ascii_case(&name[..1])))
                    .ok_or_else(wrong)?
                    .1
            }
        };
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(|| format!("'{text}' is more than any device holds"))
    }
}

impl fmt::Display for Size {
    /// The largest unit that needs no fraction, so that reading it back gives the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in UNITS.iter().rev() {
            if self.0 != 0 && self.0.trailing_zeros() >= *shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

string_value!(
    Size,
    "A size with a binary unit.",
    "^[0-9]+ *(B|[KMGTP]iB|[kKmMgGtTpP])?$",
    ["512MiB", "10GiB"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary() {
        assert_eq!("10GiB".parse(), Ok(Size(10 << 30)));
        assert_eq!("10g".parse(), Ok(Size(10 << 30)));
        assert_eq!("4096".parse(), Ok(Size(4096)));
        for wrong in ["", "GiB", "10GB", "1.5GiB", "-1GiB", "10XiB", "99999999PiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printed_sizes_read_back(bytes in proptest::num::u64::ANY) {
            proptest::prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
