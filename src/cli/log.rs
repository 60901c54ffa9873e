//! What glrl does, for those who look for a fault: `--debug`, or a filter in `GLRL_LOG`. On standard error, secrets gone.

use std::io::{self, Write};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::report::redact;

/// Begins to log. A filter that cannot be read is said, and not obeyed.
pub(super) fn begin(debug: bool, filter: Option<&str>) -> Result<(), String> {
    let filter = match (filter, debug) {
        (Some(filter), _) => filter,
        (None, true) => "glrl=debug",
        (None, false) => "glrl=warn",
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("GLRL_LOG is no filter: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Redacted)
        .with_ansi(false)
        .with_target(debug)
        .without_time()
        .init();
    Ok(())
}

/// Standard error, without the secrets of this run. Each event is written at once, so none is cut in two.
struct Redacted;

impl MakeWriter<'_> for Redacted {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for Redacted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(redact(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
