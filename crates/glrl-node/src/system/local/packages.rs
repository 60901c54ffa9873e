//! dpkg's status file (deb822(5), dpkg(1)), read once.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result};

use super::tree::Tree;
use crate::system::Package;

const STATUS: &str = "/var/lib/dpkg/status";
/// What a dpkg that did not live to the end has noted and not yet merged into the status file.
const UPDATES: &str = "/var/lib/dpkg/updates";

/// All packages that are installed, wholly or half.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Packages {
    /// By name; of one name there may be several architectures.
    known: HashMap<Box<str>, Vec<Build>>,
    /// What `name` without an architecture stands for.
    native: Box<str>,
    /// Whether a dpkg was interrupted: `dpkg --configure -a` has work to do.
    interrupted: bool,
}

/// One package of one architecture.
#[derive(Debug, PartialEq)]
struct Build {
    architecture: Box<str>,
    /// `None` where only conffiles, or nothing, is left.
    package: Option<Package>,
    /// Whether its conffiles are left, and nothing else.
    leftover: bool,
    /// Whether dpkg wants it unpacked again before it does anything else with it (`reinstreq`).
    again: bool,
}

impl Packages {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        let status = tree
            .contents(Path::new(STATUS))?
            .with_context(|| format!("there is no {STATUS}: packages are managed where dpkg and apt manage them"))?;
        let mut packages = Self::default();
        packages.add(&status);
        for name in tree.list(Path::new(UPDATES))? {
            if name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                packages.interrupted = true;
                let update = tree.contents(&Path::new(UPDATES).join(name))?;
                packages.add(update.as_deref().unwrap_or_default());
            }
        }
        packages.settle();
        Ok(packages)
    }

    /// Sorts out what belongs together, when all is read.
    pub(super) fn settle(&mut self) {
        // dpkg itself is always of the native architecture.
        if let Some(dpkg) = self.known.get("dpkg").and_then(|builds| builds.last()) {
            self.native = dpkg.architecture.clone();
        }
        // One that is for all architectures is in the place of the native one: what an interrupted dpkg changed from one into the other
        // is both in the status file and in what it has noted, and the later counts.
        let in_place = |build: &Build| build.architecture == self.native || &*build.architecture == "all";
        for builds in self.known.values_mut() {
            let later: Vec<bool> = (1..=builds.len())
                .map(|next| builds[next..].iter().any(in_place))
                .collect();
            let mut later = later.into_iter();
            builds.retain(|build| !(later.next().unwrap_or_default() && in_place(build)));
        }
    }

    /// A package by `name`, which is one of the native architecture or of all, or by `name:architecture`.
    pub(super) fn get(&self, name: &str) -> Option<Package> {
        self.build(name)?.package.clone()
    }

    /// Whether nothing but its conffiles is left of it.
    pub(super) fn is_leftover(&self, name: &str) -> bool {
        self.build(name).is_some_and(|build| build.leftover)
    }

    fn build(&self, name: &str) -> Option<&Build> {
        let (name, architecture) = name.split_once(':').unwrap_or((name, &self.native));
        let builds = self.known.get(name)?;
        let of = |architecture: &str| builds.iter().find(|build| *build.architecture == *architecture);
        of(architecture).or_else(|| of("all"))
    }

    /// Whether dpkg has to finish what an earlier run began before anything else can be installed.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted
            || self
                .known
                .values()
                .flatten()
                .any(|build| build.package.as_ref().is_some_and(|package| !package.configured))
    }

    /// Those that have to be unpacked again.
    pub(super) fn to_reinstall(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, builds) in &self.known {
            for build in builds.iter().filter(|build| build.again) {
                names.push(if build.architecture == self.native || &*build.architecture == "all" {
                    name.to_string()
                } else {
                    format!("{name}:{}", build.architecture)
                });
            }
        }
        names.sort_unstable();
        names
    }

    /// Whether a package, or that version of it (`name=version`), is there and whole.
    pub(super) fn is_whole(&self, wanted: &str) -> bool {
        let (name, version) = wanted.split_once('=').unwrap_or((wanted, ""));
        let whole = |package: &Package| package.configured && (version.is_empty() || package.version == version);
        self.get(name).as_ref().is_some_and(whole)
    }

    /// Reads stanzas; one that is known already is replaced.
    pub(super) fn add(&mut self, stanzas: &[u8]) {
        let mut stanza = Stanza::default();
        for line in stanzas.split(|&b| b == b'\n') {
            if line.is_empty() {
                self.take(&stanza);
                stanza = Stanza::default();
            } else if let Some(rest) = line.strip_prefix(b"Package: ") {
                stanza.name = rest;
            } else if let Some(rest) = line.strip_prefix(b"Status: ") {
                stanza.status = rest;
            } else if let Some(rest) = line.strip_prefix(b"Architecture: ") {
                stanza.architecture = rest;
            } else if let Some(rest) = line.strip_prefix(b"Version: ") {
                stanza.version = rest;
            }
        }
        self.take(&stanza);
    }

    fn take(&mut self, stanza: &Stanza) {
        let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
        // As dpkg names them; with anything else in it a name would be taken apart, or be an option to apt.
        let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"+.-".contains(byte);
        let name = stanza.name.trim_ascii_end();
        if !name.first().is_some_and(u8::is_ascii_alphanumeric) || !name.iter().all(is_in_name) {
            return;
        }
        let mut words = stanza.status.split(|&b| b == b' ');
        let (want, flag, state) = (words.next(), words.next(), words.next());
        let leftover = state == Some(b"config-files");
        let again = flag == Some(b"reinstreq");
        let package = match state {
            None | Some(b"not-installed" | b"config-files") => None,
            Some(state) => Some(Package {
                version: text(stanza.version),
                hold: want == Some(b"hold"),
                configured: state == b"installed" && !again,
            }),
        };
        let architecture = text(stanza.architecture).into_boxed_str();
        let builds = self.known.entry(text(stanza.name).into_boxed_str()).or_default();
        // The last one is the latest.
        builds.retain(|build| build.architecture != architecture);
        builds.push(Build {
            architecture,
            package,
            leftover,
            again,
        });
    }
}

