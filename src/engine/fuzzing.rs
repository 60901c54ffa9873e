//! What holds for the engine's files in the state directory, whoever has changed them: see `crate::fuzzing`.

use std::{collections::BTreeSet, fmt::Debug, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use super::{ledger::Ledger, pending::Pending};

/// What is read and written again is read as the same.
fn comes_back<T: Debug + PartialEq + Serialize + DeserializeOwned>(text: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(text) else {
        return;
    };
    let written = serde_json::to_vec_pretty(&value).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), value);
}

/// The first line is the file's name.
pub(crate) fn state(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (name, text) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    match name {
        b"protected.json" => comes_back::<Ledger>(text),
        b"pending.json" => comes_back::<Pending>(text),
        _ => comes_back::<BTreeSet<PathBuf>>(text),
    }
}
