//! What tells this machine from others, of which one may have the same host name.

use std::fs;

/// Returns the host name of this machine.
pub(crate) fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Returns the id of this machine, 16 hexadecimal digits; `None` where it has none, as in some containers. It is a hash of the machine's
/// own id, which is not to be handed to others (machine-id(5)).
pub(crate) fn id() -> Option<String> {
    let id = fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    let is_one = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| short(&blake3::derive_key("glrl backup: id of a machine", id.as_bytes())))
}

/// Returns the first 16 hexadecimal digits of a hash.
pub(crate) fn short(hash: &[u8; blake3::OUT_LEN]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
