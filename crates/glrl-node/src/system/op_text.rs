//! Operations as `plan -v` prints them: a line each, as close to what would be typed as can be. What a file will hold is shown by its changes.

use std::fmt;

use super::{Command, Meta, Op, UnitVerb};
use crate::value::text::word;

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteFile { path, meta, .. } => write!(f, "write {}{}", word(path.as_str()), With(meta)),
            Self::MakeDirectory { path, meta } => write!(f, "mkdir {}{}", word(path.as_str()), With(meta)),
            Self::MakeHome { path, meta, skeleton } => {
                let names = crate::value::text::count(skeleton.len(), "name");
                write!(
                    f,
                    "mkdir {}{}, with {names} of /etc/skel",
                    word(path.as_str()),
                    With(meta)
                )
            }
            Self::MakeLink { path, target } => {
                write!(f, "ln -s {} {}", word(&target.to_string_lossy()), word(path.as_str()))
            }
            Self::SetMeta { path, meta } => write!(f, "set {}{}", word(path.as_str()), With(meta)),
            Self::Remove { path } => write!(f, "rm {}", word(path.as_str())),
            Self::Purge { directory, strays } => {
                let names = crate::value::text::count(strays.len(), "name");
                write!(f, "rm {names} below {}", word(directory.as_str()))
            }
            Self::Unit {
                verb: UnitVerb::DaemonReload,
                ..
            } => f.write_str("systemctl daemon-reload"),
            Self::Unit { name, verb } => write!(f, "systemctl {verb} {name}"),
            Self::Install { packages } => write!(f, "apt-get install {}", packages.join(" ")),
            Self::Uninstall { packages, purge } => {
                let verb = if *purge { "purge" } else { "remove" };
                write!(f, "apt-get {verb} {}", packages.join(" "))
            }
            Self::Crontab { user, .. } => write!(f, "crontab -u {user} -"),
            Self::MoveData(data) => write!(
                f,
                "copy what is in {} to the new filesystem, and compare",
                word(data.from.as_str())
            ),
            Self::FinishMove { path, start } => {
                write!(f, "end the move of {}", word(path.as_str()))?;
                start.iter().try_for_each(|unit| write!(f, ", start {unit}"))
            }
            Self::Run(command) => command.fmt(f),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.argv.iter().map(|argument| word(argument)).collect();
        f.write_str(&words.join(" "))?;
        if let Some(user) = &self.user {
            write!(f, " (as {user})")?;
        }
        Ok(())
    }
}

impl fmt::Display for UnitVerb {
    /// systemctl(1)'s word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
            Self::DaemonReload => "daemon-reload",
        })
    }
}

/// Mode, owner and group, as far as they are set.
struct With<'a>(&'a Meta);

impl fmt::Display for With<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Meta { mode, owner, group } = self.0;
        if let Some(mode) = mode {
            write!(f, " mode {mode}")?;
        }
        if let Some(owner) = owner {
            write!(f, " owner {owner}")?;
        }
        if let Some(group) = group {
            write!(f, " group {group}")?;
        }
        Ok(())
    }
}