/// The fields of interest, as they are read.
#[derive(Default)]
struct Stanza<'a> {
    name: &'a [u8],
    status: &'a [u8],
    architecture: &'a [u8],
    version: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(status: &str) -> Packages {
        let mut packages = Packages {
            native: "amd64".into(),
            ..Packages::default()
        };
        packages.add(status.as_bytes());
        packages.settle();
        packages
    }

    const STANZAS: &str = "\
Package: g++
Status: install ok installed
Architecture: amd64
Version: 4:12.2.0-3
Description: compiler
 Package: not-a-field
 .

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9

Package: tzdata
Status: hold ok installed
Architecture: all
Version: 2024a

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: torn
Status: install reinstreq half-installed
Architecture: amd64
Version: 1

Package: torn-too
Status: purge reinstreq installed
Architecture: i386
Version: 1

Package: half
Status: install ok half-configured
Architecture: amd64
Version: 1
";

    #[test]
    fn only_what_is_installed_is_there() {
        let packages = parse(STANZAS);
        assert_eq!(packages.get("g++").unwrap().version, "4:12.2.0-3");
        assert_eq!(packages.get("gone"), None);
        assert!(packages.is_leftover("gone") && !packages.is_leftover("g++") && !packages.is_leftover("none"));
        assert_eq!(packages.get("not-a-field"), None);
        assert_eq!(
            parse(&STANZAS.replace("Package: torn", "Package: -o:torn")).to_reinstall(),
            [""; 0]
        );
        assert!(packages.get("tzdata").unwrap().hold);
        assert!(!packages.get("half").unwrap().configured && packages.interrupted());
        assert_eq!(packages.to_reinstall(), ["torn", "torn-too:i386"]);
        assert!(!packages.get("torn").unwrap().configured);
        assert!(packages.is_whole("g++=4:12.2.0-3") && !packages.is_whole("g++=5") && !packages.is_whole("torn"));
    }

    #[test]
    fn a_bare_name_is_of_the_native_architecture() {
        let packages = parse(STANZAS);
        assert_eq!(packages.get("libc6"), None);
        assert!(packages.get("libc6:i386").is_some());
        assert!(packages.get("g++:amd64").is_some() && packages.get("g++:i386").is_none());
        assert!(packages.get("tzdata").is_some() && packages.get("tzdata:amd64").is_some());
    }

    #[test]
    fn what_was_for_all_architectures_and_is_native_now_is_one_package() {
        let stanza = |architecture: &str, state: &str| {
            format!("Package: tzdata\nStatus: install {state}\nArchitecture: {architecture}\nVersion: 1\n\n")
        };
        for (before, now) in [("all", "amd64"), ("amd64", "all")] {
            let mut packages = parse(&(stanza(before, "ok installed") + &stanza("i386", "ok installed")));
            packages.add(stanza(now, "reinstreq half-installed").as_bytes());
            packages.settle();
            assert!(
                !packages.is_whole("tzdata") && packages.is_whole("tzdata:i386"),
                "{packages:?}"
            );
            assert_eq!(packages.to_reinstall(), ["tzdata"]);
        }
    }

    #[test]
    fn a_later_stanza_replaces_an_earlier_one() {
        let mut packages = parse(STANZAS);
        packages.add(b"Package: g++\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 5\n");
        let gpp = packages.get("g++").unwrap();
        assert_eq!((gpp.version.as_str(), gpp.configured), ("5", false));
    }
}
