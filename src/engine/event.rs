//! The event stream: versioned, serialised as one JSON object a line, also the journal of a run.

use serde::Serialize;

use crate::{
    resource::{Action, Change},
    value::Id,
};

/// The version of the stream's format, in `RunStarted`. Fields are added without a new one; it grows when one changes or goes.
pub const VERSION: u32 = 1;

/// Something that happened, or, while planning, would.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// Version of this format.
        format: u32,
        /// Names the run's record below the state directory.
        run: String,
        /// `plan` or `converge`.
        command: &'static str,
        /// glrl's version.
        glrl: &'static str,
        /// The node's name.
        host: String,
        /// The roles, in order.
        roles: Vec<String>,
        /// How many resources there are.
        resources: usize,
        /// RFC 3339.
        at: String,
    },
    /// What planning found for one resource. A converge plans the whole node first, so it has these too.
    Planned {
        /// The resource.
        id: Id,
        /// `roles/mysql.yml:12:5`.
        place: String,
        /// What would happen to it.
        #[serde(flatten)]
        outcome: Outcome,
        /// What the operator should know.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// What the operator should know of the node as the run will leave it, or has left it.
    Warning {
        /// The resource that says it.
        id: Id,
        /// What.
        message: String,
    },
    /// Only planned: an earlier run made this resource, which is protected, and its role declares it no longer.
    Orphan {
        /// The resource, by its kind and its name.
        id: Id,
        /// The role.
        role: String,
    },
    /// A resource's operations begin.
    Applying {
        /// The resource.
        id: Id,
        /// What is being done.
        action: Action,
    },
    /// What became of one resource.
    Applied {
        /// The resource.
        id: Id,
        /// `roles/mysql.yml:12:5`.
        place: String,
        /// What happened to it.
        #[serde(flatten)]
        outcome: Outcome,
        /// What the operator should know.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// How long it took.
        milliseconds: u64,
    },
    /// What was known in the plan turned out otherwise: the node has moved meanwhile.
    Drift {
        /// The resource.
        id: Id,
        /// What the plan said, and what is so now.
        message: String,
    },
    /// Waiting for something outside: a lock, a retry, a server.
    Waiting {
        /// The resource, if it is one that waits.
        id: Option<Id>,
        /// For what, and for how long at most.
        message: String,
    },
    /// The run is over.
    RunFinished {
        /// Counts.
        #[serde(flatten)]
        summary: Summary,
        /// Why it ended before all resources had their turn, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped: Option<String>,
        /// How long it took.
        milliseconds: u64,
    },
}

/// What happens, or happened, to a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is as declared.
    Unchanged,
    /// It changes.
    Changed {
        /// How, in one word.
        action: Action,
        /// Property by property.
        changes: Vec<Change>,
        /// Only planned: what would be done, a line each.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        operations: Vec<String>,
    },
    /// Only planned: it cannot be known before `after` is applied.
    Unknown {
        /// The resource that decides it.
        after: Id,
        /// What it wants: what it would change on a node where nothing of it is there yet and nothing stands in its way.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        wants: Vec<Change>,
    },
    /// It is left out.
    Skipped {
        /// Why: its `when`, a resource it needs that failed.
        because: String,
        /// The resource that failed, where that is why. Without one it is left out as the role or the user says.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<Id>,
    },
    /// It failed.
    Failed {
        /// What happened, the chain of causes.
        error: String,
    },
    /// Going on could destroy data.
    Refused {
        /// What was found.
        error: String,
        /// What the operator can do.
        hint: String,
    },
}

/// The counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Resources as declared.
    pub unchanged: usize,
    /// Resources that change or changed.
    pub changed: usize,
    /// Resources that could not be known.
    pub unknown: usize,
    /// Resources left out.
    pub skipped: usize,
    /// Resources that failed.
    pub failed: usize,
    /// Resources refused.
    pub refused: usize,
    /// Those among the failed and refused of which something was carried out before.
    #[serde(skip_serializing_if = "is_zero")]
    pub partly: usize,
}

impl Summary {
    /// All resources that had their turn.
    pub fn total(&self) -> usize {
        self.unchanged + self.changed + self.unknown + self.skipped + self.failed + self.refused
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde has it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Summary {
    /// Adds one more outcome to the counts.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Changed { .. } => self.changed += 1,
            Outcome::Unknown { .. } => self.unknown += 1,
            Outcome::Skipped { .. } => self.skipped += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Refused { .. } => self.refused += 1,
        }
    }
}
