//! CEL programs whose steps are counted: the tree of a program is rewritten so that what is gone through, called and made pays for itself.

use cel::{
    Env, ExecutionError, IdedExpr,
    common::{
        ast::{CallExpr, EntryExpr, Expr},
        types::{CelBytes, CelList, CelMap, CelString, DYN_TYPE},
        value::{CowVal, Val},
    },
};

use super::budget::{self, Nothing};

/// Names that cannot be written in an expression.
const PAY: &str = "@pay";
const PAY_EACH: &str = "@pay_each";
const PAY_ALL: &str = "@pay_all";
const PAY_PATTERN: &str = "@pay_pattern";

/// Adds the functions that pay.
pub(super) fn declare(env: &mut Env) {
    let one = || vec![DYN_TYPE];
    for added in [
        env.add_overload(PAY, "pay", one(), pay),
        env.add_overload(PAY_EACH, "pay_each", one(), pay_each),
        env.add_overload(PAY_PATTERN, "pay_pattern", one(), pay_pattern),
        env.add_overload(PAY_ALL, "pay_two", vec![DYN_TYPE, DYN_TYPE], pay_all),
        env.add_overload(PAY_ALL, "pay_three", vec![DYN_TYPE, DYN_TYPE, DYN_TYPE], pay_all),
    ] {
        debug_assert!(added.is_ok(), "{added:?}");
    }
}

/// The same expression, counted.
pub(super) fn counted(mut expression: IdedExpr) -> IdedExpr {
    count(&mut expression);
    expression
}

fn count(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            count_call(call);
            wrap(expression, PAY);
        }
        Expr::Select(select) => count(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(count_copied),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    count_copied(&mut entry.key);
                    count_copied(&mut entry.value);
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            count(&mut comprehension.iter_range);
            wrap(&mut comprehension.iter_range, PAY_EACH);
            count_copied(&mut comprehension.accu_init);
            count_step(&mut comprehension.loop_step);
            count(&mut comprehension.result);
        }
        _ => {}
    }
}

/// What is copied into a list or map pays for the copy.
fn count_copied(expression: &mut IdedExpr) {
    count(expression);
    if matches!(
        expression.expr,
        Expr::Ident(_) | Expr::Select(_) | Expr::Comprehension(_)
    ) {
        wrap(expression, PAY);
    }
}

/// A step of a loop that adds to what the loop has made keeps its shape, by which the evaluator knows what it can do in place; its
/// parts pay.
fn count_step(step: &mut IdedExpr) {
    let is_made = |expression: &IdedExpr| matches!(&expression.expr, Expr::Ident(name) if name.starts_with('@'));
    if is_made(step) {
        return;
    }
    match &mut step.expr {
        Expr::Call(call) if call.target.is_none() && call.args.iter().any(is_made) => {
            call.args.iter_mut().for_each(count_step);
        }
        _ => count_copied(step),
    }
}

fn count_call(call: &mut CallExpr) {
    if let Some(target) = &mut call.target
        && !matches!(target.expr, Expr::Ident(_))
    {
        count(target);
    }
    call.args.iter_mut().for_each(count);
    // What these make is as large as the product of what they are given: it is paid before it is made.
    let multiplies = matches!(
        (call.func_name.as_str(), call.args.len()),
        ("replace", 2 | 3) | ("join", 1)
    );
    if let (Some(target), true) = (&mut call.target, multiplies) {
        let mut given = vec![std::mem::take(&mut **target)];
        given.extend(call.args.iter().take(2).cloned());
        **target = call_of(PAY_ALL, given);
    }
    match call.func_name.as_str() {
        "matches" => call.args.iter_mut().for_each(|pattern| wrap(pattern, PAY_PATTERN)),
        // Each element is compared with all others.
        "distinct" => {
            if let Some(target) = &mut call.target {
                let list = std::mem::take(&mut **target);
                **target = call_of(PAY_ALL, vec![list.clone(), list]);
            }
        }
        _ => {}
    }
}

fn call_of(function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: Expr::Call(CallExpr {
            func_name: function.to_owned(),
            target: None,
            args,
        }),
    }
}

fn wrap(expression: &mut IdedExpr, function: &str) {
    let inside = std::mem::take(expression);
    *expression = call_of(function, vec![inside]);
}

/// An error that `Program::execute` puts into words: it asks whether the budget was spent.
fn spent(spent: Nothing) -> ExecutionError {
    ExecutionError::function_error("budget", spent)
}

fn first<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    args.into_iter()
        .next()
        .ok_or_else(ExecutionError::missing_argument_or_target)
}

fn pay<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = first(args)?;
    pay_for(&*value).map_err(spent)?;
    Ok(value)
}

/// Pays for going through a list, or a map.
fn pay_each<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = first(args)?;
    budget::pay(length(&*value)).map_err(spent)?;
    Ok(value)
}

fn pay_pattern<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let pattern = args.first().and_then(|arg| arg.downcast_ref::<CelString>());
    let pattern = pattern.map_or("", |text| text.inner());
    budget::pay_pattern(pattern).map_err(spent)?;
    first(args)
}

/// Pays for the product of a value and the longest of the others.
fn pay_all<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let others = args.iter().skip(1).map(|arg| length(&**arg)).max().unwrap_or(0);
    let product = args.first().map_or(0, |arg| length(&**arg)).saturating_mul(others);
    budget::pay(budget::of_bytes(usize::try_from(product).unwrap_or(usize::MAX))).map_err(spent)?;
    first(args)
}

/// Bytes of a text, elements of a list or map; 1 for all else.
fn length(value: &dyn Val) -> u64 {
    let elements = |sizer: &dyn cel::common::traits::Sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0);
    value.as_sizer().map_or(1, elements)
}

/// Pays for a value with all that is in it.
fn pay_for(value: &dyn Val) -> Result<(), Nothing> {
    if value.downcast_ref::<CelString>().is_some() || value.downcast_ref::<CelBytes>().is_some() {
        return budget::pay(budget::of_bytes(usize::try_from(length(value)).unwrap_or(usize::MAX)));
    }
    budget::pay(1)?;
    let (is_list, is_map) = (
        value.downcast_ref::<CelList>().is_some(),
        value.downcast_ref::<CelMap>().is_some(),
    );
    if !is_list && !is_map {
        return Ok(());
    }
    let (Some(iterable), Some(indexer)) = (value.as_iterable(), value.as_indexer()) else {
        return Ok(());
    };
    let mut items = iterable.iter();
    while let Some(item) = items.next() {
        pay_for(item)?;
        if is_map && let Ok(inside) = indexer.get(item) {
            pay_for(&*inside)?;
        }
    }
    Ok(())
}
