//! What can go wrong, by what the caller does about it.

use std::fmt;

/// The kind of a failure. It decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something failed.
    Failed,
    /// Refused, to protect data: what would be archived is not all of the database.
    Refused,
    /// The settings are wrong.
    Settings,
    /// Another run of this instance is under way.
    Busy,
    /// The lock could not be had, or the snapshot not be made, within the budget.
    LockBudget,
    /// The snapshot cannot be trusted: its space ran out, or the lock was lost before it was made.
    Snapshot,
    /// The target is not mounted, too small, or failed while it was written.
    Target,
    /// There is no backup that is young enough.
    Stale,
    /// A backup is not what was written, or what was written is damaged.
    Corrupt,
    /// A signal asked the run to end.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Refused => 3,
            Self::Busy => 11,
            Self::LockBudget => 12,
            Self::Snapshot => 13,
            Self::Target => 14,
            Self::Stale => 15,
            Self::Corrupt => 16,
            Self::Settings => 65,
            Self::Interrupted => 130,
        }
    }
}

/// A failure: its kind, and the chain of causes. `{:#}` prints the whole chain, as with anyhow.
pub struct Error {
    /// What the caller does about it.
    pub kind: Kind,
    cause: anyhow::Error,
}

/// The result of everything in this module.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of this kind with this message.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            cause: anyhow::Error::msg(message.into()),
        }
    }

    /// The same failure as one of another kind.
    #[must_use]
    pub(crate) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Says what was being done.
    #[must_use]
    pub(crate) fn context(self, doing: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self {
            kind: self.kind,
            cause: self.cause.context(doing),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:#}", self.kind, self.cause)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

/// What has no kind of its own has simply failed.
impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self {
            kind: Kind::Failed,
            cause,
        }
    }
}

/// Gives a failure from below its kind.
pub(crate) trait OfKind<T> {
    fn of_kind(self, kind: Kind) -> Result<T>;
}

impl<T> OfKind<T> for anyhow::Result<T> {
    fn of_kind(self, kind: Kind) -> Result<T> {
        self.map_err(|cause| Error { kind, cause })
    }
}
