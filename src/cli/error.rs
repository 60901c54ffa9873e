//! What can end a command early, and how it is said.

use std::fmt::Write as _;

use crate::{
    report::{
        diagnostic,
        style::{DIM, ERROR, HELP, paint},
        text::{line, lines},
    },
    source::{Diagnostics, Sources, suggest},
    system::Refused,
};

/// Why a command cannot do what it was asked.
#[derive(Debug)]
pub(super) enum Error {
    /// The command line names something that is not there.
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A role, or a value for it, is wrong.
    Role {
        /// The texts.
        sources: Sources,
        /// The mistakes.
        diagnostics: Diagnostics,
    },
    /// Anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Error {
    /// A name that is not one of those there are.
    pub(super) fn unknown(what: &str, name: &str, names: &[&str]) -> Self {
        let hint = match suggest(name, names.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", names.join(", ")),
        };
        Self::Usage {
            message: format!("there is no {what} '{name}'"),
            hint: Some(hint),
        }
    }

    /// The error for eyes.
    pub(super) fn render(&self, width: usize) -> String {
        match self {
            Self::Role { sources, diagnostics } => diagnostic::render(diagnostics, sources, width),
            Self::Usage { message, hint } => block(message, [], hint.as_deref()),
            Self::Other(error) => {
                let hint = error.downcast_ref::<Refused>().map(|refused| refused.hint.as_str());
                let causes = error.chain().skip(1).map(ToString::to_string).collect::<Vec<_>>();
                block(&error.to_string(), causes.iter().map(String::as_str), hint)
            }
        }
    }
}

/// An error of no place in a role, its causes, and what to do.
fn block<'a>(message: &str, causes: impl IntoIterator<Item = &'a str>, hint: Option<&str>) -> String {
    let mut text = format!("{} {}\n", paint(ERROR, "error:"), lines(message));
    for cause in causes {
        let cause = lines(cause).replace('\n', "\n    ");
        let _ = writeln!(text, "  {} {cause}", paint(DIM, "because:"));
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "  {} {}", paint(HELP, "help:"), line(hint));
    }
    text
}
