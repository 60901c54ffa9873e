//! A filesystem that is not mounted yet grows once it is: it and its mount are told of each other.

use std::collections::HashMap;

use super::Declaration;
use crate::system::Claim;

/// Tells each mount that a filesystem which is to grow is what it mounts, and that filesystem that something mounts it.
pub(super) fn grow(declarations: &mut [Declaration]) {
    let mut filesystems: HashMap<Claim, usize> = HashMap::new();
    let mut mounts = Vec::new();
    for (here, one) in declarations.iter_mut().enumerate() {
        if one.skipped.is_some() || one.resource.growth().is_none() {
            continue;
        }
        let provided = one.resource.provides();
        let of_filesystems = provided
            .into_iter()
            .filter(|claim| matches!(claim, Claim::Filesystem(_)));
        filesystems.extend(of_filesystems.map(|claim| (claim, here)));
        mounts.push((here, one.resource.requires()));
    }
    for (mount, required) in mounts {
        let Some(&filesystem) = required.iter().find_map(|claim| filesystems.get(claim)) else {
            continue;
        };
        for one in [mount, filesystem] {
            if let Some(told) = declarations[one].resource.growth() {
                *told = true;
            }
        }
    }
}
