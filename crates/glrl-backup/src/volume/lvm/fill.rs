//! How full a snapshot is, asked of the kernel by dmsetup(8), once a second: lvs(8) would look at every disk of the machine and wait for
//! whoever holds LVM's locks. Source: Documentation/admin-guide/device-mapper/snapshot.rst.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use anyhow::Context;
use glrl_node::system::programs::Program;
use nix::sys::stat::{major, minor};

use crate::model::error::{Error, Kind, Result};

/// In percent; an error of kind `Snapshot` where it is gone or has lost contents.
pub(crate) fn of(device: &Path, name: &str) -> Result<f64> {
    let meta = match fs::metadata(device) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::Snapshot, format!("the snapshot {name} is gone")));
        }
        meta => meta.with_context(|| format!("looking for {}", device.display()))?,
    };
    let number = meta.rdev();
    let status = Program::new("dmsetup")
        .args([
            "status",
            "--major",
            &major(number).to_string(),
            "--minor",
            &minor(number).to_string(),
        ])
        .timeout(Duration::from_mins(1))
        .stdout()
        .with_context(|| format!("asking how full the snapshot {name} is"))?;
    parse(&String::from_utf8_lossy(&status), name)
}

/// `0 1048576 snapshot 16/524288 16`: sectors in use of all, and those of its own tables; a word where it has lost contents.
fn parse(status: &str, name: &str) -> Result<f64> {
    let said = status.split_whitespace().skip_while(|word| *word != "snapshot").nth(1);
    let numbers = said.and_then(|said| said.split_once('/')).and_then(|(used, all)| {
        let number = |text: &str| text.parse::<f64>().ok();
        Some((number(used)?, number(all)?))
    });
    match numbers {
        Some((used, all)) if used < all => Ok(used / all * 100.0),
        _ => Err(Error::new(
            Kind::Snapshot,
            format!(
                "the snapshot {name} has lost contents: its space ran out (it is {}); make it larger",
                said.unwrap_or("no snapshot")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_lost_contents_is_no_good() {
        let fill = |said: &str| parse(&format!("0 1048576 snapshot {said}\n"), "mysql/glrl-x");
        assert!((fill("131072/524288 16").unwrap() - 25.0).abs() < 1e-9);
        for lost in ["524288/524288 16", "Invalid", "Overflow", "Merge failed", "Unknown"] {
            assert_eq!(fill(lost).unwrap_err().kind, Kind::Snapshot, "{lost}");
        }
        assert_eq!(parse("0 1048576 linear \n", "x").unwrap_err().kind, Kind::Snapshot);
        assert_eq!(parse("", "x").unwrap_err().kind, Kind::Snapshot);
    }
}
