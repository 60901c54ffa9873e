//! What libblkid finds on a device: `blkid -p` and `wipefs`, which have to agree.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::system::{Signature, programs::Program};

/// A probe reads a few dozen blocks; a device that takes longer than this is not well.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Both programs say: nothing.
    Nothing,
    /// Both programs say: this.
    Signature(Signature),
    /// They contradict each other, or themselves.
    Unclear(String),
}

/// Asks both.
pub(super) fn read(device: &Path) -> Result<Found> {
    let blkid = blkid(device)?;
    let wipefs = wipefs(device)?;
    Ok(judge(blkid, &wipefs))
}

/// The low-level probe (blkid(8)): 0 found, 2 nothing found, 8 ambivalent; anything else is a failure.
fn blkid(device: &Path) -> Result<Found> {
    let program = Program::new("blkid")
        .args(["-p", "-o", "export"])
        .args([device])
        .timeout(TIMEOUT);
    let output = program.output()?;
    let export = String::from_utf8_lossy(&output.stdout);
    Ok(match output.status.code() {
        Some(0) => match signature(&export) {
            Some(signature) if export.contains("\nTYPE=") => Found::Signature(signature),
            Some(table) => Found::Signature(Signature {
                partitions: partitions(device)?,
                ..table
            }),
            None => Found::Unclear("blkid finds something that it gives no type".to_owned()),
        },
        Some(2) => Found::Nothing,
        Some(8) => {
            Found::Unclear("it carries several signatures that contradict each other (blkid: ambivalent)".to_owned())
        }
        _ => return Err(program.failed(&output)),
    })
}

/// `TYPE=xfs`, `PTTYPE=gpt`, a line each. Both at once, a filesystem in a partition table, is told by the filesystem.
fn signature(export: &str) -> Option<Signature> {
    let value = |key: &str| {
        export
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(unescape)
    };
    if let Some(what) = value("TYPE") {
        return Some(Signature {
            what,
            uuid: value("UUID"),
            label: value("LABEL"),
            ..Signature::default()
        });
    }
    Some(Signature {
        what: value("PTTYPE")?,
        uuid: value("PTUUID"),
        ..Signature::default()
    })
}

/// How many partitions the table on a device has, whether the kernel knows of them or not (partx(8)).
fn partitions(device: &Path) -> Result<usize> {
    let stdout = Program::new("partx")
        .args(["--show", "--noheadings", "--output", "NR"])
        .args([device])
        .timeout(TIMEOUT)
        .stdout()?;
    Ok(String::from_utf8_lossy(&stdout).split_whitespace().count())
}

/// `-o export` puts a backslash before what a shell would take amiss.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        out.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    out
}

#[derive(Deserialize)]
struct Report {
    signatures: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    what: String,
}

/// All signatures that wipefs(8) would erase; it is only asked, with `--no-act`.
fn wipefs(device: &Path) -> Result<BTreeSet<String>> {
    let stdout = Program::new("wipefs")
        .args(["--no-act", "--json"])
        .args([device])
        .timeout(TIMEOUT)
        .stdout()?;
    if stdout.trim_ascii().is_empty() {
        bail!("wipefs says nothing of {}", device.display());
    }
    let report: Report = serde_json::from_slice(&stdout).context("reading what wipefs says")?;
    Ok(report.signatures.into_iter().map(|line| line.what).collect())
}

fn judge(blkid: Found, wipefs: &BTreeSet<String>) -> Found {
    let listed = wipefs.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match blkid {
        Found::Nothing if wipefs.is_empty() => Found::Nothing,
        Found::Nothing => Found::Unclear(format!("blkid finds nothing, but wipefs finds {listed}")),
        // A protective MBR belongs to its GPT.
        Found::Signature(signature) => {
            let foreign = wipefs
                .iter()
                .any(|what| *what != signature.what && !(signature.what == "gpt" && what == "PMBR"));
            if foreign {
                Found::Unclear(format!("it carries several signatures: {listed}"))
            } else {
                Found::Signature(signature)
            }
        }
        unclear @ Found::Unclear(_) => unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_comes_back_as_it_was() {
        let export = "DEVNAME=/dev/loop0\nLABEL=my\\ \\$disk\nUUID=1234-ABCD\nTYPE=vfat\nUSAGE=filesystem\n";
        let found = signature(export).unwrap();
        assert_eq!(found.label.as_deref(), Some("my $disk"));
        assert_eq!(
            (found.what.as_str(), found.uuid.as_deref()),
            ("vfat", Some("1234-ABCD"))
        );
        assert_eq!(signature("DEVNAME=/dev/loop0\n"), None);
    }

    #[test]
    fn only_agreement_counts() {
        let xfs = || {
            Found::Signature(Signature {
                what: "xfs".to_owned(),
                ..Signature::default()
            })
        };
        let gpt = || {
            Found::Signature(Signature {
                what: "gpt".to_owned(),
                ..Signature::default()
            })
        };
        let listed = |all: &[&str]| all.iter().map(|&what| what.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(judge(Found::Nothing, &listed(&[])), Found::Nothing);
        assert!(matches!(judge(Found::Nothing, &listed(&["gpt"])), Found::Unclear(_)));
        assert_eq!(judge(xfs(), &listed(&["xfs"])), xfs());
        assert!(matches!(judge(xfs(), &listed(&["xfs", "ext4"])), Found::Unclear(_)));
        assert_eq!(judge(gpt(), &listed(&["gpt", "PMBR"])), gpt());
    }
}
