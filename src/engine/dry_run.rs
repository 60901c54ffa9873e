//! The dry run: every resource planned on the node as the plans before it leave it.

use std::time::Instant;

use anyhow::Result;

use super::{Run, RunState, Stopped, hypothetical, ledger, schedule::Schedule};
use crate::{
    engine::event::{self, Event, Outcome, Summary},
    graph::Declaration,
    resource::Plan,
    system::{
        Effect, Op, Probe, Reading, Refused,
        overlay::{Ancestry, Overlay},
    },
    value::Id,
};

/// What planning found for one resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Predicted {
    /// This, exactly; empty if it is as declared.
    Plan(Plan),
    /// It cannot be known yet, or cannot be done as things are.
    Open,
}

impl Predicted {
    /// The operations that are known already.
    pub(super) fn ops(&self) -> &[Op] {
        match self {
            Self::Plan(plan) => &plan.ops,
            Self::Open => &[],
        }
    }
}

/// Plans the whole graph and changes nothing.
pub fn plan(run: &Run, node: &dyn Probe, run_state: &RunState, sink: &mut dyn FnMut(Event)) -> Result<Summary> {
    let started = Instant::now();
    sink(run.started("plan"));
    let mut summary = Summary::default();
    let result = predict(run, node, run_state, &mut |event| {
        if let Event::Planned { outcome, .. } = &event {
            summary.count(outcome);
        }
        sink(event);
    });
    let result = result.map(|prediction| {
        prediction.remarks.into_iter().for_each(&mut *sink);
        for (id, entry) in run_state.ledger.orphans(run.graph, &run.names) {
            sink(Event::Orphan {
                id: id.clone(),
                role: entry.role.clone(),
            });
        }
    });
    sink(Event::RunFinished {
        summary,
        stopped: stopped(&result),
        milliseconds: super::apply::milliseconds(started),
    });
    result.map(|()| summary)
}

/// Why a run ended early, if it did.
pub(super) fn stopped<T>(result: &Result<T>) -> Option<String> {
    result.as_ref().err().map(|error| format!("{error:#}"))
}

/// What planning predicts.
pub(super) struct Prediction {
    /// For each resource, by its index.
    pub(super) plans: Vec<Predicted>,
    /// What resources say of the node as the run will leave it.
    remarks: Vec<Event>,
}

/// Plans the whole graph.
pub(super) fn predict(
    run: &Run,
    node: &dyn Probe,
    run_state: &RunState,
    sink: &mut dyn FnMut(Event),
) -> Result<Prediction> {
    let overlay = Overlay::new(node);
    let held = run_state.ledger.with(run.graph);
    let mut predicted = vec![Predicted::Open; run.graph.len()];
    let mut ancestries = vec![Ancestry::default(); run.graph.len()];
    let mut told: Vec<Told> = vec![Told::Nothing; run.graph.len()];
    let mut settled = Vec::new();
    let mut schedule = Schedule::new(run.graph);
    while let Some(turn) = schedule.next() {
        if (run.stop)() {
            return Err(Stopped.into());
        }
        let index = turn.index;
        let declaration = run.graph.get(index);
        let id = &declaration.id;
        let mut ancestry = Ancestry::default();
        for (before, _) in run.graph.before(index) {
            ancestry.join(&ancestries[before]);
        }
        let mut warnings = Vec::new();
        let outcome = if let Some(because) = &declaration.skipped {
            Outcome::Skipped {
                because: because.clone(),
                cause: None,
            }
        } else if let Some(cause) = turn.blocked_by {
            Outcome::Skipped {
                because: format!("needs {cause}"),
                cause: Some(cause.clone()),
            }
        } else {
            warnings.extend(run_state.ledger.lifts(declaration).then(ledger::lifted));
            let notified = run_state.pending.is_owed(id) || matches!(told[index], Told::Changed);
            let answer = held.plan(declaration, &overlay.view(&ancestry), notified);
            match answer {
                Ok(Reading::Known(plan)) => {
                    warnings.extend_from_slice(&plan.warnings);
                    match plan.ops.iter().try_for_each(|op| overlay.apply(id, op)) {
                        Ok(()) => {
                            let outcome = known(&plan, &told[index]);
                            mark(&mut ancestry, id, &plan);
                            if !matches!(outcome, Outcome::Unknown { .. }) {
                                predicted[index] = Predicted::Plan(plan);
                            }
                            outcome
                        }
                        // What it would do cannot be predicted: its own failure, and no other's.
                        Err(error) => {
                            schedule.failed(index);
                            failure(&error)
                        }
                    }
                }
                Ok(Reading::Unknown { after }) => {
                    let wants = hypothetical::wants(&*declaration.resource, &overlay);
                    overlay.mark_unknown(id, &declaration.resource.provides())?;
                    ancestry.changes = Some(id.clone());
                    Outcome::Unknown { after, wants }
                }
                Err(error) => {
                    schedule.failed(index);
                    failure(&error)
                }
            }
        };
        match &outcome {
            Outcome::Changed { .. } => run
                .graph
                .notified_by(index)
                .for_each(|target| told[target] = Told::Changed),
            Outcome::Unknown { .. } => {
                for target in run.graph.notified_by(index) {
                    if told[target] == Told::Nothing {
                        told[target] = Told::Perhaps(id.clone());
                    }
                }
            }
            _ => {}
        }
        ancestries[index] = ancestry;
        if matches!(outcome, Outcome::Unchanged | Outcome::Changed { .. }) {
            settled.push(index);
        }
        sink(Event::Planned {
            id: id.clone(),
            place: run.place(index),
            outcome,
            warnings,
        });
    }
    let mut remarks = Vec::new();
    for index in settled {
        remarks.extend(final_warnings(run.graph.get(index), &overlay.view(&ancestries[index]))?);
    }
    Ok(Prediction {
        plans: predicted,
        remarks,
    })
}

