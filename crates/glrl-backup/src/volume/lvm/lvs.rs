//! What lvs(8) says.

use std::time::Duration;

use anyhow::{Context, Result};
use glrl_node::system::programs::Program;
use serde::Deserialize;

use crate::volume::process::Process;

pub(crate) const BOOT: &str = "glrl_boot=";

pub(crate) const PROCESS: &str = "glrl_process=";

/// A line of `lvs`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    pub(crate) vg_name: String,
    pub(crate) lv_name: String,
    pub(crate) lv_size: String,
    pub(crate) origin: String,
    pub(crate) pool_lv: String,
    lv_tags: String,
    lv_kernel_major: String,
    lv_kernel_minor: String,
    pub(crate) vg_free: String,
    pub(crate) vg_extent_size: String,
}

impl Line {
    /// Its device, as `MAJOR:MINOR`.
    pub(crate) fn device(&self) -> String {
        format!("{}:{}", self.lv_kernel_major, self.lv_kernel_minor)
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        self.lv_tags.split(',')
    }

    /// What follows a prefix in one of its tags.
    pub(crate) fn tag(&self, prefix: &str) -> Option<&str> {
        self.tags().find_map(|tag| tag.strip_prefix(prefix))
    }

    /// Whether the process that owns a snapshot is still there. What does not say who owns it is nobody's to remove.
    pub(crate) fn is_alive(&self) -> bool {
        let (Some(boot), Some(began)) = (self.tag(BOOT), self.tag(PROCESS)) else {
            return true;
        };
        let (boot, began) = (boot.to_owned(), began.to_owned());
        Process { boot, began }.is_alive()
    }
}

/// A number of bytes as `lvs` says it.
pub(crate) fn bytes(text: &str) -> Result<u64> {
    text.parse()
        .with_context(|| format!("lvs says '{text}' where a number of bytes was expected"))
}

/// All volumes, or those of one group, or one: as lvs(8) takes them.
pub(crate) fn lvs(which: Option<&str>) -> Result<Vec<Line>> {
    #[derive(Deserialize)]
    struct Report {
        report: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        lv: Vec<Line>,
    }
    let columns =
        "vg_name,lv_name,lv_size,origin,pool_lv,lv_tags,lv_kernel_major,lv_kernel_minor,vg_free,vg_extent_size";
    let output = Program::new("lvs")
        .args(["--reportformat", "json", "--units", "b", "--nosuffix", "-o", columns])
        .args(which)
        .timeout(Duration::from_mins(1))
        .stdout()?;
    let report: Report = serde_json::from_slice(&output).context("reading what lvs says")?;
    Ok(report.report.into_iter().flat_map(|part| part.lv).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_are_reaped() {
        let alive = |tags: &str| {
            let line = Line {
                vg_name: "mysql".to_owned(),
                lv_name: "glrl-x".to_owned(),
                lv_size: "0".to_owned(),
                origin: "data".to_owned(),
                pool_lv: String::new(),
                lv_tags: tags.to_owned(),
                lv_kernel_major: "254".to_owned(),
                lv_kernel_minor: "1".to_owned(),
                vg_free: "0".to_owned(),
                vg_extent_size: "4194304".to_owned(),
            };
            line.is_alive()
        };
        let Process { boot, began } = Process::this().unwrap();
        assert!(alive(&format!("glrl_backup,{BOOT}{boot},{PROCESS}{began}")));
        assert!(!alive(&format!("glrl_backup,{BOOT}{boot},{PROCESS}4194305-1")));
        // No owner named: it is not ours to judge.
        assert!(alive("glrl_backup"));
    }
}
