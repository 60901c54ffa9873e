//! What the lab needs of the machine it runs on: programs, and how they are run.

use std::{ffi::OsString, path::Path, time::Duration};

use anyhow::{Context, Result, bail};

/// A program the lab calls and the Debian package that brings it. `packages.txt` lists the same
/// packages, which a test holds.
pub(crate) const PROGRAMS: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("dpkg-scanpackages", "dpkg-dev"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("xz", "xz-utils"),
];

/// Checks that every program is there.
///
/// # Errors
/// Names what is missing and the packages that bring it.
pub(crate) fn check() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| {
        std::env::split_paths(&path)
            .chain([Path::new("/usr/sbin").into(), Path::new("/sbin").into()])
            .any(|folder| folder.join(program).is_file())
    };
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _)| !found(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    bail!(
        "the lab needs {}, which this machine has not: run `sh lab/install-packages.sh` as root \
         (Debian packages: {})",
        programs.join(", "),
        packages.join(" ")
    );
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started, exits non-zero (the end of its standard error is told) or is still
/// running after `limit`.
pub(crate) fn run<I>(program: &str, arguments: I, limit: Duration) -> Result<String>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let output = wait(&duct::cmd(program, arguments), limit).with_context(|| format!("running {program}"))?;
    if !output.status.success() {
        bail!("{program} failed ({}): {}", output.status, tail(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for `expression`, its output captured; a non-zero exit is no error here.
///
/// # Errors
/// When it cannot be started or is still running after `limit`; then it is killed.
pub(crate) fn wait(expression: &duct::Expression, limit: Duration) -> Result<std::process::Output> {
    let handle = expression
        .env("PATH", search_path())
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .start()?;
    if let Some(output) = handle.wait_timeout(limit)? {
        return Ok(output.clone());
    }
    handle.kill()?;
    bail!("still running after {} s: ended", limit.as_secs())
}

/// The search path with the system folders, which an ordinary user's may lack.
pub(crate) fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// The last lines of what a program or console said, for an error message.
pub(crate) fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Whether `text` holds `part`.
pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_txt_lists_what_brings_the_programs() {
        let listed: Vec<_> = include_str!("../packages.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        for (program, package) in PROGRAMS {
            let essential = ["apt", "dpkg", "util-linux"].contains(package);
            assert!(essential || listed.contains(package), "{program}: {package}");
        }
    }

    #[test]
    fn a_failing_program_tells_its_last_words() {
        let error = run("sh", ["-c", "echo why >&2; exit 3"], Duration::from_secs(9)).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = run("sleep", ["60"], Duration::from_millis(50)).unwrap_err();
        assert!(format!("{error:#}").contains("still running"), "{error:#}");
    }
}
