//! Accounts are told which numbers are declared, so that none of them is given to another.

use super::Declaration;
use crate::system::Claim;

/// Tells each account the numbers that are declared.
pub(super) fn numbers(declarations: &mut [Declaration]) {
    let there = |one: &&mut Declaration| one.skipped.is_none() && !one.resource.is_absent();
    let mut declared: Vec<u32> = declarations
        .iter_mut()
        .filter(there)
        .flat_map(|one| one.resource.provides())
        .filter_map(|claim| match claim {
            Claim::Number(number) => Some(number),
            _ => None,
        })
        .collect();
    declared.sort_unstable();
    for one in declarations {
        if let Some(others) = one.resource.numbers() {
            others.clone_from(&declared);
        }
    }
}
