//! What the process's exit status says: one table, from which `--help` and the documentation are made, and the one place that
//! decides.

use std::process::ExitCode;

use super::error::Error;
use crate::{
    backup::{self, Grade, Health, Verdict},
    engine::Stopped,
    engine::event::Summary,
    system::{Refused, state::Locked},
};

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    Changed,
    Refused,
    DetailedFailed,
    ChangedAndFailed,
    Locked,
    LockBudget,
    Snapshot,
    Target,
    Stale,
    Corrupt,
    Usage,
    Role,
    Signal,
}

impl Exit {
    /// All of them, by their number.
    pub(super) const ALL: [Self; 15] = [
        Self::Done,
        Self::Failed,
        Self::Changed,
        Self::Refused,
        Self::DetailedFailed,
        Self::ChangedAndFailed,
        Self::Locked,
        Self::LockBudget,
        Self::Snapshot,
        Self::Target,
        Self::Stale,
        Self::Corrupt,
        Self::Usage,
        Self::Role,
        Self::Signal,
    ];

    /// The number and what it means.
    const fn row(self) -> (u8, &'static str) {
        match self {
            Self::Done => (0, "done"),
            Self::Failed => (1, "something failed"),
            Self::Changed => (2, "--detailed-exitcode: there are changes, or were"),
            Self::Refused => (3, "refused, to protect data"),
            Self::DetailedFailed => (4, "--detailed-exitcode: something failed, and there are no changes"),
            Self::ChangedAndFailed => (
                6,
                "--detailed-exitcode: something failed, and there are changes, or were",
            ),
            Self::Locked => (11, "another run holds the lock"),
            Self::LockBudget => (12, "backup: the database's lock was not had within its budget"),
            Self::Snapshot => (13, "backup: the snapshot cannot be trusted"),
            Self::Target => (14, "backup: the target is not mounted, too small, or failed"),
            Self::Stale => (15, "backup status, verify: no backup is young enough"),
            Self::Corrupt => (16, "backup status, verify: a backup is damaged"),
            Self::Usage => (64, "the command line is wrong"),
            Self::Role => (65, "a role, or a value for it, is wrong"),
            Self::Signal => (130, "stopped by a signal"),
        }
    }

    /// The number.
    pub(super) const fn code(self) -> u8 {
        self.row().0
    }

    /// What it means.
    pub(super) const fn meaning(self) -> &'static str {
        self.row().1
    }

    /// Of another glrl's exit status.
    pub(super) fn of_code(code: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|exit| exit.code() == code)
            .unwrap_or(Self::Failed)
    }

    /// Of an error.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Usage { .. } => Self::Usage,
            Error::Role { .. } => Self::Role,
            Error::Backup(error) => Self::of_backup(error.kind),
            Error::Other(error) if error.is::<Refused>() => Self::Refused,
            Error::Other(error) if error.is::<Locked>() => Self::Locked,
            Error::Other(error) if error.is::<Stopped>() => Self::Signal,
            Error::Other(_) => Self::Failed,
        }
    }

    fn of_backup(kind: backup::Kind) -> Self {
        match kind {
            backup::Kind::Failed => Self::Failed,
            backup::Kind::Refused => Self::Refused,
            backup::Kind::Settings => Self::Role,
            backup::Kind::Busy => Self::Locked,
            backup::Kind::LockBudget => Self::LockBudget,
            backup::Kind::Snapshot => Self::Snapshot,
            backup::Kind::Target => Self::Target,
            backup::Kind::Stale => Self::Stale,
            backup::Kind::Corrupt => Self::Corrupt,
            backup::Kind::Interrupted => Self::Signal,
        }
    }

    /// Of a verification.
    pub(super) fn of_verdict(verdict: &Verdict) -> Self {
        match verdict.verdict {
            Grade::Ok => Self::Done,
            Grade::Unverified => Self::Failed,
            Grade::Stale => Self::Stale,
            Grade::Corrupt => Self::Corrupt,
        }
    }

    /// Of a look at the backups.
    pub(super) fn of_health(health: Health) -> Self {
        match health {
            Health::Ok => Self::Done,
            Health::Failed => Self::Failed,
            Health::Stale => Self::Stale,
            Health::Corrupt => Self::Corrupt,
            Health::Target => Self::Target,
        }
    }

    /// Of a plan. What will only be known later may change too.
    pub(super) fn of_plan(summary: &Summary, detailed: bool) -> Self {
        Self::of_run(summary, summary.changed + summary.unknown > 0, detailed)
    }

    /// Of a converge. What failed half-way has changed too.
    pub(super) fn of_converge(summary: &Summary, detailed: bool) -> Self {
        Self::of_run(summary, summary.changed + summary.partly > 0, detailed)
    }

    fn of_run(summary: &Summary, changes: bool, detailed: bool) -> Self {
        match (summary.failed > 0, changes) {
            _ if summary.refused > 0 => Self::Refused,
            (true, _) if !detailed => Self::Failed,
            (true, true) => Self::ChangedAndFailed,
            (true, false) => Self::DetailedFailed,
            (false, true) if detailed => Self::Changed,
            (false, _) => Self::Done,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(Exit::ALL.is_sorted_by_key(|exit| exit.code()));
        assert!(Exit::ALL.windows(2).all(|pair| pair[0].code() != pair[1].code()));
    }

    #[test]
    fn the_worst_counts() {
        let summary = |[changed, unknown, partly, failed, refused]: [usize; 5]| Summary {
            changed,
            unknown,
            failed,
            refused,
            partly,
            ..Summary::default()
        };
        for (counts, plan, converge) in [
            ([0, 0, 0, 0, 0], (0, 0), (0, 0)),
            ([1, 0, 0, 0, 0], (0, 2), (0, 2)),
            ([0, 1, 0, 0, 0], (0, 2), (0, 0)),
            ([0, 0, 0, 1, 0], (1, 4), (1, 4)),
            ([0, 1, 0, 1, 0], (1, 6), (1, 4)),
            ([0, 0, 1, 1, 0], (1, 4), (1, 6)),
            ([1, 0, 0, 1, 0], (1, 6), (1, 6)),
            ([1, 0, 0, 1, 1], (3, 3), (3, 3)),
        ] {
            let summary = summary(counts);
            let of = |f: fn(&Summary, bool) -> Exit| (f(&summary, false).code(), f(&summary, true).code());
            assert_eq!(
                (of(Exit::of_plan), of(Exit::of_converge)),
                (plan, converge),
                "{summary:?}"
            );
        }
    }
}
