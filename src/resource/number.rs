//! The number of a new account, chosen where others of the same role are to have certain ones: useradd and groupadd know nothing of
//! those, and might give one of them away.

use std::{collections::HashSet, path::Path};

use anyhow::Result;

use crate::system::{Probe, Reading, known};

/// A number that neither an account or a group has nor another is to have; `None` where no other is declared with one, so that any will
/// do. As useradd does it, above those in use: what has been removed may have left files.
pub(super) fn free(node: &dyn Probe, is_system: bool, others: &[u32]) -> Result<Reading<Option<u32>>> {
    if others.is_empty() {
        return Ok(Reading::Known(None));
    }
    let (users, groups) = (known!(node.users()?), known!(node.groups()?));
    let used: HashSet<u32> = users
        .iter()
        .flat_map(|user| [user.uid, user.gid])
        .chain(groups.iter().map(|group| group.gid))
        .flatten()
        .collect();
    let is_free = |number: &u32| !used.contains(number) && others.binary_search(number).is_err();
    let (least, most) = range(node, is_system)?;
    if is_system {
        return Ok(Reading::Known((least..=most).rev().find(is_free)));
    }
    let highest = used
        .iter()
        .copied()
        .filter(|number| (least..=most).contains(number))
        .max();
    let above = highest.map_or(least, |highest| highest + 1);
    Ok(Reading::Known((above..=most).chain(least..above).find(is_free)))
}

/// The range for accounts of people, or of the system (login.defs(5)).
fn range(node: &dyn Probe, is_system: bool) -> Result<(u32, u32)> {
    let text = match node.contents(Path::new("/etc/login.defs"))? {
        Reading::Known(Some(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    let value = |name: &str| -> Option<u32> {
        let mut words = text.lines().rev().map(str::split_whitespace);
        let mut found = words.find_map(|mut words| (words.next() == Some(name)).then_some(words))?;
        found.next()?.parse().ok()
    };
    let least = value("UID_MIN").unwrap_or(1000);
    Ok(if is_system {
        let most = value("SYS_UID_MAX").unwrap_or(least.saturating_sub(1));
        (value("SYS_UID_MIN").unwrap_or(101), most)
    } else {
        (least, value("UID_MAX").unwrap_or(60_000))
    })
}
