//! Converging: the whole is planned, then each resource is planned again just before its turn, executed, and planned once more.

use std::time::Instant;

use anyhow::Result;

use super::{
    Run, RunState, Stopped, apply,
    dry_run::{Predicted, Prediction, failure, final_warnings, predict, stopped},
    journal::Journal,
    ledger::{self, Ledger},
    pending::Work,
    schedule::Schedule,
    temporaries::Temporaries,
};
use crate::{
    engine::event::{Event, Outcome, Summary},
    graph::Declaration,
    resource::Plan,
    system::{Bytes, Op, System, state::StateDir},
    value::Id,
};

/// Makes the node as declared. The caller holds the run lock.
pub fn converge(run: &Run, node: &dyn System, state: &StateDir, sink: &mut dyn FnMut(Event)) -> Result<Summary> {
    let started = Instant::now();
    let mut journal = Journal::begin(state, &run.name);
    let mut sink = |event: Event| {
        journal.record(&event);
        sink(event);
    };
    sink(run.started("converge"));
    let mut summary = Summary::default();
    let mut temporaries = Temporaries::reclaim(state, node);
    let result = take_turns(run, node, state, &mut temporaries, &mut summary, &mut sink);
    temporaries.done();
    sink(Event::RunFinished {
        summary,
        stopped: stopped(&result),
        milliseconds: apply::milliseconds(started),
    });
    result.map(|()| summary)
}

/// Plans the whole, and gives each resource its turn.
fn take_turns(
    run: &Run,
    node: &dyn System,
    state: &StateDir,
    temporaries: &mut Temporaries,
    summary: &mut Summary,
    sink: &mut dyn FnMut(Event),
) -> Result<()> {
    let mut run_state = RunState::load(state)?;
    let Prediction { plans: predicted, .. } = predict(run, node, &run_state, sink)?;
    let held = run_state.ledger.with(run.graph);
    let mut settled = Vec::new();
    temporaries.expect(predicted.iter().flat_map(Predicted::ops));

    // Until something has been executed the node is as it was a moment ago, and what was found as declared is not looked at twice.
    let mut executed = false;
    let mut schedule = Schedule::new(run.graph);
    while let Some(turn) = schedule.next() {
        if (run.stop)() {
            return Err(Stopped.into());
        }
        let began = Instant::now();
        let declaration = run.graph.get(turn.index);
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
            let mut turn_of = TurnOf {
                run,
                node,
                state,
                held: &held,
                run_state: &mut run_state,
                temporaries,
                sink,
                warnings: &mut warnings,
                touched: false,
            };
            let result = match &predicted[turn.index] {
                Predicted::Plan(plan)
                    if plan.is_empty() && !executed && !turn_of.run_state.pending.is_owed(&declaration.id) =>
                {
                    turn_of.keep(declaration, plan)
                }
                predicted => {
                    executed = true;
                    let targets = run
                        .graph
                        .notified_by(turn.index)
                        .map(|target| &run.graph.get(target).id);
                    turn_of.take(declaration, predicted, targets.collect())
                }
            };
            match result {
                Ok(outcome) => outcome,
                Err(error) if error.is::<Stopped>() => return Err(error),
                Err(error) => {
                    summary.partly += usize::from(turn_of.touched);
                    schedule.failed(turn.index);
                    failure(&error)
                }
            }
        };
        summary.count(&outcome);
        if matches!(outcome, Outcome::Unchanged | Outcome::Changed { .. }) {
            settled.push(declaration);
        }
        sink(Event::Applied {
            id: declaration.id.clone(),
            place: run.place(turn.index),
            outcome,
            warnings,
            milliseconds: apply::milliseconds(began),
        });
    }
    for declaration in settled {
        final_warnings(declaration, node)?.into_iter().for_each(&mut *sink);
    }
    Ok(())
}

/// What a turn works with.
struct TurnOf<'a, 's> {
    run: &'a Run<'a>,
    node: &'a dyn System,
    state: &'a StateDir,
    /// What must not be destroyed.
    held: &'a Ledger,
    run_state: &'a mut RunState,
    temporaries: &'a mut Temporaries<'s>,
    sink: &'a mut dyn FnMut(Event),
    warnings: &'a mut Vec<String>,
    /// Whether something was carried out.
    touched: bool,
}

impl TurnOf<'_, '_> {
    /// Writes down that the resource is protected, or is so no longer.
    fn record(&mut self, declaration: &Declaration) -> Result<()> {
        self.warnings
            .extend(self.run_state.ledger.lifts(declaration).then(ledger::lifted));
        self.run_state.ledger.record(self.state, declaration, self.node)
    }

