//! A volume is told what its group is to keep free.

use super::Declaration;

/// Tells each volume what the group that it is in declares, if a group does.
pub(super) fn reserve(declarations: &mut [Declaration]) {
    let reserves: Vec<_> = declarations
        .iter()
        .filter_map(|declaration| declaration.resource.reserve())
        .map(|(group, reserve)| (group.clone(), reserve))
        .collect();
    for declaration in declarations {
        if let Some((group, leaves)) = declaration.resource.leaves()
            && let Some((_, reserve)) = reserves.iter().find(|(known, _)| known == group)
        {
            *leaves = Some(*reserve);
        }
    }
}
