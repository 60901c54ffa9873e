//! Everything glrl can do to a node, as data.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Bone, Bytes, Effect, Meta, MoveData, Stray, crontab};
use crate::value::{AbsPath, UnitName};

/// One operation. `plan -v` prints it, `converge` executes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Puts a regular file in place: a temporary file beside it, fsync, rename, fsync of the directory. What `meta` leaves
    /// open is taken over from the file that is replaced.
    WriteFile {
        /// Where; its directory must exist.
        path: AbsPath,
        /// The whole contents.
        contents: Bytes,
        /// Ownership and mode.
        meta: Meta,
        /// A program and its arguments; `{}` stands for the candidate's path. The file is put in place only if it succeeds.
        validate: Option<Vec<String>>,
    },
    /// Makes one directory; its parent must exist.
    MakeDirectory {
        /// Where.
        path: AbsPath,
        /// Ownership and mode.
        meta: Meta,
    },
    /// Makes a home with what it starts with, all of it the owner's. It has another name until it is whole.
    MakeHome {
        /// Where; nothing is there, and its directory must exist.
        path: AbsPath,
        /// Ownership and mode.
        meta: Meta,
        /// What it starts with, each after the directory it is in.
        skeleton: Vec<Bone>,
    },
    /// Makes a symbolic link, or replaces one, atomically.
    MakeLink {
        /// Where.
        path: AbsPath,
        /// What it holds.
        target: PathBuf,
    },
    /// Sets ownership and mode of what is there; a link is not followed. A program that chown(2) would take rights from is replaced by a copy.
    SetMeta {
        /// Where.
        path: AbsPath,
        /// Ownership and mode.
        meta: Meta,
    },
    /// Removes a file, a link, or an empty directory.
    Remove {
        /// Where.
        path: AbsPath,
    },
    /// Removes what stands below a directory and is not declared.
    Purge {
        /// The directory.
        directory: AbsPath,
        /// What goes, each before the directory it is in.
        strays: Vec<Stray>,
    },
    /// systemctl VERB NAME.
    Unit {
        /// The unit.
        name: UnitName,
        /// What is done to it.
        verb: UnitVerb,
    },
    /// `apt-get install` of these packages in one transaction: non-interactive, local conffiles kept, dpkg's lock waited for.
    Install {
        /// `name` or `name=version`.
        packages: Vec<String>,
    },
    /// `apt-get remove` of these packages, or `apt-get purge`.
    Uninstall {
        /// Names.
        packages: Vec<String>,
        /// Whether their conffiles go, too.
        purge: bool,
    },
    /// Installs a user's table of cron jobs: `crontab -u USER -` (crontab(1)).
    Crontab {
        /// Whose.
        user: String,
        /// The whole table, without the header that `crontab` itself writes.
        table: Bytes,
    },
    /// Stops units, copies what a directory holds onto a filesystem that is empty, and compares both. What is in the directory stays, and
    /// is hidden by the mount that follows. When it fails, what it has stopped is started again.
    MoveData(MoveData),
    /// Ends a move, once the copy is mounted: starts what the move has stopped, and removes its marker.
    FinishMove {
        /// Where the copy is mounted.
        path: AbsPath,
        /// Units that are started; those besides that the marker names.
        start: Vec<UnitName>,
    },
    /// Runs a program, without a shell.
    Run(Command),
}

impl Op {
    /// The one path at which it changes something; none of what changes several, or something else.
    pub fn path(&self) -> Option<&AbsPath> {
        match self {
            Self::WriteFile { path, .. }
            | Self::MakeDirectory { path, .. }
            | Self::MakeHome { path, .. }
            | Self::MakeLink { path, .. }
            | Self::SetMeta { path, .. }
            | Self::Remove { path } => Some(path),
            _ => None,
        }
    }

    /// The paths that a program of glrl's resolves again when it runs.
    pub fn ways(&self) -> impl Iterator<Item = &Path> {
        let made = match self {
            Self::Run(command) => command.makes.as_slice(),
            _ => &[],
        };
        made.iter().filter_map(|effect| match effect {
            Effect::Mounted(mount) => Some(mount.target.as_path()),
            Effect::Unmounted(path) | Effect::Swap(path, Some(_)) => Some(path),
            _ => None,
        })
    }

    /// What is put in place by renaming, from something temporary which stands beside it meanwhile.
    pub fn replaces(&self) -> Vec<AbsPath> {
        match self {
            Self::WriteFile { path, .. }
            | Self::MakeLink { path, .. }
            | Self::MakeHome { path, .. }
            | Self::SetMeta { path, .. } => vec![path.clone()],
            Self::Crontab { user, .. } => crontab::path(user).to_string_lossy().parse().into_iter().collect(),
            Self::Run(command) => command.otherwise.iter().flat_map(Self::replaces).collect(),
            _ => Vec::new(),
        }
    }
}

/// What is done to a unit (systemctl(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitVerb {
    /// Start it now.
    Start,
    /// Stop it now.
    Stop,
    /// Stop and start it.
    Restart,
    /// Have it read its configuration again.
    Reload,
    /// Start it at boot.
    Enable,
    /// Do not start it at boot.
    Disable,
    /// Make starting it impossible.
    Mask,
    /// Make starting it possible again.
    Unmask,
    /// Have systemd read its unit files again; the name is ignored.
    DaemonReload,
}

/// A program to run and what it makes true.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment on top of the fixed one (`PATH`, `LC_ALL=C.UTF-8`).
    pub env: Vec<(String, String)>,
    /// Working directory; `/` where none is given.
    pub cwd: Option<AbsPath>,
    /// The user to run it as; root where none is given.
    pub user: Option<String>,
    /// What goes to its standard input; nothing where none is given.
    pub stdin: Option<Bytes>,
    /// It is killed, with all that it started, when it takes longer.
    pub timeout: Duration,
    /// How long it is run again and again if it fails: for what another machine has yet to make possible. Zero: it is run once.
    pub patience: Duration,
    /// What is true when it has succeeded.
    pub makes: Vec<Effect>,
    /// Carried out in order when it has failed, to take back the operations before it.
    pub otherwise: Vec<Op>,
}

impl Command {
    /// Two minutes: longer than any tool of storage or accounts takes on a healthy node.
    pub const TIMEOUT: Duration = Duration::from_mins(2);

    /// A program as root in `/` with the usual timeout.
    pub fn new<A: Into<String>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            user: None,
            stdin: None,
            timeout: Self::TIMEOUT,
            patience: Duration::ZERO,
            makes: Vec::new(),
            otherwise: Vec::new(),
        }
    }

    /// The same, with what it makes true.
    #[must_use]
    pub fn makes(mut self, effects: impl IntoIterator<Item = Effect>) -> Self {
        self.makes.extend(effects);
        self
    }
}
