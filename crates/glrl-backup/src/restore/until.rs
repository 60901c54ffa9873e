//! How far a restore goes on from its backup: `--until`.

use std::{fmt, str::FromStr};

use glrl_node::system::clock;
use jiff::{Timestamp, civil::Date};

use crate::{model::gtid::Wanted, restore::moment};

/// A moment behind the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// A transaction, included.
    Gtid(Gtids),
    /// Transactions that were committed before this time; whole seconds, as binary logs have them.
    Time(Timestamp),
    /// All that is archived.
    End,
}

/// The transactions up to which, included: `0-1-123`, `UUID:123`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gtids(pub(crate) Wanted);

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "end" {
            return Ok(Self::End);
        }
        // It would be a GTID too, of domain 2026.
        if text.len() == "2026-11-01".len() && text.parse::<Date>().is_ok() {
            return Err(format!(
                "'{text}' is a day and no moment of it: write '{text} 00:00:00'"
            ));
        }
        if let Ok(gtids) = text.parse() {
            return Ok(Self::Gtid(Gtids(gtids)));
        }
        moment::parse(text, &clock::zone()).map(Self::Time)
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gtid(Gtids(wanted)) => write!(f, "{wanted}"),
            Self::Time(time) => write!(f, "{time}"),
            Self::End => f.write_str("the end of what is archived"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_apart() {
        let time = |text: &str| Until::Time(text.parse().unwrap());
        assert!(matches!("0-1-123".parse(), Ok(Until::Gtid(_))));
        assert!(matches!(
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9".parse(),
            Ok(Until::Gtid(_))
        ));
        assert_eq!("end".parse(), Ok(Until::End));
        assert_eq!("2026-11-01T03:15:00Z".parse(), Ok(time("2026-11-01T03:15:00Z")));
        assert_eq!("2026-11-01T05:15:00.0+02:00".parse(), Ok(time("2026-11-01T03:15:00Z")));
        assert!(matches!("2026-11-01 03:15:00".parse(), Ok(Until::Time(_))));
        for text in [
            "2026-11-01T05:15:00.9+02:00",
            "",
            "yesterday",
            "0-1",
            "03:15",
            "2026-11-25",
            "20261125",
        ] {
            assert!(text.parse::<Until>().is_err(), "{text}");
        }
    }
}
