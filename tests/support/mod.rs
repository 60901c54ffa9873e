//! What the tests share.

use std::path::Path;

use glrl::{
    config::{self, Failure, Loaded, Request},
    report::diagnostic,
    source::{Diagnostics, Sources},
    system::facts::SampleFacts,
};

/// Loads the role in a file, with facts that are the same everywhere.
pub(crate) fn load(role: &Path) -> Result<Loaded, String> {
    let request = Request::new([role.display().to_string()], &SampleFacts);
    config::load(&request).map_err(|failure| failed(&failure))
}

/// Reads a file of YAML.
pub(crate) fn read<T: serde::de::DeserializeOwned + Default>(path: &Path) -> Result<T, String> {
    config::settings(path).map_err(|failure| failed(&failure))
}

/// Mistakes as they are drawn for people.
pub(crate) fn draw(diagnostics: &Diagnostics, sources: &Sources) -> String {
    diagnostic::render(diagnostics, sources, 120)
}

fn failed(failure: &Failure) -> String {
    draw(&failure.diagnostics, &failure.sources)
}
