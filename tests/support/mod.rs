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
    load_with(role, &[])
}

/// The same, with these inputs, as `name=value`.
pub(crate) fn load_with(role: &Path, set: &[&str]) -> Result<Loaded, String> {
    let mut request = Request::new([role.display().to_string()], &SampleFacts);
    request.roles_directories.extend(role.parent().map(Path::to_owned));
    request.set.extend(set.iter().map(|&value| value.to_owned()));
    config::load(&request).map_err(|failure| failed(&failure))
}

/// Reads a file of YAML.
pub(crate) fn read<T: serde::de::DeserializeOwned + Default>(path: &Path) -> Result<T, String> {
    config::settings(path, &[])
        .map_err(|failure| failed(&failure))?
        .ok_or_else(|| format!("there is no file {}", path.display()))
}

/// Mistakes as they are drawn for people.
pub(crate) fn draw(diagnostics: &Diagnostics, sources: &Sources) -> String {
    diagnostic::render(diagnostics, sources, 120)
}

fn failed(failure: &Failure) -> String {
    draw(&failure.diagnostics, &failure.sources)
}
