//! apt-get (apt-get(8)): one transaction, no questions, nothing but what was asked for.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::stat;

use super::{guard, mounts, packages::Packages, tree::Tree};
use crate::system::{Entry, FileType, Foretold, Refused, clock, limit, programs::Program};

const LISTS: &str = "/var/lib/apt/lists";
/// Older lists are fetched again before anything is installed from them.
const FRESH: Duration = Duration::from_hours(24);
/// How long another apt or dpkg is waited for.
const LOCK: Duration = Duration::from_mins(10);
/// Packages take minutes on slow machines and lines.
const TIMEOUT: Duration = Duration::from_mins(30);

/// The package lists of a node, which are fetched once, at most, by a `LocalNode`.
#[derive(Debug, Default)]
pub(super) struct Lists(AtomicBool);

impl Lists {
    fn were_fetched(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `apt-get update`.
    fn fetch(&self) -> Result<()> {
        tracing::info!("fetching the package lists: apt-get update");
        let program = apt("update");
        let output = patiently(&program, "Could not get lock")?;
        if !output.status.success() {
            return Err(program.failed(&output)).context("fetching the package lists");
        }
        self.0.store(true, Ordering::Relaxed);
        // apt renames what it has not synced: after a power cut a list would be there, and empty.
        mounts::sync()
    }
}

/// Installs in one transaction. Names are `name`, `name:architecture` or either with `=version`.
pub(super) fn install(tree: &Tree, lists: &Lists, packages: &[String]) -> Result<()> {
    let mut repaired = finish(tree, lists)?;
    if sources_are_newer(tree)? || !lists.were_fetched() && !lists_are_fresh(tree)? {
        lists.fetch()?;
        repaired = true;
    }
    if repaired {
        // It could not be asked when this was planned, or would have said something else.
        foretell(tree, packages, &[])?.check("installing", packages)?;
    }
    let attempt = || apt("install").args(packages).output();
    let mut output = attempt()?;
    if !output.status.success() && !lists.were_fetched() && lists_are_stale(&output) {
        lists.fetch()?;
        foretell(tree, packages, &[])?.check("installing", packages)?;
        output = attempt()?;
    }
    if output.status.success() {
        // dpkg's record that the packages' scripts have run is on disk, and not what they wrote, which nobody would write again.
        return mounts::sync();
    }
    let removed = removed(&output);
    if !removed.is_empty() {
        return Err(Refused::because(
            format!("installing {} would remove {removed}", packages.join(" ")),
            TO_REMOVE,
        ));
    }
    let error = shown("install", packages).failed(&output);
    let now = Packages::read(tree)?;
    if packages.iter().all(|package| now.is_whole(package)) {
        // apt-get fails for any other package, too, that it cannot configure.
        tracing::warn!("{} is installed all the same: {error:#}", packages.join(" "));
        return mounts::sync();
    }
    Err(error)
}

const TO_REMOVE: &str = "declare what may go as `package: {name: …, state: absent}`, before this one";

/// Removes these packages, or purges them, and changes no other. apt may want others gone as well, or have others take the
/// place of what goes.
pub(super) fn remove(tree: &Tree, lists: &Lists, packages: &[String], purge: bool) -> Result<()> {
    finish(tree, lists)?;
    let verb = if purge { "purge" } else { "remove" };
    let simulation = apt(verb).args(["--simulate"]).args(packages).output()?;
    if !simulation.status.success() {
        return Err(shown(verb, packages).failed(&simulation));
    }
    let simulated = String::from_utf8_lossy(&simulation.stdout).replace("\nPurg ", "\nRemv ");
    if let Some((what, hint)) = side_effects(&simulated, packages) {
        return Err(Refused::because(
            format!("removing {} would also {what}", packages.join(" ")),
            hint,
        ));
    }
    let output = apt(verb).args(packages).output()?;
    if output.status.success() {
        return Ok(());
    }
    let error = shown(verb, packages).failed(&output);
    let now = Packages::read(tree)?;
    if packages
        .iter()
        .all(|package| now.get(package).is_none() && !(purge && now.is_leftover(package)))
    {
        tracing::warn!("{} is removed all the same: {error:#}", packages.join(" "));
        return Ok(());
    }
    Err(error)
}

/// What a transaction would do, by apt's lists as they are. Nothing is written, not even apt's own cache.
pub(super) fn foretell(tree: &Tree, install: &[String], remove: &[String]) -> Result<Foretold> {
    if !lists_are_fresh(tree)? || sources_are_newer(tree)? || Packages::read(tree)?.interrupted() {
        return Ok(Foretold::Unknown);
    }
    let program = apt(if install.is_empty() {
        "remove"
    } else {
        "simulated install"
    })
    .args(["--simulate"])
    .args(install)
    .args(remove.iter().map(|name| {
        if install.is_empty() {
            name.clone()
        } else {
            format!("{name}-")
        }
    }));
    let output = match program.confined(guard::confine).output() {
        Ok(output) => output,
        Err(error) => {
            tracing::debug!("apt is not asked: {error:#}");
            return Ok(Foretold::Unknown);
        }
    };
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    if !output.status.success() {
        return Ok(impossible(&said, &errors).map_or(Foretold::Unknown, |why| Foretold::Impossible { why }));
    }
    // apt takes the only package that provides a name for the name.
    let (touched, known) = (touched(&said), Packages::read(tree)?);
    for name in install.iter().filter_map(|name| name.split('=').next()) {
        if !touched.contains(&bare(name)) && known.get(name).is_none() {
            let why = only_provided(name, &providers(name));
            return Ok(Foretold::Impossible { why });
        }
    }
    let asked = [install, remove].concat();
    let (removed, installed) = (simulated(&said, "Remv ", &asked), simulated(&said, "Inst ", &asked));
    Ok(if install.is_empty() {
        side_effects(&said, remove).map_or(Foretold::Possible, |(what, hint)| Foretold::More { what, hint })
    } else if removed.is_empty() {
        tracing::debug!("apt would install {} too", installed.join(", "));
        Foretold::Possible
    } else {
        let what = format!("remove {}", removed.join(", "));
        Foretold::More { what, hint: TO_REMOVE }
    })
}

fn only_provided(name: &str, providers: &[String]) -> String {
    let among = if providers.is_empty() {
        String::new()
    } else {
        format!(": {}", providers.join(", "))
    };
    format!("there is no package {name}, only others that provide it: name one of them{among}")
}

/// The packages that provide a name.
fn providers(name: &str) -> Vec<String> {
    let shown = Program::new("apt-cache")
        .args(["showpkg", name])
        .confined(guard::confine)
        .stdout();
    let shown = shown.unwrap_or_default();
    let text = String::from_utf8_lossy(&shown);
    let provides = text
        .lines()
        .skip_while(|line| !line.starts_with("Reverse Provides"))
        .skip(1);
    let mut names: Vec<String> = provides
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The packages that a simulation installs or configures, by their names alone.
fn touched(simulation: &str) -> HashSet<&str> {
    let lines = simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ").or_else(|| line.strip_prefix("Conf ")));
    lines
        .filter_map(|line| line.split_whitespace().next())
        .map(bare)
        .collect()
}

/// A name without its architecture.
fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// Why apt cannot do it, where newer lists would not change that; nothing where something has to be repaired first.
fn impossible(said: &str, errors: &str) -> Option<String> {
    if let Some(name) = errors
        .lines()
        .find_map(|line| line.strip_prefix("E: Unable to locate package "))
    {
        return Some(match name.split_once(':') {
            Some((_, architecture)) => format!(
                "apt knows no package {name}: see the name, or add the architecture (dpkg --add-architecture {architecture})"
            ),
            None => {
                format!("apt knows no package {name}: see the name, or declare the repository that has it, before it")
            }
        });
    }
    if let Some(line) = errors
        .lines()
        .find(|line| line.contains("has no installation candidate"))
    {
        let name = line.split('\'').nth(1).unwrap_or_default();
        let providers: Vec<String> = said
            .lines()
            .skip_while(|line| !line.contains("is a virtual package provided by:"))
            .skip(1)
            .take_while(|line| line.starts_with(' '))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        return Some(if providers.is_empty() {
            format!("apt knows {name}, and no repository has it")
        } else {
            only_provided(name, &providers)
        });
    }
    if let Some(line) = errors.lines().find(|line| line.contains("was not found")) {
        return Some(line.trim_start_matches("E: ").to_owned() + ": see `apt-cache policy` for those that there are");
    }
    if errors.contains("fix-broken") {
        return None;
    }
    let unmet: Vec<&str> = said
        .lines()
        .skip_while(|line| !line.contains("have unmet dependencies"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(str::trim)
        .collect();
    (!unmet.is_empty()).then(|| format!("its dependencies cannot be met: {}", unmet.join("; ")))
}

/// `apt-get VERB PACKAGES`, as errors call it: a dozen options would hide what failed.
fn shown(verb: &str, packages: &[String]) -> Program {
    Program::new("apt-get").args([verb]).args(packages)
}

/// `apt-get VERB` as glrl wants it.
fn apt(verb: &str) -> Program {
    let (verb, simulated) = verb
        .strip_prefix("simulated ")
        .map_or((verb, false), |verb| (verb, true));
    noninteractive(Program::new("apt-get"))
        .args([
            "-y",
            "-q",
            // Recommended packages are services nobody declared: `cron` recommends a mail server.
            "--no-install-recommends",
            "--allow-downgrades",
            "-oDpkg::Options::=--force-confdef",
            "-oDpkg::Options::=--force-confold",
            "-oDpkg::Use-Pty=0",
            "-oAcquire::Retries=3",
            // An unknown name is an error, not a regular expression that matches a hundred others.
            "-oAPT::Cmd::Pattern-Only=true",
        ])
        .args([format!("-oDPkg::Lock::Timeout={}", LOCK.as_secs())])
        // A removal that nobody declared is refused.
        .args(if verb == "install" && !simulated {
            &["--no-remove"][..]
        } else {
            &[]
        })
        .args([verb])
        .timeout(limit::or(TIMEOUT))
        .survives()
}

/// No questions, whoever would ask them, and no restarts of other services: a restart is the plan's to decide.
fn noninteractive(program: Program) -> Program {
    program
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("DEBIAN_PRIORITY", "critical")
        .env("APT_LISTCHANGES_FRONTEND", "none")
        .env("UCF_FORCE_CONFFOLD", "1")
        .env("NEEDRESTART_MODE", "l")
}

/// Finishes what a dpkg that was killed has begun; apt-get refuses to work before. Returns whether there was anything.
fn finish(tree: &Tree, lists: &Lists) -> Result<bool> {
    let packages = Packages::read(tree)?;
    if !packages.interrupted() {
        return Ok(false);
    }
    tracing::info!("an earlier dpkg was interrupted: running dpkg --configure -a");
    let program = noninteractive(Program::new("dpkg"))
        .args(["--force-confdef", "--force-confold", "--configure", "-a"])
        .timeout(limit::or(TIMEOUT))
        .survives();
    // What it cannot configure may lack a dependency that apt-get is about to install: apt-get has the last word.
    let output = patiently(&program, "dpkg frontend lock")?;
    if !output.status.success() {
        tracing::warn!("{:#}", program.failed(&output));
    }
    unpack_again(lists, &packages.to_reinstall())?;
    Ok(true)
}

/// Has apt unpack again what dpkg was killed over; until then both refuse to do anything else.
fn unpack_again(lists: &Lists, packages: &[String]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    tracing::info!("dpkg was killed over {}: installing again", packages.join(", "));
    let attempt = || apt("install").args(["--reinstall"]).args(packages).output();
    let mut output = attempt()?;
    if !output.status.success() && !lists.were_fetched() {
        lists.fetch()?;
        output = attempt()?;
    }
    if !output.status.success() {
        tracing::warn!("{:#}", shown("install --reinstall", packages).failed(&output));
    }
    Ok(())
}

/// Runs a program again while it says that another holds the lock: `DPkg::Lock::Timeout` covers neither the lock of the lists
/// nor dpkg itself.
fn patiently(program: &Program, held: &str) -> Result<Output> {
    let until = Instant::now() + LOCK;
    loop {
        let output = program.output()?;
        let waits = !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(held);
        if !waits {
            return Ok(output);
        }
        if Instant::now() > until {
            bail!("another apt or dpkg has run for {} minutes", LOCK.as_secs() / 60);
        }
        thread::sleep(Duration::from_secs(2));
    }
}

/// Whether there are lists, none is empty, and none is older than a day.
fn lists_are_fresh(tree: &Tree) -> Result<bool> {
    let names = tree.list(Path::new(LISTS))?;
    let mut lists = names
        .iter()
        .filter(|name| name.to_string_lossy().contains("_Packages"))
        .peekable();
    let is_empty = |name: &OsString| {
        let list = tree.entry(&Path::new(LISTS).join(name));
        matches!(
            list,
            Ok(Some(Entry {
                file_type: FileType::File { size: 0 },
                ..
            }))
        )
    };
    if lists.peek().is_none() || lists.any(is_empty) {
        return Ok(false);
    }
    let age = fetched().map(|(fetched, _)| clock::now().as_second() - fetched);
    Ok(age.is_some_and(|age| age < i64::try_from(FRESH.as_secs()).unwrap_or(i64::MAX)))
}

/// When the lists were fetched. The directory of what is being fetched is written to by each update, also when nothing is new.
fn fetched() -> Option<(i64, i64)> {
    [PathBuf::from(LISTS), Path::new(LISTS).join("partial")]
        .iter()
        .filter_map(|path| changed(path))
        .max()
}

/// Whether a repository was added, changed or removed since the lists were fetched.
fn sources_are_newer(tree: &Tree) -> Result<bool> {
    const SOURCES: &str = "/etc/apt/sources.list";
    let directory = Path::new("/etc/apt/sources.list.d");
    let files = tree.list(directory)?;
    let files = files.iter().map(|name| directory.join(name));
    let newest = [PathBuf::from(SOURCES), directory.to_owned()]
        .into_iter()
        .chain(files)
        .filter_map(|path| changed(&path))
        .max();
    Ok(newest > fetched())
}

/// When a file, or what a directory lists, was last changed.
fn changed(path: &Path) -> Option<(i64, i64)> {
    stat::stat(path).ok().map(|stat| (stat.st_mtime, stat.st_mtime_nsec))
}

/// Whether newer lists may know better: a package or version is not in them, or an archive they name has gone.
fn lists_are_stale(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    [
        "Unable to locate package",
        "has no installation candidate",
        "was not found",
        "404 ",
        "needs to be reinstalled, but I can't find an archive for it",
    ]
    .iter()
    .any(|sign| said.contains(sign))
}

/// The packages of "The following packages will be REMOVED", which `--no-remove` has prevented.
fn removed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines().skip_while(|line| !line.ends_with("will be REMOVED:"));
    lines.next();
    let names: Vec<&str> = lines
        .take_while(|line| line.starts_with(' '))
        .flat_map(str::split_whitespace)
        .collect();
    names.join(", ")
}

/// What `apt-get -s remove` would do besides removing these, and what to do about it.
fn side_effects(simulation: &str, packages: &[String]) -> Option<(String, &'static str)> {
    let removed = simulated(simulation, "Remv ", packages);
    let installed = simulated(simulation, "Inst ", packages);
    let (removed, installed) = (removed.join(", "), installed.join(", "));
    Some(match (removed.is_empty(), installed.is_empty()) {
        (true, true) => return None,
        (false, true) => (
            format!("remove {removed}"),
            "declare those absent too, or keep this one",
        ),
        (true, false) => (
            format!("install {installed}"),
            "declare what is to take its place as `package: {name: …}`, before this one, or keep this one",
        ),
        (false, false) => (
            format!("remove {removed} and install {installed}"),
            "declare all of these, before this one, or keep this one",
        ),
    })
}

/// The packages other than these in the lines of a simulation that begin so, by their names alone.
fn simulated(simulation: &str, sign: &str, packages: &[String]) -> Vec<String> {
    let asked: Vec<&str> = packages
        .iter()
        .map(|name| bare(name.split('=').next().unwrap_or(name)))
        .collect();
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix(sign)?.split_whitespace().next())
        .map(bare)
        .filter(|name| !asked.contains(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn side_effect(simulation: &str, packages: &[&str]) -> Option<String> {
        let packages: Vec<String> = packages.iter().map(|&name| name.to_owned()).collect();
        side_effects(simulation, &packages).map(|(what, _)| what)
    }

    #[test]
    fn a_removal_names_those_that_would_follow() {
        let simulation = "Reading package lists...\nRemv git [1:2.39] \nRemv git-man [1:2.39]\nRemv libx:i386 [1]\n";
        assert_eq!(
            side_effect(simulation, &["git"]).as_deref(),
            Some("remove git-man, libx")
        );
        assert_eq!(side_effect("Remv git [1]\n", &["git:amd64"]), None);
    }

    /// `apt-get -s remove mawk gawk` of apt 2.6 on Debian 12, where base-files needs an awk.
    #[test]
    fn a_removal_names_those_that_would_take_its_place() {
        let simulation = "\
Inst base-files [12.4+deb12u11] (12.4+deb12u15 Debian:12.15/oldstable [amd64])
Conf base-files (12.4+deb12u15 Debian:12.15/oldstable [amd64])
Remv mariadb-server [1:10.11.19-0+deb12u1]
Remv gawk [1:5.2.1-2]
Remv mawk [1.3.4.20200120-3.1] []
Inst original-awk (2022-09-12-1 Debian:12.15/oldstable [amd64])
Conf original-awk (2022-09-12-1 Debian:12.15/oldstable [amd64])
";
        assert_eq!(
            side_effect(simulation, &["gawk", "mawk", "mariadb-server"]).as_deref(),
            Some("install base-files, original-awk")
        );
        assert_eq!(
            side_effect(simulation, &["gawk", "mawk"]).as_deref(),
            Some("remove mariadb-server and install base-files, original-awk")
        );
    }

    #[test]
    fn a_prevented_removal_is_named() {
        let output = Output {
            status: std::process::ExitStatus::from_raw(100 << 8),
            stdout:
                b"The following packages will be REMOVED:\n  mysql-server mysql-client\nThe following NEW packages\n"
                    .to_vec(),
            stderr: b"E: Packages need to be removed but remove is disabled.\n".to_vec(),
        };
        assert_eq!(removed(&output), "mysql-server, mysql-client");
        assert!(!lists_are_stale(&output));
    }
}
