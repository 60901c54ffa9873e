//! Where packages come from: what the host's own apt is set up to use, else the distribution's own archive.

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{host, release::Release};

/// Apt sources for the image, one line each, and the apt options needed to reach them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// `deb URI SUITE COMPONENTS`. None: mmdebstrap falls back to Debian's own default.
    pub(crate) sources: Vec<String>,
    /// `Acquire::http::Proxy "…"` and the like.
    pub(crate) options: Vec<String>,
    /// The apt source of the package with the archive's keys, where the host has none.
    pub(crate) keyring_from: Option<String>,
}

const LIMIT: Duration = Duration::from_mins(1);

/// Where Ubuntu keeps its archive's keys, as does whoever has them on Debian.
const UBUNTU_KEYRING: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

impl Mirror {
    /// Asks the host's apt. The release that the nodes run need not be the host's.
    pub(crate) fn of_host(release: Release) -> Result<Self> {
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
        let keys_missing = release == Release::Noble && !Path::new(UBUNTU_KEYRING).exists();
        Ok(Self {
            sources: sources(&targets, release),
            options: options(&dump),
            keyring_from: keys_missing.then(|| keyring_source(&targets)),
        })
    }

    /// Returns why the archive cannot be reached, by apt's own client; `None` where it can.
    pub(crate) fn unreachable(&self, release: Release) -> Result<Option<String>> {
        let Some(uri) = self.sources.first().and_then(|source| source.split(' ').nth(1)) else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("InRelease");
        let index = format!("{}/dists/{}/InRelease", uri.trim_end_matches('/'), release.suite());
        let arguments = ["download-file".as_ref(), index.as_ref(), file.as_os_str()];
        let tried = host::run("/usr/lib/apt/apt-helper", arguments, LIMIT);
        Ok(tried.err().map(|error| format!("{index} cannot be had: {error:#}")))
    }
}

fn sources(targets: &str, release: Release) -> Vec<String> {
    let (origin, suite) = (release.distribution(), release.suite());
    let (components, own_archive) = match release {
        Release::Bookworm => ("main", None),
        Release::Noble => ("main universe", Some("http://archive.ubuntu.com/ubuntu")),
    };
    let archives = targets.lines().filter_map(|target| {
        let [of, label, uri] = target.split('|').collect::<Vec<_>>()[..] else {
            return None;
        };
        let security = label.strip_prefix(origin) == Some("-Security");
        (of == origin && (security || label == origin)).then_some((uri, security))
    });
    let mut archives: Vec<_> = archives.collect();
    if archives.is_empty() {
        archives.extend(own_archive.map(|uri| (uri, false)));
    }
    let mut sources = Vec::new();
    for (uri, security) in archives {
        // Ubuntu's security updates are among its updates, too.
        for pocket in if security {
            &["-security"][..]
        } else {
            &["", "-updates"]
        } {
            let source = format!("deb {uri} {suite}{pocket} {components}");
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
    }
    sources
}

/// The Debian release that has Ubuntu's keys in a package.
fn keyring_source(targets: &str) -> String {
    let own = targets.lines().find_map(|target| target.strip_prefix("Debian|Debian|"));
    format!("deb {} trixie main", own.unwrap_or("http://deb.debian.org/debian"))
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

    const DEBIAN: &str = "Debian|Debian|http://mirror/debian/\n\
                          Debian|Debian|http://mirror/debian/\n\
                          Debian|Debian-Security|http://mirror/security/\n\
                          Debian|Debian Backports|http://mirror/debian/\n";

    #[test]
    fn the_hosts_mirrors_serve_the_nodes_release() {
        let targets = format!("{DEBIAN}Ubuntu|Ubuntu|http://other/\n");
        assert_eq!(
            sources(&targets, Release::Bookworm),
            [
                "deb http://mirror/debian/ bookworm main",
                "deb http://mirror/debian/ bookworm-updates main",
                "deb http://mirror/security/ bookworm-security main",
            ]
        );
        assert_eq!(
            sources(&targets, Release::Noble),
            [
                "deb http://other/ noble main universe",
                "deb http://other/ noble-updates main universe",
            ]
        );
    }

    #[test]
    fn a_host_of_debian_has_ubuntu_from_its_own_archive_and_its_keys_from_debian() {
        assert_eq!(
            sources(DEBIAN, Release::Noble),
            [
                "deb http://archive.ubuntu.com/ubuntu noble main universe",
                "deb http://archive.ubuntu.com/ubuntu noble-updates main universe",
            ]
        );
        assert_eq!(keyring_source(DEBIAN), "deb http://mirror/debian/ trixie main");
        assert_eq!(
            keyring_source("Ubuntu|Ubuntu|http://other/\n"),
            "deb http://deb.debian.org/debian trixie main"
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
