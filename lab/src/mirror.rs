//! Where Debian packages come from: what the host's own apt is set up to use.

use std::time::Duration;

use anyhow::Result;

use crate::host;

/// Apt sources for the image, one line each, and the apt options needed to reach them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// `deb URI SUITE main`. None: mmdebstrap falls back to Debian's own default.
    pub(crate) sources: Vec<String>,
    /// `Acquire::http::Proxy "…"` and the like.
    pub(crate) options: Vec<String>,
}

const LIMIT: Duration = Duration::from_mins(1);

impl Mirror {
    /// Asks the host's apt. `suite` is the code name of the Debian release that the nodes run, which
    /// need not be the host's.
    pub(crate) fn of_host(suite: &str) -> Result<Self> {
        let targets = host::run(
            "apt-get",
            [
                "indextargets",
                "--format",
                "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
                "Created-By: Packages",
            ],
            LIMIT,
        )?;
        let dump = host::run("apt-config", ["dump", "Acquire"], LIMIT)?;
        Ok(Self {
            sources: sources(&targets, suite),
            options: options(&dump),
        })
    }
}

fn sources(targets: &str, suite: &str) -> Vec<String> {
    let mut sources = Vec::new();
    for target in targets.lines() {
        let suites = match target.split('|').collect::<Vec<_>>()[..] {
            ["Debian", "Debian", uri] => vec![(uri, suite.to_owned()), (uri, format!("{suite}-updates"))],
            ["Debian", "Debian-Security", uri] => vec![(uri, format!("{suite}-security"))],
            _ => Vec::new(),
        };
        for (uri, suite) in suites {
            let source = format!("deb {uri} {suite} main");
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
    }
    sources
}

/// How the host reaches its mirrors; not how it stores lists or what it calls itself.
fn options(dump: &str) -> Vec<String> {
    const KEPT: [&str; 5] = [
        "Acquire::Check-",
        "Acquire::http::",
        "Acquire::https::",
        "Acquire::Retries ",
        "Acquire::ForceIPv",
    ];
    dump.lines()
        .filter(|line| KEPT.iter().any(|kept| line.starts_with(kept)) && !line.ends_with("\"\";"))
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_mirrors_serve_the_nodes_release() {
        let targets = "Debian|Debian|http://mirror/debian/\n\
                       Debian|Debian|http://mirror/debian/\n\
                       Debian|Debian-Security|http://mirror/security/\n\
                       Debian|Debian Backports|http://mirror/debian/\n\
                       Ubuntu|Ubuntu|http://other/\n";
        assert_eq!(
            sources(targets, "bookworm"),
            [
                "deb http://mirror/debian/ bookworm main",
                "deb http://mirror/debian/ bookworm-updates main",
                "deb http://mirror/security/ bookworm-security main",
            ]
        );
    }

    #[test]
    fn options_are_those_that_reach_a_mirror() {
        let dump = "Acquire \"\";\nAcquire::Languages \"none\";\nAcquire::Check-Date \"false\";\n\
                    Acquire::http \"\";\nAcquire::http::Proxy \"http://proxy:3128\";\n";
        assert_eq!(
            options(dump),
            [
                "Acquire::Check-Date \"false\"",
                "Acquire::http::Proxy \"http://proxy:3128\""
            ]
        );
    }
}
