//! `directory`: a directory with its owner, group and mode.

use std::path::Path;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Plan, Provider};
use crate::{
    system::{Fact, Probe, Reading},
    value::{AbsPath, Mode, Owner},
};

/// A directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    /// Where it is.
    path: AbsPath,
    /// Who owns it; root for a new one, as it is for one that is there.
    owner: Option<Owner>,
    /// Its group; likewise.
    group: Option<Owner>,
    /// Its permission bits; `"0755"` for a new one.
    mode: Option<Mode>,
}

impl Directory {
    pub(super) const EXAMPLE: &str = "path: /srv/www\nowner: www-data\nmode: \"0755\"\n";
}

impl Provider for Directory {
    type State = ();

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn read(&self, _node: &dyn Probe) -> Result<Reading<()>> {
        anyhow::bail!("not built yet: {:?} {:?} {:?}", self.owner, self.group, self.mode)
    }

    fn diff(&self, (): &(), _notified: bool) -> Result<Plan> {
        Ok(Plan::none())
    }

    fn provides(&self) -> Vec<Fact> {
        vec![Fact::Path(self.path.clone())]
    }

    fn requires(&self) -> Vec<Fact> {
        let parent = self.path.parent().and_then(Path::to_str).and_then(|path| path.parse().ok());
        parent.map(Fact::Path).into_iter().collect()
    }
}
