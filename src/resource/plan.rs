//! What a provider answers: changes to show, operations to execute.

use std::fmt;

use serde::Serialize;

use crate::{
    system::Op,
    value::secret::{redact, redact_former},
};

/// What has to happen to one resource. Empty operations mean: as declared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What is done, in one word.
    pub action: Action,
    /// What will be different, property by property.
    pub changes: Vec<Change>,
    /// How.
    pub ops: Vec<Op>,
    /// What the operator should know, whether or not anything changes: an unlisted physical volume, a smaller size than there is.
    pub warnings: Vec<String>,
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    #[default]
    None,
    /// It is not there, and is made.
    Create,
    /// It is there, and is made as declared.
    Update,
    /// It is there, and goes.
    Remove,
    /// A program is run.
    Run,
    /// A unit is restarted because something it depends on has changed.
    Restart,
    /// A unit is reloaded for the same reason.
    Reload,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Run => "run",
            Self::Restart => "restart",
            Self::Reload => "reload",
        })
    }
}

/// A property before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which: `mode`, `contents`, `size`.
    pub property: String,
    /// As it is.
    pub before: Shown,
    /// As it will be.
    pub after: Shown,
    /// It follows from the time of the reading: what was planned is not another plan because of it.
    #[serde(skip)]
    pub passing: bool,
}

/// A value in a change, as people see it: secrets are gone from the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// There is none.
    Absent,
    /// A short value, shown as `before -> after`.
    Value(String),
    /// A text of lines, shown as a unified diff.
    Text(String),
    /// Bytes that are no text: their number.
    Binary(usize),
}

impl Shown {
    /// A file's contents: text if it is UTF-8 without control bytes.
    pub fn contents(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self::Text(redact(text).into_owned()),
            _ => Self::Binary(bytes.len()),
        }
    }
}

impl Shown {
    /// Without what a secret in `after` replaces.
    fn giving_way_to(self, after: &Self) -> Self {
        match (self, after) {
            (Self::Text(before), Self::Text(after)) => Self::Text(redact_former(&before, after).into_owned()),
            (Self::Value(before), Self::Value(after)) => Self::Value(redact_former(&before, after).into_owned()),
            (other, _) => other,
        }
    }
}

impl<T: ToString> From<T> for Shown {
    fn from(value: T) -> Self {
        Self::Value(redact(&value.to_string()).into_owned())
    }
}

impl Change {
    /// A property that differs.
    pub fn of(property: impl Into<String>, before: impl Into<Shown>, after: impl Into<Shown>) -> Self {
        let after = after.into();
        Self {
            property: property.into(),
            before: before.into().giving_way_to(&after),
            after,
            passing: false,
        }
    }

    /// A property that is shown, and follows from the time.
    pub fn passing(property: impl Into<String>, after: impl Into<Shown>) -> Self {
        Self {
            passing: true,
            ..Self::new(property, after)
        }
    }

    /// A property of something new.
    pub fn new(property: impl Into<String>, after: impl Into<Shown>) -> Self {
        Self {
            property: property.into(),
            before: Shown::Absent,
            after: after.into(),
            passing: false,
        }
    }

    /// A property that goes.
    pub fn gone(property: impl Into<String>, before: impl Into<Shown>) -> Self {
        Self {
            property: property.into(),
            before: before.into(),
            after: Shown::Absent,
            passing: false,
        }
    }
}

impl Plan {
    /// As declared: nothing to do.
    pub fn none() -> Self {
        Self::default()
    }

    /// A plan for this action, to be filled.
    pub fn to(action: Action) -> Self {
        Self {
            action,
            ..Self::default()
        }
    }

    /// With a change to show.
    #[must_use]
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// With an operation to execute.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// With something the operator should know.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}
