//! The environment, read here and nowhere else. (`NO_COLOR` and its relatives are read by anstream, for all of the output.)

use std::env;

/// Values for inputs: `GLRL_VAR_data_device=/dev/sdb` sets `data_device`. Sorted by name. Names and values that are not UTF-8
/// cannot be written in a role and are passed over.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(super) fn vars() -> Vec<(String, String)> {
    let mut vars: Vec<_> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter_map(|(name, value)| Some((name.strip_prefix("GLRL_VAR_")?.to_owned(), value)))
        .collect();
    vars.sort_unstable();
    vars
}

/// The filter of the log.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(super) fn log() -> Option<String> {
    env::var("GLRL_LOG").ok().filter(|filter| !filter.is_empty())
}
