//! A resource as a role declares it: the thing itself and what every kind can say about its place in a run.

use std::time::Duration;

use anyhow::Result;

use crate::{
    resource::{Action, Plan, Resource},
    source::Place,
    system::{Contents, Effect, Op, Probe, Reading, Refused},
    value::Id,
};

/// A declared resource.
#[derive(Debug)]
pub struct Declaration {
    /// `kind:name`, or the `id` that the role gives it.
    pub id: Id,
    /// The resource.
    pub resource: Box<dyn Resource>,
    /// Where it is declared.
    pub place: Place,
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
    /// Whether nothing may remove or reformat it.
    pub protect: bool,
}

impl Declaration {
    /// What has to be done. A plan that would remove or reformat what is protected is refused.
    pub fn plan(&self, node: &dyn Probe, notified: bool) -> Result<Reading<Plan>> {
        let answer = self.resource.plan(node, notified)?;
        if let Reading::Known(plan) = &answer {
            plan.ops.iter().try_for_each(|op| node.admits(op))?;
        }
        match &answer {
            Reading::Known(plan) if self.protect && destroys(plan) => Err(Refused::because(
                format!("{} is protected, and is neither removed nor reformatted", self.id),
                "leave out what destroys it; or, if it may really go, `protect`",
            )),
            _ => Ok(answer),
        }
    }
}

/// Whether a plan removes its resource, or erases what is on a device.
fn destroys(plan: &Plan) -> bool {
    let erases = |effect: &Effect| matches!(effect, Effect::Contents(_, Contents::Empty));
    plan.action == Action::Remove
        || plan
            .ops
            .iter()
            .any(|op| matches!(op, Op::Run(command) if command.makes.iter().any(erases)))
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
