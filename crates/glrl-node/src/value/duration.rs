//! Lengths of time.

use std::{fmt, str::FromStr};

use super::string_value;

/// A length of time with its unit: `500ms`, `60s`, `5m`, `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Duration {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a length of time: write a number and a unit, as in 60s or 5m");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let (_, factor) = UNITS
            .iter()
            .find(|(unit, _)| *unit == &text[digits..])
            .ok_or_else(wrong)?;
        let milliseconds = number.checked_mul(*factor).ok_or_else(wrong)?;
        Ok(Self(std::time::Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Duration {
    /// The largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        for (unit, factor) in UNITS.iter().rev() {
            if milliseconds != 0 && milliseconds.is_multiple_of(u128::from(*factor)) {
                return write!(f, "{}{unit}", milliseconds / u128::from(*factor));
            }
        }
        write!(f, "{milliseconds}ms")
    }
}

string_value!(
    Duration,
    "A length of time with its unit.",
    "^[0-9]+(ms|s|m|h|d)$",
    ["60s", "5m"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit() {
        assert_eq!("90s".parse(), Ok(Duration::seconds(90)));
        assert_eq!("5m".parse(), Ok(Duration::seconds(300)));
        assert_eq!(Duration::seconds(7200).to_string(), "2h");
        for wrong in [
            "",
            "5",
            "s",
            "1.5h",
            "-1s",
            "5 m",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printed_lengths_read_back(milliseconds in 0..u64::MAX / 2) {
            let one = Duration(std::time::Duration::from_millis(milliseconds));
            proptest::prop_assert_eq!(one.to_string().parse(), Ok(one));
        }
    }
}
