//! apt-get (apt-get(8)): one transaction, no questions, nothing but what was asked for.

use std::{
    path::Path,
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::sys::stat;

use super::{mounts, packages::Packages, tree::Tree};
use crate::system::{Refused, clock, programs::Program};

const LISTS: &str = "/var/lib/apt/lists";
/// Older lists are fetched again before anything is installed from them.
const FRESH: Duration = Duration::from_hours(24);
/// How long another apt or dpkg is waited for.
const LOCK: Duration = Duration::from_mins(10);
/// Packages take minutes on slow machines and lines.
const TIMEOUT: Duration = Duration::from_mins(30);

/// Whether this process has fetched the lists already.
static FETCHED: AtomicBool = AtomicBool::new(false);

/// Installs in one transaction. Names are `name`, `name:architecture` or either with `=version`.
pub(super) fn install(tree: &Tree, packages: &[String]) -> Result<()> {
    finish(tree)?;
    if !FETCHED.load(Ordering::Relaxed) && !lists_are_fresh(tree)? {
        fetch()?;
    }
    let attempt = || apt("install").args(packages).output();
    let mut output = attempt()?;
    if !output.status.success() && !FETCHED.load(Ordering::Relaxed) && lists_are_stale(&output) {
        fetch()?;
        output = attempt()?;
    }
    if output.status.success() {
        // dpkg's record that the packages' scripts have run is on disk, and not what they wrote, which nobody would write again.
        return mounts::sync();
    }
    let removed = removed(&output);
    if removed.is_empty() {
        return Err(shown("install", packages).failed(&output));
    }
    Err(Refused::because(
        format!("installing {} would remove {removed}", packages.join(" ")),
        "declare what may go as `package: {name: …, state: absent}`, before this one",
    ))
}

/// Removes these packages and changes no other; their conffiles stay. apt may want others gone as well, or have others take the
/// place of what goes.
pub(super) fn remove(tree: &Tree, packages: &[String]) -> Result<()> {
    finish(tree)?;
    let simulation = apt("remove").args(["--simulate"]).args(packages).output()?;
    if !simulation.status.success() {
        return Err(shown("remove", packages).failed(&simulation));
    }
    if let Some((what, hint)) = side_effects(&String::from_utf8_lossy(&simulation.stdout), packages) {
        return Err(Refused::because(
            format!("removing {} would also {what}", packages.join(" ")),
            hint,
        ));
    }
    let output = apt("remove").args(packages).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(shown("remove", packages).failed(&output))
}

/// `apt-get VERB PACKAGES`, as errors call it: a dozen options would hide what failed.
fn shown(verb: &str, packages: &[String]) -> Program {
    Program::new("apt-get").args([verb]).args(packages)
}

/// `apt-get VERB` as glrl wants it.
fn apt(verb: &str) -> Program {
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
        .args(if verb == "install" { &["--no-remove"][..] } else { &[] })
        .args([verb])
        .timeout(TIMEOUT)
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

/// Finishes what a dpkg that was killed has begun; apt-get refuses to work before.
fn finish(tree: &Tree) -> Result<()> {
    if !Packages::read(tree)?.interrupted() {
        return Ok(());
    }
    tracing::info!("an earlier dpkg was interrupted: running dpkg --configure -a");
    let program = noninteractive(Program::new("dpkg"))
        .args(["--force-confdef", "--force-confold", "--configure", "-a"])
        .timeout(TIMEOUT);
    // What it cannot configure may lack a dependency that apt-get is about to install: apt-get has the last word.
    let output = patiently(&program, "dpkg frontend lock")?;
    if !output.status.success() {
        tracing::warn!("{:#}", program.failed(&output));
    }
    Ok(())
}

/// `apt-get update`.
fn fetch() -> Result<()> {
    tracing::info!("fetching the package lists: apt-get update");
    let program = apt("update");
    let output = patiently(&program, "Could not get lock")?;
    if !output.status.success() {
        return Err(program.failed(&output)).context("fetching the package lists");
    }
    FETCHED.store(true, Ordering::Relaxed);
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

/// Whether there are lists, and none is older than a day.
fn lists_are_fresh(tree: &Tree) -> Result<bool> {
    let names = tree.list(Path::new(LISTS))?;
    if !names.iter().any(|name| name.to_string_lossy().contains("_Packages")) {
        return Ok(false);
    }
    // The directory of what is being fetched is written to by each update, also when nothing is new.
    let fetched = [LISTS.to_owned(), format!("{LISTS}/partial")]
        .iter()
        .filter_map(|path| stat::stat(path.as_str()).ok())
        .map(|stat| stat.st_mtime)
        .max();
    let age = fetched.map(|fetched| clock::now().as_second() - fetched);
    Ok(age.is_some_and(|age| age < i64::try_from(FRESH.as_secs()).unwrap_or(i64::MAX)))
}

/// Whether newer lists may know better: a package or version is not in them, or an archive they name has gone.
fn lists_are_stale(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    [
        "Unable to locate package",
        "has no installation candidate",
        "was not found",
        "404 ",
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
    let bare = |name: &str| name.split(':').next().unwrap_or(name).to_owned();
    let asked: Vec<String> = packages.iter().map(|name| bare(name)).collect();
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix(sign)?.split_whitespace().next())
        .map(bare)
        .filter(|name| !asked.contains(name))
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
