//! A resource as a role declares it: the thing itself and what every kind can say about its place in a run.

use std::{sync::Arc, time::Duration};

use crate::{resource::Resource, source::Place, value::Id};

/// A declared resource.
#[derive(Debug)]
pub struct Declaration {
    /// `kind:name`, or the `id` that the role gives it.
    pub id: Id,
    /// The resource.
    pub resource: Box<dyn Resource>,
    /// Where it is declared.
    pub place: Place,
    /// The role asked for that declares it, itself or by a role that it includes.
    pub role: Arc<str>,
    /// Why it is left out: its `when` is false. References to it stay valid.
    pub skipped: Option<String>,
    /// Resources that come before it.
    pub needs: Vec<Reference>,
    /// Resources that come after it.
    pub before: Vec<Reference>,
    /// Resources that are told when it changes.
    pub notify: Vec<Reference>,
    /// How often its operations are tried.
    pub retry: Retry,
    /// How long one of its programs may take, where the role says so.
    pub timeout: Option<Duration>,
    /// Whether nothing may remove or reformat it. Where nothing is said, what an earlier run recorded holds.
    pub protect: Option<bool>,
}

/// A resource named by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Which.
    pub id: Id,
    /// Where it is named.
    pub place: Place,
}

/// `retry: {times, delay}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// Pause between two.
    pub delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            times: 0,
            delay: Duration::from_secs(5),
        }
    }
}
