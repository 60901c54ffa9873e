//! What the tests share.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

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

/// A hash of all that a sparse file holds. What was never written is not read.
pub(crate) fn hash(path: &Path) -> std::io::Result<String> {
    const BLOCK: i64 = 64 << 10;
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut block = Vec::new();
    let mut at = 0;
    while let Ok(data) = nix::unistd::lseek(&file, at, nix::unistd::Whence::SeekData) {
        // Blocks begin at fixed places, wherever the file's extents do.
        let place = data / BLOCK * BLOCK;
        file.seek(SeekFrom::Start(place.unsigned_abs()))?;
        block.clear();
        (&file).take(BLOCK.unsigned_abs()).read_to_end(&mut block)?;
        if block.iter().any(|&byte| byte != 0) {
            hasher.update(&place.to_le_bytes()).update(&block);
        }
        at = place + BLOCK;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Mistakes as they are drawn for people.
pub(crate) fn draw(diagnostics: &Diagnostics, sources: &Sources) -> String {
    diagnostic::render(diagnostics, sources, 120)
}

fn failed(failure: &Failure) -> String {
    draw(&failure.diagnostics, &failure.sources)
}
