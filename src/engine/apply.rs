//! One resource's turn in a converge: planned again, executed, planned once more.

use std::{thread, time::Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::{Run, Stopped, ledger::Ledger};
use crate::{
    engine::event::Event,
    graph::Declaration,
    resource::{Change, Plan, Shown},
    system::{Op, Reading, System, limit, programs},
};

/// What a resource needs now, on the node as it is.
pub(super) fn plan_now(node: &dyn System, held: &Ledger, declaration: &Declaration, notified: bool) -> Result<Plan> {
    match held.plan(declaration, node, notified)? {
        Reading::Known(plan) => Ok(plan),
        Reading::Unknown { after } => Err(anyhow!("a real node cannot know what {after} will do")),
    }
}

/// What became of a plan.
pub(super) struct Execution {
    /// Whether any of its operations was carried out.
    pub(super) touched: bool,
    /// How it ended.
    pub(super) result: Result<()>,
}

/// Executes a plan, trying again as the resource says, and proves that nothing is left to do.
pub(super) fn execute(
    run: &Run,
    node: &dyn System,
    held: &Ledger,
    declaration: &Declaration,
    plan: &Plan,
    notified: bool,
    sink: &mut dyn FnMut(Event),
) -> Execution {
    let mut touched = false;
    let mut result = attempt(run, node, held, declaration, plan, &mut touched);
    for again in 1..=declaration.retry.times {
        let Err(error) = &result else { break };
        if error.is::<Stopped>() || error.is::<crate::system::Refused>() {
            break;
        }
        let delay = declaration.retry.delay;
        sink(Event::Waiting {
            id: Some(declaration.id.clone()),
            message: format!(
                "try {again} of {} in {} s: {error:#}",
                declaration.retry.times,
                delay.as_secs_f32()
            ),
        });
        let until = Instant::now() + delay;
        while Instant::now() < until && !(run.stop)() {
            thread::sleep(std::time::Duration::from_millis(50).min(delay));
        }
        result = plan_now(node, held, declaration, notified)
            .and_then(|plan| attempt(run, node, held, declaration, &plan, &mut touched));
    }
    Execution { touched, result }
}

fn attempt(
    run: &Run,
    node: &dyn System,
    held: &Ledger,
    declaration: &Declaration,
    plan: &Plan,
    touched: &mut bool,
) -> Result<()> {
    let mut moved = false;
    let (done, said) = programs::heard(|| -> Result<()> {
        for op in &plan.ops {
            // Between a move and the mount that ends it a service is stopped.
            if !moved && (run.stop)() {
                return Err(Stopped.into());
            }
            limit::within(declaration.timeout, || node.execute(op))?;
            *touched = true;
            moved |= matches!(op, Op::MoveData(_));
        }
        Ok(())
    });
    done?;
    let left = plan_now(node, held, declaration, false).context("looking whether it is as declared now")?;
    if !left.is_empty() {
        let what: Vec<String> = left.changes.iter().map(difference).collect();
        bail!(
            "it was applied and is still not as declared ({}){said}",
            what.join(", ")
        );
    }
    Ok(())
}

/// What is still different, in words: the whole where it is short.
fn difference(change: &Change) -> String {
    let property = &change.property;
    match (&change.before, &change.after) {
        (Shown::Value(before), Shown::Value(after)) => format!("{property} is {before}, not {after}"),
        (Shown::Absent, Shown::Value(after)) => format!("{property}: {after}"),
        (Shown::Value(before), Shown::Absent) => format!("{property}: {before} is still there"),
        (Shown::Absent, Shown::Text(_) | Shown::Binary(_)) => format!("{property}: nothing is there"),
        (Shown::Text(_) | Shown::Binary(_), Shown::Absent) => format!("{property}: something is still there"),
        (Shown::Text(before), Shown::Text(after)) => match first_difference(before, after) {
            Some((line, found, wanted)) => {
                format!("{property}: line {line} is {}, not {}", short(found), short(wanted))
            }
            None => format!("{property}: in line ends"),
        },
        (Shown::Binary(before), Shown::Binary(after)) => format!("{property} has {before} bytes, not {after}"),
        _ => property.clone(),
    }
}

/// The first line in which two texts differ, with its number.
fn first_difference<'t>(found: &'t str, wanted: &'t str) -> Option<(usize, Option<&'t str>, Option<&'t str>)> {
    let (mut found, mut wanted) = (found.lines(), wanted.lines());
    (1..).find_map(|line| match (found.next(), wanted.next()) {
        (None, None) => Some(None),
        (found, wanted) if found == wanted => None,
        (found, wanted) => Some(Some((line, found, wanted))),
    })?
}

/// A line as a message has room for it.
fn short(line: Option<&str>) -> String {
    const LONGEST: usize = 80;
    match line {
        None => "missing".to_owned(),
        Some(line) if line.len() > LONGEST => format!("'{}…'", &line[..line.floor_char_boundary(LONGEST)]),
        Some(line) => format!("'{line}'"),
    }
}

/// Whole milliseconds since then.
pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
