//! Settings of the programs that are part of glrl: YAML like roles, with the same places in errors.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Failure, de, node::Data, yaml};
use crate::{
    source::{Diagnostic, Diagnostics, Sources},
    system::texts,
};

/// Reads a file of settings; `None` where there is no such file. One that is empty says nothing, and the usual ones hold.
pub fn settings<T: DeserializeOwned + Default>(path: &Path) -> Result<Option<T>, Failure> {
    let mut sources = Sources::default();
    match read(path, &mut sources) {
        Ok(settings) => Ok(settings),
        Err(diagnostics) => Err(Failure { sources, diagnostics }),
    }
}

fn read<T: DeserializeOwned + Default>(path: &Path, sources: &mut Sources) -> Result<Option<T>, Diagnostics> {
    let Some(text) = texts::read(path).map_err(|error| Diagnostic::general(format!("{error:#}")))? else {
        return Ok(None);
    };
    let file = sources.add(path.display().to_string(), text.clone());
    let root = yaml::parse(file, &text.into())?;
    match root.data {
        Data::Null => Ok(Some(T::default())),
        _ => de::read(&root, root.place).map(Some),
    }
}