/// What a resource says of a node at the end.
pub(super) fn final_warnings(declaration: &Declaration, node: &dyn Probe) -> Result<Vec<Event>> {
    Ok(match declaration.resource.final_warnings(node)? {
        Reading::Known(messages) => messages
            .into_iter()
            .map(|message| Event::Warning {
                id: declaration.id.clone(),
                message,
            })
            .collect(),
        Reading::Unknown { .. } => Vec::new(),
    })
}

/// Whether a resource is told that something it watches changes.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Nothing,
    /// By a resource of which nobody knows yet whether it changes.
    Perhaps(Id),
    Changed,
}

/// The outcome of a plan that is known; a resource that would only act on a notification that may or may not come is unknown.
fn known(plan: &Plan, told: &Told) -> Outcome {
    match told {
        Told::Perhaps(after) if plan.is_empty() => Outcome::Unknown {
            after: after.clone(),
            wants: Vec::new(),
        },
        _ if plan.is_empty() => Outcome::Unchanged,
        _ => Outcome::Changed {
            action: plan.action,
            changes: plan.changes.clone(),
            operations: plan.ops.iter().map(Op::to_string).collect(),
        },
    }
}

/// Notes what a resource's plan makes unknown for those that need it.
fn mark(ancestry: &mut Ancestry, id: &Id, plan: &Plan) {
    if plan.is_empty() {
        return;
    }
    ancestry.changes = Some(id.clone());
    for op in &plan.ops {
        match op {
            Op::Install { .. } => ancestry.installs = Some(id.clone()),
            Op::Uninstall { .. } => ancestry.anything = Some(id.clone()),
            Op::Run(command) if command.makes.contains(&Effect::Anything) => ancestry.anything = Some(id.clone()),
            _ => {}
        }
    }
}

/// An error as an outcome: a refusal if it protects data.
pub(super) fn failure(error: &anyhow::Error) -> Outcome {
    match error.downcast_ref::<Refused>() {
        Some(refused) => Outcome::Refused {
            error: refused.what.clone(),
            hint: refused.hint.clone(),
        },
        None => Outcome::Failed {
            error: format!("{error:#}"),
        },
    }
}

impl Run<'_> {
    pub(super) fn started(&self, command: &'static str) -> Event {
        Event::RunStarted {
            format: event::VERSION,
            run: self.name.clone(),
            command,
            glrl: env!("CARGO_PKG_VERSION"),
            host: self.host.clone(),
            roles: self.roles.clone(),
            resources: self.graph.len(),
            at: crate::system::clock::stamp(crate::system::clock::now()),
        }
    }
}
