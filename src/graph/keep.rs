//! A resource that removes what nobody declares is told what others declare.

use super::Declaration;
use crate::{system::Claim, value::AbsPath};

/// Tells each that purges what the others claim below it; those too that are left out of this run.
pub(super) fn keep(declarations: &mut [Declaration]) {
    for here in 0..declarations.len() {
        let Some(directory) = declarations[here]
            .resource
            .purges()
            .map(|purge| purge.directory.clone())
        else {
            continue;
        };
        let others = declarations.iter().enumerate().filter(|(index, _)| *index != here);
        let claimed: Vec<AbsPath> = others
            .flat_map(|(_, other)| other.resource.provides())
            .filter_map(|claim| match claim {
                Claim::Path(path)
                | Claim::Made(path)
                | Claim::Whole(path)
                | Claim::Part(path)
                | Claim::Mounted(path) => Some(path),
                _ => None,
            })
            .filter(|path| path.starts_with(&*directory) && *path != directory)
            .collect();
        if let Some(purge) = declarations[here].resource.purges() {
            *purge.claimed = claimed;
        }
    }
}
