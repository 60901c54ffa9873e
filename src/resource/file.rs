//! `file`: a regular file with its contents, owner, group and mode.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Plan, PropertyError, Provider, Role,
    metadata::Metadata,
    presence::Presence,
    regular::{self, Regular, Standing},
};
use crate::{
    system::{Bytes, Fact, Probe, Reading},
    value::{AbsPath, Mode, Owner},
};

/// A regular file, written atomically. A link or directory that stands in its place is never replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Where it is. Its directory has to be there, or be declared.
    path: AbsPath,
    /// What it holds. Without `content` and `source` a file that is there keeps what it holds, and a new one is empty.
    content: Option<String>,
    /// A file below the role's `files/`, or of an absolute path on the machine glrl runs on, that holds the contents.
    source: Option<String>,
    /// Who owns it; root for a new one, unchanged for one that is there.
    owner: Option<Owner>,
    /// Its group; likewise.
    group: Option<Owner>,
    /// Its permission bits; `"0644"` for a new one, unchanged for one that is there.
    mode: Option<Mode>,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
    /// A program and its arguments that has to agree before the file is put in place; `{}` stands for the candidate's path, as in
    /// `[visudo, -cf, "{}"]`.
    validate: Option<Vec<String>>,
    #[serde(skip)]
    contents: Option<Bytes>,
}

impl File {
    pub(super) const EXAMPLE: &str = "path: /etc/motd\ncontent: |\n  This machine is managed by glrl.\nmode: \"0644\"\n";

    fn regular(&self) -> Regular<'_> {
        Regular {
            path: &self.path,
            contents: self.contents.as_ref(),
            metadata: Metadata {
                owner: self.owner.as_ref(),
                group: self.group.as_ref(),
                mode: self.mode,
            },
            validate: self.validate.as_deref(),
        }
    }
}

impl Provider for File {
    /// What stands at the path; of a file that is to be absent, only whether it is there.
    type State = Found;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, role: &dyn Role) -> Result<()> {
        if self.state == Presence::Absent && (self.content.is_some() || self.source.is_some()) {
            return Err(PropertyError::of("state", "an absent file has no contents"));
        }
        regular::check_validate(self.validate.as_deref())?;
        self.contents = match (self.content.take(), &self.source) {
            (Some(_), Some(_)) => {
                return Err(PropertyError::of("source", "a file has `content` or `source`, not both"));
            }
            (Some(content), None) => Some(content.into_bytes().into()),
            (None, Some(source)) => Some(role.file(source)?),
            (None, None) => None,
        };
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Found>> {
        match self.state {
            Presence::Present => Ok(self.regular().read(node)?.map(Found::Wanted)),
            Presence::Absent => Ok(regular::at(node, &self.path)?.map(|entry| Found::Unwanted(entry.is_some()))),
        }
    }

    fn diff(&self, found: &Found, _notified: bool) -> Result<Plan> {
        Ok(match found {
            Found::Wanted(standing) => self.regular().diff(standing),
            Found::Unwanted(present) => regular::removal(&self.path, *present),
        })
    }

    fn provides(&self) -> Vec<Fact> {
        vec![Fact::Path(self.path.clone())]
    }

    fn requires(&self) -> Vec<Fact> {
        self.regular().required()
    }
}

/// What stands where a file is declared.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Where one is to be there.
    Wanted(Standing),
    /// Where none is to be there: whether one is.
    Unwanted(bool),
}
