//! What a probe answers when the answer may lie in the future.

use crate::value::Id;

/// A value read from a node, or the resource that has to be applied before anyone can know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// Read, or predicted exactly.
    Known(T),
    /// What will be found depends on `after`, which is planned but not applied: the unit of a package that is not
    /// installed yet. Never guessed, never an error.
    Unknown {
        /// The resource that decides it.
        after: Id,
    },
}

impl<T> Reading<T> {
    /// Applies a function to a known value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Known(value) => Reading::Known(f(value)),
            Self::Unknown { after } => Reading::Unknown { after },
        }
    }
}

/// The known value, or a return of `Ok(Unknown)` from the function around it.
#[macro_export]
macro_rules! known {
    ($reading:expr) => {
        match $reading {
            $crate::system::Reading::Known(value) => value,
            $crate::system::Reading::Unknown { after } => return Ok($crate::system::Reading::Unknown { after }),
        }
    };
}
