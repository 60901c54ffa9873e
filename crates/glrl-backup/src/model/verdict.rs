//! The verdict: one word, and what led to it.

use std::time::Duration;

use glrl_node::system::clock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{error::Kind, id::BackupId, milliseconds};

/// The one word, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// It restores: every check that applies has passed.
    Ok,
    /// Nobody knows: something kept the checks from being made.
    Unverified,
    /// The newest backup is too old.
    Stale,
    /// It does not restore, or not to what it was.
    Corrupt,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Passed.
    Ok,
    /// Passed, and something should be known.
    Warning,
    /// Failed.
    Failed,
    /// It does not apply.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The word that the verdict cannot be better than.
    pub word: Grade,
    /// What was found.
    pub detail: String,
}

impl Check {
    pub(crate) fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, Grade::Ok, detail)
    }

    /// Something to be known that does not keep a backup from being good.
    pub(crate) fn warning(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warning, Grade::Ok, detail)
    }

    pub(crate) fn skipped(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, Grade::Ok, detail)
    }

    pub(crate) fn failed(name: &str, word: Grade, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Failed, word, detail)
    }

    fn new(name: &str, outcome: Outcome, word: Grade, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            outcome,
            word,
            detail: detail.into(),
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The one word: the worst of all checks.
    pub verdict: Grade,
    /// The backup; `None` where there is none.
    pub id: Option<BackupId>,
    /// The BLAKE3 hash of its archive, as its manifest has it: a verdict is on these bytes and on no others.
    #[serde(default)]
    pub archive: Option<String>,
    /// When the verification began.
    pub at: Timestamp,
    /// How long it took.
    #[serde(rename = "took_ms", with = "milliseconds")]
    pub took: Duration,
    /// The node it ran on.
    pub host: String,
    /// Whether that is the node that the backup was made on, which shares its fate.
    #[serde(default)]
    pub on_database_node: bool,
    /// What was checked, in order.
    pub checks: Vec<Check>,
}

impl Verdict {
    pub(crate) fn new() -> Self {
        Self {
            verdict: Grade::Ok,
            id: None,
            archive: None,
            at: clock::now(),
            took: Duration::ZERO,
            host: nix::unistd::gethostname()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            on_database_node: false,
            checks: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, check: Check) {
        self.verdict = self.verdict.max(check.word);
        self.checks.push(check);
    }

    /// Whether the backup restores: that it is old does not keep it from that.
    pub fn restores(&self) -> bool {
        let passes = |check: &Check| matches!(check.word, Grade::Ok | Grade::Stale);
        self.archive.is_some() && !self.checks.is_empty() && self.checks.iter().all(passes)
    }

    /// What failed, on one line.
    pub fn why(&self) -> Option<String> {
        self.said(Outcome::Failed)
    }

    /// What should be known although nothing failed by it, on one line.
    pub fn warnings(&self) -> Option<String> {
        self.said(Outcome::Warning)
    }

    fn said(&self, outcome: Outcome) -> Option<String> {
        let checks = self.checks.iter().filter(|check| check.outcome == outcome);
        let said: Vec<_> = checks
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Whether the one word is what the checks say.
    pub(crate) fn is_consistent(&self) -> bool {
        self.checks.iter().map(|check| check.word).max() == Some(self.verdict)
    }

    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self.verdict {
            Grade::Ok => 0,
            Grade::Unverified => Kind::Failed.exit_code(),
            Grade::Stale => Kind::Stale.exit_code(),
            Grade::Corrupt => Kind::Corrupt.exit_code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_as_it_was_written() {
        let mut verdict = Verdict::new();
        verdict.took = Duration::from_micros(61_500_250);
        let written = serde_json::to_value(&verdict).unwrap();
        assert_eq!(written["took_ms"], 61500.25);
        assert_eq!(serde_json::from_value::<Verdict>(written).unwrap(), verdict);
    }

    #[test]
    fn the_worst_check_is_the_verdict() {
        let mut verdict = Verdict::new();
        verdict.add(Check::ok("a", ""));
        assert_eq!((verdict.verdict, verdict.exit_code()), (Grade::Ok, 0));
        verdict.add(Check::failed("b", Grade::Unverified, ""));
        assert_eq!(verdict.exit_code(), 1);
        verdict.add(Check::failed("c", Grade::Stale, ""));
        assert_eq!(verdict.exit_code(), 15);
        verdict.add(Check::failed("d", Grade::Corrupt, ""));
        verdict.add(Check::ok("e", ""));
        assert_eq!((verdict.verdict, verdict.exit_code()), (Grade::Corrupt, 16));
    }
}
