//! Sizes of logical volumes.

use std::{fmt, str::FromStr};

use super::{Size, string_value};

/// How large a logical volume is to be: bytes, or a share of its volume group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeSize {
    /// At least so many bytes: rounded up to extents.
    Bytes(Size),
    /// A share of all the group's extents in percent, rounded down. Grows with the group.
    OfGroup(u64),
    /// A share of the group's free extents in percent, rounded down. Counts when the volume is made, and never again.
    OfFree(u64),
}

impl VolumeSize {
    /// A share in percent of so many extents, rounded down, as LVM does.
    pub fn share(extents: u64, percent: u64) -> u64 {
        u64::try_from(u128::from(extents) * u128::from(percent) / 100).unwrap_or(extents)
    }
}

impl FromStr for VolumeSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a volume's size: write 10GiB, 80%VG or 100%FREE");
        let Some((number, of)) = text.split_once('%') else {
            return match text.parse::<Size>() {
                Ok(size) if size.get() > 0 => Ok(Self::Bytes(size)),
                _ => Err(wrong()),
            };
        };
        let percent = number.parse::<u64>().map_err(|_| wrong())?;
        if !number.bytes().all(|b| b.is_ascii_digit()) || !(1..=100).contains(&percent) {
            return Err(wrong());
        }
        match of {
            "VG" => Ok(Self::OfGroup(percent)),
            "FREE" => Ok(Self::OfFree(percent)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for VolumeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(size) => size.fmt(f),
            Self::OfGroup(percent) => write!(f, "{percent}%VG"),
            Self::OfFree(percent) => write!(f, "{percent}%FREE"),
        }
    }
}

string_value!(
    VolumeSize,
    "Bytes with a binary unit, or a share of the volume group: of all of it (%VG) or of what is free when the volume is made (%FREE).",
    "^([0-9]+ *(B|[KMGTP]iB|[kKmMgGtTpP])?|[0-9]+%(VG|FREE))$",
    ["10GiB", "80%VG", "100%FREE"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_or_a_share() {
        assert_eq!("10GiB".parse(), Ok(VolumeSize::Bytes(Size::mib(10 << 10))));
        assert_eq!("80%VG".parse(), Ok(VolumeSize::OfGroup(80)));
        assert_eq!("100%FREE".parse(), Ok(VolumeSize::OfFree(100)));
        for wrong in [
            "", "0", "0%VG", "101%VG", "+10%VG", "80%", "80%PVS", "80% VG", "-1GiB", "%FREE",
        ] {
            assert!(wrong.parse::<VolumeSize>().is_err(), "{wrong}");
        }
    }
}
