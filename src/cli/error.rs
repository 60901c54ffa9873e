//! What can end a command early, and how it is said.

use crate::{
    backup,
    report::diagnostic,
    source::{Diagnostics, Sources, suggest},
    system::{Refused, state::Locked},
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
    /// A backup or a verification failed.
    Backup(backup::Error),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<backup::Error> for Error {
    fn from(error: backup::Error) -> Self {
        Self::Backup(error)
    }
}

impl Error {
    /// A name that is not one of those there are.
    pub(super) fn unknown(what: &str, name: &str, names: &[&str]) -> Self {
        let hint = match suggest(name, names.iter().copied()) {
            Some(near) => Some(format!("did you mean '{near}'?")),
            None if names.is_empty() => None,
            None => Some(format!("there are {}", names.join(", "))),
        };
        Self::Usage {
            message: format!("there is no {what} '{name}'"),
            hint,
        }
    }

    /// The error for eyes.
    pub(super) fn render(&self, width: usize) -> String {
        match self {
            Self::Role { sources, diagnostics } => diagnostic::render(diagnostics, sources, width),
            Self::Usage { message, hint } => diagnostic::block(message, [], hint.as_deref()),
            Self::Backup(error) => {
                let causes = causes(std::error::Error::source(error));
                diagnostic::block(&error.to_string(), causes.iter().map(String::as_str), None)
            }
            Self::Other(error) => {
                let hint = hint(error);
                let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
                diagnostic::block(&error.to_string(), causes.iter().map(String::as_str), hint)
            }
        }
    }
}

/// A chain of causes, the nearest first.
fn causes(first: Option<&(dyn std::error::Error + 'static)>) -> Vec<String> {
    std::iter::successors(first, |cause| cause.source())
        .map(ToString::to_string)
        .collect()
}

/// What can be done about an error.
fn hint(error: &anyhow::Error) -> Option<&str> {
    match error.downcast_ref::<Refused>() {
        Some(refused) => Some(&refused.hint),
        None if error.is::<Locked>() => Some("wait for it to end, with --wait 10m"),
        None if error.chain().any(is_denial) && !nix::unistd::geteuid().is_root() => Some("run it as root"),
        None => None,
    }
}

/// Whether the kernel has refused something to this user.
fn is_denial(cause: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::{Error, ErrorKind};
    let kind = match (cause.downcast_ref::<Error>(), cause.downcast_ref::<nix::Error>()) {
        (Some(error), _) => error.kind(),
        (_, Some(errno)) => Error::from(*errno).kind(),
        _ => return false,
    };
    kind == ErrorKind::PermissionDenied
}
