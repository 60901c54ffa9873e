//! Notifications that are pending. They are on disk before the change that causes them is made, so that neither a failure nor SIGKILL
//! loses one: the next run delivers it. One whose change was not made is taken back.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{resource::Plan, system::state::StateDir, value::Id};

const FILE: &str = "pending.json";

/// The pending notifications: who is to get one, from whom, and for what.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Pending(BTreeMap<Id, Causes>);

/// The resources that owe it, each with the work that it had before it: as long as that is still to be done, nothing has happened.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Recorded")]
struct Causes(BTreeMap<Id, Work>);

/// Causes as a state directory may have them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Causes(BTreeMap<Id, Work>),
    /// Of glrl 0.1, which did not record the work.
    Ids(Vec<Id>),
}

impl From<Recorded> for Causes {
    fn from(recorded: Recorded) -> Self {
        match recorded {
            Recorded::Causes(causes) => Self(causes),
            Recorded::Ids(ids) => Self(ids.into_iter().map(|id| (id, Work(0))).collect()),
        }
    }
}

/// What a plan found in the way of what is declared, told apart from other plans' finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Work(u64);

impl Work {
    /// Of a plan it is the values that it replaces: they stay the same until something is done, also where the role now says otherwise.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut hasher = DefaultHasher::new();
        for change in &plan.changes {
            hasher.write(format!("{}={:?}\n", change.property, change.before).as_bytes());
        }
        Self(hasher.finish())
    }
}

impl Pending {
    /// What earlier runs left.
    pub(super) fn load(state: &StateDir) -> Result<Self> {
        match state.read(FILE)? {
            Some(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{FILE} in the state directory cannot be read: remove it to forget what is pending")
            }),
            None => Ok(Self::default()),
        }
    }

    /// Whether this one is.
    pub(super) fn is_owed(&self, id: &Id) -> bool {
        self.0.contains_key(id)
    }

    /// Returns whether this resource has sent one that is pending.
    pub(super) fn has_from(&self, by: &Id) -> bool {
        self.0.values().any(|causes| causes.0.contains_key(by))
    }

    /// Notes, durably, that `by` is about to do this work and that these will have to be told. Returns those that it did not owe before.
    pub(super) fn record(&mut self, state: &StateDir, by: &Id, targets: &[&Id], work: Work) -> Result<Vec<Id>> {
        let mut news = Vec::new();
        for &target in targets {
            let causes = &mut self.0.entry(target.clone()).or_default().0;
            if !causes.contains_key(by) {
                causes.insert(by.clone(), work);
                news.push(target.clone());
            }
        }
        if !news.is_empty()
            && let Err(error) = self.save(state)
        {
            self.forget(by, |target, _| news.contains(target));
            return Err(error.context("noting who is to be notified, without which nothing is changed"));
        }
        Ok(news)
    }

    /// Takes back what `by` has sent to these: nothing has changed.
    pub(super) fn take_back(&mut self, state: &StateDir, by: &Id, targets: &[Id]) -> Result<()> {
        if self.forget(by, |target, _| targets.contains(target)) {
            self.save(state)?;
        }
        Ok(())
    }

    /// Takes back what a run before this one noted for the work that `by` still has before it: that run did not come to do it.
    pub(super) fn reconsider(&mut self, state: &StateDir, by: &Id, work: Work) -> Result<()> {
        if self.forget(by, |_, recorded| recorded == work) {
            self.save(state)?;
        }
        Ok(())
    }

    /// Notes, durably, that this one has been told.
    pub(super) fn clear(&mut self, state: &StateDir, id: &Id) -> Result<()> {
        if self.0.remove(id).is_some() {
            self.save(state)
        } else {
            Ok(())
        }
    }

    /// Drops what `by` has sent to these. Returns whether there was any.
    fn forget(&mut self, by: &Id, is: impl Fn(&Id, Work) -> bool) -> bool {
        let mut any = false;
        self.0.retain(|target, causes| {
            if causes.0.get(by).is_some_and(|work| is(target, *work)) {
                causes.0.remove(by);
                any = true;
            }
            !causes.0.is_empty()
        });
        any
    }

    fn save(&self, state: &StateDir) -> Result<()> {
        state.write(FILE, &serde_json::to_vec_pretty(self)?)
    }
}
