//! The colours, all of them. Everything is written to be read without: a colour repeats what a word or a sign says.
//! `Terminal` strips them where nobody sees them (`NO_COLOR`, not a terminal).

use std::fmt::Display;

use annotate_snippets::Renderer;
use anstyle::{AnsiColor, Effects, Style};

/// Something that is made; an added line.
pub const CREATE: Style = AnsiColor::Green.on_default();
/// Something that is made different.
pub const UPDATE: Style = AnsiColor::Yellow.on_default();
/// Something that goes; a removed line.
pub const REMOVE: Style = AnsiColor::Red.on_default();
/// A program, a restart: something that happens.
pub const RUN: Style = AnsiColor::Cyan.on_default();
/// Something that is not known yet.
pub const LATER: Style = AnsiColor::Magenta.on_default();
/// What went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
/// What the operator should know.
pub const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
/// What the operator can do.
pub const HELP: Style = AnsiColor::Cyan.on_default().effects(Effects::BOLD);
/// Headings, closing lines.
pub const STRONG: Style = Style::new().effects(Effects::BOLD);
/// What is there for completeness: units, hunk headers, what is as declared.
pub const DIM: Style = Style::new().effects(Effects::DIMMED);

/// A text in a style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Excerpts of role files in these colours.
pub const EXCERPTS: Renderer = Renderer::styled()
    .error(ERROR)
    .warning(WARNING)
    .note(STRONG)
    .help(HELP)
    .emphasis(STRONG)
    .line_num(DIM)
    .context(RUN)
    .hyperlink(false);

/// `--help` in these colours.
pub const CLAP: clap::builder::Styles = clap::builder::Styles::styled()
    .header(STRONG)
    .usage(STRONG)
    .literal(RUN)
    .placeholder(Style::new())
    .error(ERROR)
    .valid(CREATE)
    .invalid(UPDATE);
