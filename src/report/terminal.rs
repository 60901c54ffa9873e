//! Where text goes: data to standard output, the rest to standard error, and a progress line while a person looks on.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    time::Duration,
};

use anstream::AutoStream;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Progress, Rendered, diagnostic::block, redact};

/// Standard output and standard error, with colours where they are seen.
///
/// A reader that goes away (`glrl plan | head`) is no error: what comes after is dropped, and the run goes on; a converge must
/// not stop half-way because of it. Any other failure to write is kept for `finish`.
#[derive(Debug)]
pub struct Terminal {
    out: Kept<AutoStream<io::Stdout>>,
    err: Kept<AutoStream<io::Stderr>>,
    progress: Option<ProgressBar>,
    /// Whether a progress line is wanted and would be seen.
    watched: bool,
}

/// A stream with the failure that ended it.
#[derive(Debug)]
struct Kept<W> {
    stream: W,
    failed: Option<io::Error>,
}

impl Terminal {
    /// The two streams of this process. `progress`: whether there may be a progress line.
    pub fn new(progress: bool) -> Self {
        Self {
            out: Kept::new(anstream::stdout()),
            err: Kept::new(anstream::stderr()),
            progress: None,
            watched: progress && io::stderr().is_terminal(),
        }
    }

    /// Says it.
    pub fn emit(&mut self, said: &Rendered) {
        if !said.err.is_empty() || !said.out.is_empty() {
            self.clear();
        }
        self.err.write(&said.err);
        self.out.write(&said.out);
        if let Some(progress) = &said.progress {
            self.show(progress);
        }
    }

    /// Writes data, whole lines.
    pub fn out(&mut self, text: &str) {
        self.clear();
        self.out.write(text);
    }

    /// Writes anything else, whole lines.
    pub fn err(&mut self, text: &str) {
        self.clear();
        self.err.write(text);
    }

    /// Columns there are for text on standard error.
    pub fn width(&self) -> usize {
        terminal_size::terminal_size_of(io::stderr()).map_or(100, |(width, _)| usize::from(width.0))
    }

    /// Columns of the terminal that standard output is, if it is one.
    pub fn columns(&self) -> Option<usize> {
        terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
    }

    /// Whether all data was written. A reader that has gone did not want more; any other failure is said.
    pub fn finish(mut self) -> bool {
        self.clear();
        match self.out.failed.take() {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.err.write(&block(
                    "cannot write to standard output",
                    [error.to_string().as_str()],
                    None,
                ));
                false
            }
            _ => true,
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.progress.take() {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, progress: &Progress) {
        if !self.watched {
            return;
        }
        let bar = self.progress.get_or_insert_with(bar);
        if bar.message() != redact(&progress.now) {
            bar.reset_elapsed();
            bar.set_message(redact(&progress.now).into_owned());
        }
        bar.set_prefix(progress.far.clone());
    }
}

/// `⠹ [12/44] 8s create package:mariadb-server`, the time since that began.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("  {spinner} {prefix} {elapsed:.dim} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

impl<W: Write> Kept<W> {
    fn new(stream: W) -> Self {
        Self { stream, failed: None }
    }

    /// All that is said comes through here, so what no renderer has redacted is redacted now. They do it all the same, before they
    /// quote, wrap or shorten a text: then a secret is no longer in it word for word.
    fn write(&mut self, text: &str) {
        if self.failed.is_none() && !text.is_empty() {
            self.failed = self
                .stream
                .write_all(redact(text).as_bytes())
                .and_then(|()| self.stream.flush())
                .err();
        }
    }
}
