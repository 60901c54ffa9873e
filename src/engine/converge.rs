//! Converging: the whole is planned, then each resource is planned again just before its turn, executed, and planned once more.

use std::time::Instant;

use anyhow::Result;

use super::{
    Run, Stopped, apply,
    foresee::{Foreseen, failure, foresee, stopped},
    journal::Journal,
    owed::Owed,
    schedule::Schedule,
    temporaries::Temporaries,
};
use crate::{
    graph::Declaration,
    report::event::{Event, Outcome, Summary},
    resource::Plan,
    system::{Bytes, Op, System, state::StateDir},
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
    let mut owed = Owed::load(state)?;
    let foreseen = foresee(run, node, &owed.ids().into_iter().collect(), sink)?;
    temporaries.expect(foreseen.iter().flat_map(Foreseen::ops));

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
        } else if let (Foreseen::Plan(plan), false) = (&foreseen[turn.index], executed || owed.is_owed(&declaration.id))
            && plan.is_empty()
        {
            warnings.clone_from(&plan.warnings);
            Outcome::Unchanged
        } else {
            executed = true;
            let targets = run
                .graph
                .notified_by(turn.index)
                .map(|target| &run.graph.get(target).id);
            let mut turn_of = TurnOf {
                run,
                node,
                state,
                owed: &mut owed,
                temporaries,
                sink,
                touched: false,
            };
            match turn_of.take(declaration, &foreseen[turn.index], targets.collect(), &mut warnings) {
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
        sink(Event::Applied {
            id: declaration.id.clone(),
            place: run.place(turn.index),
            outcome,
            warnings,
            milliseconds: apply::milliseconds(began),
        });
    }
    Ok(())
}

/// What a turn works with.
struct TurnOf<'a, 's> {
    run: &'a Run<'a>,
    node: &'a dyn System,
    state: &'a StateDir,
    owed: &'a mut Owed,
    temporaries: &'a mut Temporaries<'s>,
    sink: &'a mut dyn FnMut(Event),
    /// Whether something was carried out.
    touched: bool,
}

impl TurnOf<'_, '_> {
    fn take(
        &mut self,
        declaration: &Declaration,
        foreseen: &Foreseen,
        targets: Vec<&crate::value::Id>,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome> {
        let id = &declaration.id;
        let notified = self.owed.is_owed(id);
        let mut plan = apply::plan_now(self.node, declaration, notified)?;
        warnings.append(&mut plan.warnings);
        if let Some(message) = drift(foreseen, &plan) {
            (self.sink)(Event::Drift {
                id: id.clone(),
                message,
            });
        }
        if plan.is_empty() {
            self.owed.settle(self.state, id)?;
            return Ok(Outcome::Unchanged);
        }
        (self.sink)(Event::Applying {
            id: id.clone(),
            action: plan.action,
        });
        self.owed.owe(self.state, id, targets.into_iter())?;
        self.temporaries.expect(plan.ops.iter());
        let execution = apply::execute(self.run, self.node, declaration, &plan, notified, self.sink);
        self.touched = execution.touched;
        execution.result?;
        self.owed.settle(self.state, id)?;
        Ok(Outcome::Changed {
            action: plan.action,
            changes: plan.changes,
        })
    }
}

/// An operation without the text that it puts in place: the plan has said what of it is new, and the rest may be another resource's, as in
/// fstab.
fn step(op: &Op) -> Op {
    let mut step = op.clone();
    if let Op::WriteFile { contents: text, .. } | Op::Crontab { table: text, .. } = &mut step {
        *text = Bytes::default();
    }
    step
}

/// Whether what is to be done now is not what the plan said.
fn drift(foreseen: &Foreseen, now: &Plan) -> Option<String> {
    let Foreseen::Plan(planned) = foreseen else { return None };
    if planned.changes == now.changes && planned.ops.iter().map(step).eq(now.ops.iter().map(step)) {
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