    /// The turn of a resource that was found as declared a moment ago.
    fn keep(&mut self, declaration: &Declaration, plan: &Plan) -> Result<Outcome> {
        self.record(declaration)?;
        self.warnings.extend_from_slice(&plan.warnings);
        Ok(Outcome::Unchanged)
    }

    fn take(&mut self, declaration: &Declaration, predicted: &Predicted, targets: Vec<&Id>) -> Result<Outcome> {
        let id = &declaration.id;
        let notified = self.run_state.pending.is_owed(id);
        if declaration.protect == Some(false) {
            // Also where the thing itself is gone, and nothing can be planned for it.
            self.record(declaration)?;
        }
        let mut plan = apply::plan_now(self.node, self.held, declaration, notified)?;
        self.warnings.append(&mut plan.warnings);
        if !plan.is_empty() && self.run_state.pending.has_from(id) {
            self.run_state.pending.reconsider(self.state, id, Work::of(&plan))?;
        }
        if let Some(message) = drift(predicted, &plan) {
            (self.sink)(Event::Drift {
                id: id.clone(),
                message,
            });
        }
        if plan.is_empty() {
            self.record(declaration)?;
            self.told(id);
            return Ok(Outcome::Unchanged);
        }
        (self.sink)(Event::Applying {
            id: id.clone(),
            action: plan.action,
        });
        self.record(declaration)?;
        let news = if targets.is_empty() {
            Vec::new()
        } else {
            self.run_state
                .pending
                .record(self.state, id, &targets, Work::of(&plan))?
        };
        self.temporaries.expect(plan.ops.iter());
        let execution = apply::execute(self.run, self.node, self.held, declaration, &plan, notified, self.sink);
        self.touched = execution.touched;
        if execution.result.is_err() && !news.is_empty() && self.is_as_before(declaration, &plan, notified) {
            self.run_state.pending.take_back(self.state, id, &news)?;
        }
        execution.result?;
        // What was made has its UUID now.
        self.record(declaration)?;
        self.told(id);
        Ok(Outcome::Changed {
            action: plan.action,
            changes: plan.changes,
            operations: Vec::new(),
        })
    }

    /// Whether a plan that failed has left all as it was: nothing was carried out, and all of it is still to be done.
    fn is_as_before(&self, declaration: &Declaration, plan: &Plan, notified: bool) -> bool {
        let properties = |plan: &Plan| {
            plan.changes
                .iter()
                .map(|change| change.property.clone())
                .collect::<Vec<_>>()
        };
        let same = |now: Plan| now.ops == plan.ops && properties(&now) == properties(plan);
        !self.touched && apply::plan_now(self.node, self.held, declaration, notified).is_ok_and(same)
    }

    /// Notes that a resource has been told. What was done stays done where that cannot be written: it is told once more.
    fn told(&mut self, id: &Id) {
        if let Err(error) = self.run_state.pending.clear(self.state, id) {
            self.warnings
                .push(format!("it is notified once more by the next run: {error:#}"));
        }
    }
}

/// An operation without the text that it puts in place: the plan has said what of it is new, and the rest may be another resource's, as in
/// fstab. And without what it brings about, which may be known better by now.
fn step(op: &Op) -> Op {
    let mut step = op.clone();
    match &mut step {
        Op::WriteFile { contents: text, .. } | Op::Crontab { table: text, .. } => *text = Bytes::default(),
        Op::Run(command) => command.makes.clear(),
        _ => {}
    }
    step
}

/// Whether what is to be done now is not what the plan said.
fn drift(predicted: &Predicted, now: &Plan) -> Option<String> {
    let Predicted::Plan(planned) = predicted else {
        return None;
    };
    // Another resource's program has done it: apt, udev, exportfs and systemd do more than they are asked for.
    let is_program = |op: &Op| matches!(op, Op::Run(_) | Op::Unit { .. } | Op::Install { .. });
    if now.is_empty() && planned.ops.iter().all(is_program) {
        return None;
    }
    let lasting = |plan: &Plan| {
        plan.changes
            .iter()
            .filter(|change| !change.passing)
            .cloned()
            .collect::<Vec<_>>()
    };
    if lasting(planned) == lasting(now) && planned.ops.iter().map(step).eq(now.ops.iter().map(step)) {
        return None;
    }
    let words = |plan: &Plan| {
        let properties: Vec<&str> = plan.changes.iter().map(|change| change.property.as_str()).collect();
        if plan.is_empty() {
            "nothing to do".to_owned()
        } else {
            format!("{} ({})", plan.action, properties.join(", "))
        }
    };
    Some(format!("the plan was: {}; now it is: {}", words(planned), words(now)))
}
